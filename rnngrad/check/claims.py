"""What backward claims at a point, joined over all inputs."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.point import Point
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


def claims_of(point: Point, checked: Mapping[str, NDArray[np.inexact] | Finding], returned: list[str]) -> Claims:
    """Join the gradients that backward returned, each an array like its input or the finding that says why not."""
    joined = np.zeros(len(point.theta))
    usable, breaches = [], {}
    for name, claim in checked.items():
        if isinstance(claim, Finding):
            breaches[name] = claim
        else:
            joined[point.parts[name]] = components(claim)
            usable.append(name)
    return Claims(joined, usable, breaches, returned)
