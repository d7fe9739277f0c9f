"""The norm of a layer norm, along one axis.

    y  = (p - mean p) / sqrt(var p + eps)
    dp = (dy - mean dy - y mean(dy y)) / sqrt(var p + eps)

Ba, Kiros and Hinton, "Layer Normalization" (2016).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["norm", "norm_backward"]

Array = NDArray[Any]

EPS = 1e-5  # torch's default


def norm(p: Array, *, axis: int) -> tuple[Array, Array]:
    """Return y, and 1 / sqrt(var p + eps) for `norm_backward`."""
    centred = p - p.mean(axis=axis, keepdims=True)
    inverse = 1 / np.sqrt((centred * centred).mean(axis=axis, keepdims=True) + EPS)
    return centred * inverse, inverse


def norm_backward(dy: Array, y: Array, inverse: Array, *, axis: int) -> Array:
    """Return dp."""
    along = (dy * y).mean(axis=axis, keepdims=True)
    return np.asarray((dy - dy.mean(axis=axis, keepdims=True) - y * along) * inverse)
