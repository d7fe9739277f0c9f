"""What the hypotheses are tried on, and what they answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.truth import Truth
from rnngrad.check.diagnose.view import View, view_of

__all__ = ["Guess", "Hypothesis", "Stage"]


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


@dataclass(frozen=True)
class Stage:
    """A scene with the views of its wrong gradients.

    ``output_axes`` names the axes of each output by their dims, "" where that is not known. ``supported`` says that
    there is another stage to bear a guess out, so that it may rest on few numbers here.
    """

    scene: Scene
    truth: Truth
    views: dict[str, View]
    output_axes: dict[str, tuple[str, ...]]
    supported: bool = False

    def least(self, count: int) -> int:
        """Return how many numbers a guess must rest on here, where alone it must rest on so many."""
        return 1 if self.supported else count

    def seen(self, claims: Arrays, cotangents: Arrays) -> dict[str, View]:
        """Return the views of the wrong gradients as they are claimed for other cotangents."""
        return {name: view_of(self.scene, self.truth, name, claims, cotangents) for name in self.views if name in claims}

    @cached_property
    def cached(self) -> dict[str, Any]:
        """Return the arrays that forward leaves behind."""
        return self.scene.cached()

    @cached_property
    def by_output(self) -> dict[str, dict[str, View]]:
        """Return the views when all cotangents but those of one output are zero, for each output that matters."""
        found = {}
        for name, cotangent in self.scene.upstream.items():
            if np.any(cotangent):
                alone = self.scene.only(name)
                found[name] = self.seen(self.scene.backward(alone), alone)
        return found


Hypothesis = Callable[[Stage], Iterator[Guess]]
