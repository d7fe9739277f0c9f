"""What backward claims at a point, joined over all inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.check.contract import checked_gradient
from rnngrad.check.point import Point
from rnngrad.pair import Pair
from rnngrad.result import Finding
from rnngrad.tree import Vector, components

__all__ = ["Claims", "claims_of"]


@dataclass(frozen=True)
class Claims:
    """The claimed gradients of the ``usable`` inputs, joined like theta, 0 elsewhere; what is wrong with the others.

    ``returned`` lists all keys that backward returned.
    """

    joined: Vector
    usable: list[str]
    breaches: dict[str, Finding]
    returned: list[str]


def claims_of(pair: Pair, point: Point, returned: Mapping[str, Any]) -> Claims:
    """Join the gradients that backward returned."""
    joined = np.zeros(len(point.theta))
    usable, breaches = [], {}
    for name in point.parts:
        if name not in returned:
            continue
        claim = checked_gradient(pair, name, returned[name], point.forward.inputs[name])
        if isinstance(claim, Finding):
            breaches[name] = claim
        else:
            joined[point.parts[name]] = components(claim)
            usable.append(name)
    return Claims(joined, usable, breaches, [str(key) for key in returned])
