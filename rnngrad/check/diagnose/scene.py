"""One point of a pair, and the experiments that a diagnosis makes there.

Every run starts from copies and a cache of its own. What forward or backward raises there means that the experiment
cannot be made, not that anything is wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case
from rnngrad.check.claims import Claims
from rnngrad.check.contract import Arrays
from rnngrad.check.point import Point
from rnngrad.pair import Pair
from rnngrad.tree import leaves

__all__ = ["Scene", "run"]


@dataclass(frozen=True)
class Scene:
    """A pair at a point: its inputs and dims, what backward claimed, the cotangents; other points are ``elsewhere``."""

    pair: Pair
    case: Case | None
    sizes: dict[str, Any]
    point: Point
    claims: Claims
    upstream: Arrays
    elsewhere: Callable[[Case | Mapping[str, Any]], "Scene"]
    budget: list[int] = field(default_factory=lambda: [0])  # runs that are left, for this and other points together

    def at(self, given: Case | Mapping[str, Any]) -> "Scene":
        """Return the same pair at another point, on the same budget."""
        return replace(self.elsewhere(given), budget=self.budget)

    def redrawn(self, k: int) -> Case:
        """Return a case of the same sizes with other values."""
        if self.case is None:
            return Case(seed=k, **self.sizes)
        return Case(fills=self.case.fills, scale=self.case.scale, seed=self.case.seed + k, **self.case.dims)

    def run(
        self, inputs: Mapping[str, NDArray[Any]], cotangents: Mapping[str, NDArray[Any]]
    ) -> tuple[Arrays, Any, Arrays]:
        """Run forward and backward as `run` does; raise RuntimeError where the budget is spent."""
        self.spend()
        return run(self.pair, inputs, cotangents)

    def spend(self) -> None:
        """Take one run off the budget; raise RuntimeError where that is spent."""
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise RuntimeError("the budget of this diagnosis is spent")

    @property
    def inputs(self) -> Arrays:
        """Return the inputs."""
        return self.point.forward.inputs

    @property
    def dims(self) -> dict[str, int]:
        """Return the dims that are one size each."""
        return {name: size for name, size in self.sizes.items() if isinstance(size, int)}

    def outputs(self) -> Arrays:
        """Return the outputs at the point."""
        return self.point.forward.outputs

    def backward(self, cotangents: Arrays) -> Arrays:
        """Return the gradients that backward claims for other cotangents, those that are arrays of the right shape."""
        raw = self.run(self.inputs, cotangents)[2]
        return {
            name: array
            for name, array in raw.items()
            if name in self.point.parts and array.shape == self.point.shape(name)
        }

    def cached(self) -> Arrays:
        """Return inputs, outputs and what else forward has left in its cache, by name or by place.

        What the cache holds of inputs and outputs is left out, unless it has another name: whether two arrays are equal
        by accident must not depend on the point.
        """
        cache = self.pair.forward({name: array.copy() for name, array in self.inputs.items()})[1]
        found = {name: array for name, array in (self.inputs | self.outputs()).items() if array.dtype.kind == "f"}
        known = {array.tobytes() for array in found.values()}
        alone = isinstance(cache, tuple) and len(cache) == 1  # the one cache of a plain forward pass
        for path, leaf in leaves(cache[0] if alone else cache):
            if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f":
                named = path[-1:] and path[-1].isidentifier()
                called = path[-1] if named else "".join(["cache", *(f"[{step}]" for step in path)])
                if called not in found and (named or leaf.tobytes() not in known):
                    found[called] = leaf
        return found

    def only(self, output: str, index: Any = ...) -> Arrays:
        """Return the cotangents with all but those of one output, or of a part of it, set to zero."""
        kept = {name: np.zeros_like(array) for name, array in self.upstream.items()}
        kept[output][index] = self.upstream[output][index]
        return kept


def run(
    pair: Pair, inputs: Mapping[str, NDArray[Any]], cotangents: Mapping[str, NDArray[Any]]
) -> tuple[Arrays, Any, Arrays]:
    """Run forward and backward on copies; return outputs, the cache, and those gradients that are arrays."""
    outputs, cache = pair.forward({name: array.copy() for name, array in inputs.items()})
    raw = pair.backward({name: array.copy() for name, array in cotangents.items()}, cache)
    gradients = {name: np.array(array) for name, array in raw.items() if isinstance(array, np.ndarray | np.generic)}
    return {name: np.array(array) for name, array in outputs.items()}, cache, gradients
