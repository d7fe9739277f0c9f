"""What the hypotheses are tried on, and what they answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.truth import Truth
from rnngrad.check.diagnose.view import View, view_of

__all__ = ["Guess", "Hypothesis", "Stage"]

UNITS = 128  # entries of an output up to which each of them is tried once, in place of each hypothesis


@dataclass(frozen=True)
class Guess:
    """Something that a wrong gradient is consistent with.

    ``words`` name dims and inputs, never sizes, so that the same guess has the same words in every case; ``brief`` is
    for a headline. ``residual`` is what is left unexplained, relative to the largest entry; ``note`` adds numbers of
    this case.
    """

    gradient: str
    kind: str
    words: str
    residual: float | None
    brief: str = ""
    note: str = ""

    @property
    def vague(self) -> bool:
        """Tell whether it only says where a gradient is wrong: in which part, or from which step in time on."""
        return self.kind in ("part", "recurrence") and self.residual is None


@dataclass(frozen=True)
class Stage:
    """A scene with the views of its wrong gradients.

    ``output_axes`` names the axes of each output by their dims, "" where that is not known. ``shaped`` are
    the views of gradients that are no arrays of the right shape. ``supported`` says that
    there is another stage to bear a guess out, so that it may rest on few numbers here; only guesses in ``wanted``
    words are asked for then. ``memory`` keeps what experiments gave.
    """

    scene: Scene
    truth: Truth
    views: dict[str, View]
    output_axes: dict[str, tuple[str, ...]]
    shaped: dict[str, View] = field(default_factory=dict)
    supported: bool = False
    wanted: frozenset[str] | None = None
    memory: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def least(self, count: int) -> int:
        """Return how many numbers a guess must rest on here, where alone it must rest on so many."""
        return 1 if self.supported else count

    def wants(self, words: str) -> bool:
        """Tell whether a guess in such words is asked for."""
        return self.wanted is None or words in self.wanted

    def seen(self, claims: Arrays, cotangents: Arrays) -> dict[str, View]:
        """Return the views of the wrong gradients as they are claimed for other cotangents."""
        return {
            name: view_of(self.scene, self.truth, name, claims, cotangents) for name in self.views if name in claims
        }

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Return what an experiment gave, which is made the first time it is asked for."""
        if key not in self.memory:
            self.memory[key] = make()
        return self.memory[key]

    @property
    def cached(self) -> Arrays:
        """Return the arrays that forward leaves behind."""
        found: Arrays = self.once("cached", self.scene.cached)
        return found

    @property
    def by_output(self) -> dict[str, dict[str, View]]:
        """Return the views when all cotangents but those of one output are zero, for each output that matters."""
        found = {}
        for output, cotangent in self.scene.upstream.items():
            if np.any(cotangent):
                found[output] = self.seen(self.claimed(output, cotangent), self.scene.only(output))
        return found

    def claimed(self, output: str, cotangent: NDArray[Any]) -> Arrays:
        """Return what backward claims for a cotangent of one output, those of the others being zero."""
        return {name: claims[0] for name, claims in self.claimed_each(output, cotangent[None]).items()}

    def claimed_each(self, output: str, cotangents: NDArray[Any]) -> Arrays:
        """Return what backward claims for each of some cotangents of one output, those of the others being zero.

        Backward is linear: where the output is small, what it claims for each entry of the cotangent tells all.
        """
        if cotangents[0].size > UNITS or cotangents.dtype.kind != "f":
            found = [self.scene.backward(self.scene.only(output) | {output: one}) for one in cotangents]
            return {name: np.stack([claims[name] for claims in found]) for name in found[0]}
        units: Arrays = self.once(("units", output), lambda: self.units(output))
        rows = cotangents.reshape(len(cotangents), -1)
        return {
            name: (rows @ unit.reshape(rows.shape[1], -1)).reshape(len(rows), *unit.shape[1:])
            for name, unit in units.items()
        }

    def units(self, output: str) -> Arrays:
        """Return what backward claims for each entry of the cotangent of one output."""
        nothing = {name: np.zeros_like(array) for name, array in self.scene.upstream.items()}
        found = []
        for place in range(nothing[output].size):
            unit = nothing[output].copy()
            unit.flat[place] = 1.0
            found.append(self.scene.backward(nothing | {output: unit}))
        return {name: np.stack([claims[name] for claims in found]) for name in found[0]}


Hypothesis = Callable[[Stage], Iterator[Guess]]
