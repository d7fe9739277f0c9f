"""The forward pass as numdiff sees it: one vector in, one vector out."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.scale import BLOCK
from rnngrad.pair import Pair
from rnngrad.tree import Vector, unpack

__all__ = ["FlatForward"]


@dataclass
class FlatForward:
    """Evaluate the outputs of a pair as a function of its differentiated inputs, packed into one vector.

    ``tidy`` says that forward leaves its inputs as they were, so that they may be used again; where it does not, every
    call must be given a vector of its own. Where forward raises or returns something of another shape the value is nan,
    and the first such ``trouble`` is kept in words.
    """

    pair: Pair
    inputs: dict[str, NDArray[Any]]
    wrt: list[str]
    shapes: dict[str, tuple[int, ...]]  # of the outputs
    tidy: bool
    evaluations: int = 0
    trouble: str | None = None
    size: int = field(init=False)
    last: tuple[NDArray[Any], dict[str, NDArray[Any]]] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.size = sum(prod(shape) for shape in self.shapes.values())

    def __call__(self, theta: Vector) -> Vector:
        try:
            return np.asarray(self.raw(theta), dtype=np.float64)
        except Exception as error:
            self.trouble = self.trouble or f"forward raised {type(error).__name__}: {error}"
            return np.full(self.size, np.nan)

    def raw(self, theta: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs as they come, complex for a complex theta; let every exception through."""
        self.evaluations += 1
        outputs, _ = self.pair.forward(self.arrays(theta))
        arrays = [np.asarray(outputs[name]) for name in self.shapes]
        for (name, shape), array in zip(self.shapes.items(), arrays, strict=True):
            if array.shape != shape:
                raise ValueError(f"{name} changes its shape from {shape} to {array.shape}")
        return np.concatenate([array.ravel() for array in arrays])

    def arrays(self, theta: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the inputs, some as views of theta; those of a small theta are kept for the next call."""
        if self.last is not None and self.last[0] is theta:
            return dict(self.last[1])
        moved = dict(zip(self.wrt, unpack(theta, [self.inputs[name].shape for name in self.wrt]), strict=True))
        point = {name: moved[name] if name in moved else self.fixed(array) for name, array in self.inputs.items()}
        if self.tidy and len(theta) <= BLOCK:
            self.last = (theta, point)
        return dict(point)

    def fixed(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an input that is not differentiated."""
        return array if self.tidy else array.copy()
