"""The Jacobian of a softmax, differentiated in part: what the cotangent must be for that to come out right.

With p = softmax(z), backward is dz = p (v - sum(v p)), the sum over the classes; with log p it is dz = v - p sum(v).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["softmax_corrections"]

Array = NDArray[Any]
UNIT = 1e-12  # how far from 1 the sum of probabilities may be


def softmax_corrections(arrays: dict[str, Array], v: Array) -> Iterator[tuple[str, Array]]:
    """Yield the cotangents that the probabilities at hand suggest in the place of v, in words."""
    for called, y in arrays.items():
        for axis in range(y.ndim) if y.shape == v.shape else ():
            if y.shape[axis] < 2:
                continue
            if (y > 0).all() and sums_to_one(y, axis):
                yield from of_softmax(called, y, v, axis)
            if (y < 0).all() and sums_to_one(np.exp(y), axis):
                yield from of_log_softmax(called, np.exp(y), v, axis)


def sums_to_one(p: Array, axis: int) -> bool:
    """Tell whether numbers add up to 1 along an axis."""
    return bool((np.abs(p.sum(axis=axis) - 1) <= UNIT).all())


def of_softmax(called: str, p: Array, v: Array, axis: int) -> Iterator[tuple[str, Array]]:
    """Yield the cotangents that correct a softmax along an axis."""
    right = v - (v * p).sum(axis=axis, keepdims=True)
    yield f"only the diagonal of the Jacobian of the softmax {called}", right / (1 - p)
    yield f"the mean missing, or wrong, in the Jacobian of the softmax {called}", right
    yield f"the whole Jacobian of the softmax {called} missing: its cotangent taken as that of the logits", right * p
    for other in range(p.ndim):
        if other != axis:
            share = 1 - p.sum(axis=other, keepdims=True)
            moved = right + (right * p).sum(axis=other, keepdims=True) / share
            yield f"the mean in the Jacobian of the softmax {called} taken over axis {other}", moved


def of_log_softmax(called: str, p: Array, v: Array, axis: int) -> Iterator[tuple[str, Array]]:
    """Yield the cotangents that correct the logarithm of a softmax p along an axis."""
    right = v - p * v.sum(axis=axis, keepdims=True)
    yield f"the sum missing, or wrong, in the Jacobian of the log-softmax {called}", right
    for other in range(p.ndim):
        if other != axis:
            total = right.sum(axis=other, keepdims=True) / (1 - p.sum(axis=other, keepdims=True))
            yield f"the sum in the Jacobian of the log-softmax {called} taken over axis {other}", right + p * total
