"""The error has the form of a missing term: the same along an axis, or along it a multiple of an array at hand.

What is summed over an axis, as in a mean, a variance or a softmax, comes back as one number for each slice, spread over
the axis by a known array.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View

__all__ = ["missing_term"]

LEAST = 3  # indices along an axis, for one unknown number to be told
SPARE = 2  # numbers, of all slices, that are explained beyond those that are fitted


def missing_term(stage: Stage) -> Iterator[Guess]:
    """Guess that a term is missing that is one number for each slice along an axis, times a known array."""
    for view in stage.views.values():
        if not view.known.all():
            continue
        arrays = {
            called: array
            for called, array in stage.cached.items()
            if array.shape == view.true.shape and array.dtype.kind == "f" and np.isfinite(array).all()
        }
        for axis in range(view.true.ndim):
            along = view.axes[axis]
            yield from spans(stage, view, axis, [view.true], "")
            yield from spans(stage, view, axis, [np.ones(view.true.shape)], f"the same at every index along {along}")
            for called, array in arrays.items():
                yield from spans(stage, view, axis, [array], f"along {along} a multiple of {called}")
            for called, array in arrays.items():
                both = [np.ones(view.true.shape), array]
                yield from spans(stage, view, axis, both, f"along {along} a constant and a multiple of {called}")


def spans(stage: Stage, view: View, axis: int, basis: Sequence[NDArray[Any]], words: str) -> Iterator[Guess]:
    """Yield a guess where the error is spanned by arrays, with coefficients of its own for each slice along an axis."""
    size = view.true.shape[axis]
    slices = view.true.size // max(size, 1)
    if size < stage.least(LEAST + len(basis) - 1) or (slices < stage.least(2) and not words):
        return
    error = np.moveaxis(view.claimed - view.true, axis, -1).reshape(-1, size)
    columns = np.stack([np.moveaxis(array, axis, -1).reshape(-1, size) for array in basis], axis=-1)
    support = (columns != 0).any(axis=2).sum(axis=1)
    if np.maximum(support - len(basis), 0).sum() < stage.least(SPARE):
        return  # where nearly all is zero, what is left is spanned by anything
    fitted = np.concatenate([c @ np.linalg.lstsq(c, e, rcond=None)[0] for c, e in zip(columns, error, strict=True)])
    shape = np.moveaxis(view.true, axis, -1).shape
    predicted = view.true + np.moveaxis(fitted.reshape(shape), -1, axis)
    left = view.misfit(predicted)
    along = view.axes[axis]
    if not np.isfinite(left):
        return
    if words:
        said = f"a missing or wrong term that is {words}: a sum or mean over {along}?"
        yield Guess(view.name, "term", said, left, f"a term over {along} is missing or wrong")
    else:
        said = f"the true gradient times a factor of its own at each index, the same along {along}"
        yield Guess(view.name, "scaled", said, left, f"a factor that is the same along {along}")
