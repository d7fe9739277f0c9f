"""A sum over the wrong axes of an output, where an input is broadcast: a bias, a gain.

Then each entry of the output depends on one entry of the input, and what each contributes to the gradient has the shape
of the output. Summed over the right axes it is the true gradient; summed over others it may be the claimed one.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View
from rnngrad.check.diagnose.words import listed

__all__ = ["missummed", "summed"]

Array = NDArray[Any]


def summed(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is summed over the wrong axes, to a shape that is right by accident."""
    for view in stage.views.values():
        for words, predicted in sums(stage, view):
            left = view.misfit(predicted.reshape(view.true.shape)) if predicted.size == view.true.size else np.inf
            if np.isfinite(left):
                yield guess(view, words, left)


def missummed(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient has the wrong shape since it is summed over the wrong axes."""
    raw = stage.scene.run(stage.scene.inputs, stage.scene.upstream)[2]
    for name, view in stage.views.items():
        claimed = raw.get(name, np.empty(0))
        for words, predicted in sums(stage, view):
            apart = np.abs(predicted - claimed) if predicted.shape == claimed.shape else np.array(np.inf)
            if apart.max(initial=0.0) <= view.slack:
                yield guess(view, words, float(apart.max()) / (view.largest or 1.0))


def guess(view: View, words: str, left: float) -> Guess:
    """Return the guess that a gradient is summed as words say."""
    return Guess(view.name, "sum", words, left, "summed over the wrong axis")


def sums(stage: Stage, view: View) -> Iterator[tuple[str, Array]]:
    """Yield what a sum over the wrong axes would give, in words; nothing where no sum gives the true gradient."""
    start = 0
    for output, v in stage.scene.upstream.items():
        part = slice(start, start + v.size)
        start += v.size
        slopes = stage.truth.slopes[view.name][:, part]
        if len(slopes) != view.true.size or v.ndim < 2 or not ((slopes != 0).sum(axis=0) <= 1).all():
            continue
        given = (slopes.sum(axis=0) * v.ravel()).reshape(v.shape)
        every = list(chain.from_iterable(combinations(range(v.ndim), count) for count in range(1, v.ndim)))
        results = [(axes, given.sum(axis=axes)) for axes in every]
        for right in (axes for axes, total in results if matches(view, total)):
            over = named(stage, output, right)
            for axes, total in results:
                if axes != right:
                    yield f"a sum over {named(stage, output, axes)} in the place of the sum over {over}", total


def matches(view: View, total: Array) -> bool:
    """Tell whether a sum is the true gradient."""
    if total.size != view.true.size or not view.known.all():
        return False
    return bool((np.abs(total.reshape(view.true.shape) - view.true) <= view.slack).all())


def named(stage: Stage, output: str, axes: Sequence[int]) -> str:
    """Return the names of some axes of an output."""
    names = stage.output_axes.get(output, ())
    return listed([(names[axis] if axis < len(names) else "") or f"axis {axis}" for axis in axes])
