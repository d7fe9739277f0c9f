"""The factors of a gradient that belongs to an elementwise product: another one in the place of the right one.

Of z = g y the gradient of g is dz y. Whatever dz is, the claimed gradient times y is the true one times what was put
in the place of y. A factor too few, or too many, shows as well. What was kept of a loop over steps counts as it is, and
one step before and after.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.activation import rescaled
from rnngrad.check.diagnose.stage import Guess, Stage

__all__ = ["partnered", "scaled"]

Array = NDArray[Any]


def partnered(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient has one factor in the place of another, such as a state in that of the state before."""
    for name, view in stage.views.items():
        factors = at_hand(stage, view.true.shape, view.axes)
        for (one, y), (other, z) in permutations(factors.items(), 2):
            words = f"a factor of {one} in the place of {other}"
            if not stage.wants(words):
                continue
            predicted = np.where(z == 0, np.nan, view.true * (y / z))
            if (np.isfinite(predicted) & view.wrong).sum() < stage.least(3):
                continue
            left = view.misfit(predicted)
            if np.isfinite(left):
                yield Guess(name, "derivative", words, left, f"{one} in the place of {other}")


def scaled(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient has a factor too few or too many that does not come with the cotangent."""
    for name, view in stage.views.items():
        for words, predicted in rescaled(stage.cached, view.true):
            if stage.wants(words) and (np.isfinite(predicted) & view.wrong).sum() >= stage.least(2):
                left = view.misfit(predicted)
                if np.isfinite(left):
                    yield Guess(name, "derivative", words, left, words.partition(",")[0])


def at_hand(stage: Stage, shape: tuple[int, ...], axes: tuple[str, ...]) -> dict[str, Array]:
    """Return the arrays that forward leaves behind in a shape, and their neighbours along the first axis."""
    if not shape:
        return {}
    found = {called: array for called, array in stage.cached.items() if array.shape == shape}
    for called, array in stage.cached.items():
        if array.ndim and array.shape == (shape[0] + 1, *shape[1:]):
            found |= {f"{called}[:-1]": array[:-1], f"{called}[1:]": array[1:]}
        elif array.shape == shape and shape[0] > 1:
            unknown = np.full_like(array[:1], np.nan)
            found[f"{called} one step before along {axes[0]}"] = np.concatenate([unknown, array[:-1]])
            found[f"{called} one step after along {axes[0]}"] = np.concatenate([array[1:], unknown])
    return found
