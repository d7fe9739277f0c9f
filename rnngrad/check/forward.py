"""The forward pass as numdiff sees it: one vector in, one vector out."""

from dataclasses import dataclass, field
from sys import maxsize
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.errors import Exhausted, named
from rnngrad.numdiff.scale import BLOCK
from rnngrad.pair import Pair
from rnngrad.tree import Vector, components, unpack

__all__ = ["FlatForward"]


@dataclass
class FlatForward:
    """Evaluate the outputs of a pair as a function of its differentiated inputs, packed into one vector.

    ``tidy`` says that forward leaves its inputs as they were, so that they may be used again; where it does not, every
    call must be given a vector of its own. Where forward raises or returns something of another shape the value is nan,
    and the first such ``trouble`` is kept in words. Beyond its ``limit`` it raises Exhausted.
    """

    pair: Pair
    inputs: dict[str, NDArray[Any]]
    wrt: list[str]
    outputs: dict[str, NDArray[Any]]  # as they are at the point
    tidy: bool
    limit: int = maxsize  # evaluations that may be made
    evaluations: int = 0
    trouble: str | None = None
    size: int = field(init=False)
    real: bool = field(init=False)  # no complex number comes in or out
    last: tuple[NDArray[Any], dict[str, NDArray[Any]]] | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        self.size = sum(components(array).size for array in self.outputs.values())
        arrays = [*self.outputs.values(), *(self.inputs[name] for name in self.wrt)]
        self.real = all(array.dtype.kind == "f" for array in arrays)

    @property
    def left(self) -> int:
        """Return how many evaluations may still be made."""
        return self.limit - self.evaluations

    def __call__(self, theta: Vector) -> Vector:
        try:
            return np.asarray(self.raw(theta), dtype=np.float64)
        except (Exhausted, MemoryError):
            raise
        except Exception as error:
            self.trouble = self.trouble or f"forward raised {named(error)}"
            return np.full(self.size, np.nan)

    def raw(self, theta: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs as they come, complex for a complex theta; let every exception through."""
        if self.left < 1:
            raise Exhausted
        self.evaluations += 1
        stepped = theta.dtype.kind == "c"
        if stepped and not self.real:
            raise TypeError("the complex step is for functions of real numbers")
        outputs, _ = self.pair.forward(self.arrays(theta))
        return np.concatenate([self.held(name, np.asarray(outputs[name]), stepped) for name in self.outputs])

    def held(self, name: str, array: NDArray[Any], stepped: bool) -> NDArray[Any]:
        """Return the components of an output; raise ValueError where it is not of the kind that it is at the point."""
        like = self.outputs[name]
        if array.shape != like.shape:
            raise ValueError(f"{name} changes its shape from {like.shape} to {array.shape}")
        if stepped:
            return array.ravel()
        if like.dtype.kind == "f" and array.dtype.kind == "c":
            raise ValueError(f"{name} changes from real to complex numbers")
        return components(array if like.dtype.kind == "f" else array.astype(np.complex128, copy=False))

    def arrays(self, theta: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the inputs, some as views of theta; those of a small theta are kept for the next call."""
        if self.last is not None and self.last[0] is theta:
            return dict(self.last[1])
        moved = dict(zip(self.wrt, unpack(theta, [self.inputs[name] for name in self.wrt]), strict=True))
        point = {name: moved[name] if name in moved else self.fixed(array) for name, array in self.inputs.items()}
        if self.tidy and len(theta) <= BLOCK:
            self.last = (theta, point)
        return dict(point)

    def fixed(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an input that is not differentiated."""
        return array if self.tidy else array.copy()
