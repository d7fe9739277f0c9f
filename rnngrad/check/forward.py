"""The forward pass as numdiff sees it: one vector in, one vector out."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.pair import Pair
from rnngrad.tree import Vector, pack, unpack

__all__ = ["FlatForward"]


@dataclass
class FlatForward:
    """Evaluate the outputs of a pair as a function of its differentiated inputs, packed into one vector.

    theta is given away: it is a new vector at every call, and so a forward that changes or keeps its inputs disturbs
    nothing. Where forward raises or returns something of another shape the value is nan, and the first such
    ``trouble`` is kept in words.
    """

    pair: Pair
    inputs: dict[str, NDArray[Any]]
    wrt: list[str]
    shapes: dict[str, tuple[int, ...]]  # of the outputs
    evaluations: int = 0
    trouble: str | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(prod(shape) for shape in self.shapes.values())

    def __call__(self, theta: Vector) -> Vector:
        self.evaluations += 1
        moved = dict(zip(self.wrt, unpack(theta, [self.inputs[name].shape for name in self.wrt]), strict=True))
        point = {name: moved[name] if name in moved else array.copy() for name, array in self.inputs.items()}
        try:
            outputs, _ = self.pair.forward(point)
            return self.flat(outputs)
        except Exception as error:
            self.trouble = self.trouble or f"forward raised {type(error).__name__}: {error}"
            return np.full(self.size, np.nan)

    def flat(self, outputs: dict[str, Any]) -> Vector:
        """Pack the outputs; nan where one of them has another shape than at the point itself."""
        arrays = [np.asarray(outputs[name]) for name in self.shapes]
        for (name, shape), array in zip(self.shapes.items(), arrays, strict=True):
            if array.shape != shape:
                self.trouble = self.trouble or f"{name} changes its shape from {shape} to {array.shape}"
                return np.full(self.size, np.nan)
        return pack(arrays)
