"""The length over which a function is expected to vary: what the first step is measured by."""

import numpy as np

from rnngrad.tree import Vector

__all__ = ["length_scale", "norm", "root_mean_square", "typical"]

SAFE = 1e-120  # norms between this and its inverse have squares that are ordinary numbers
SAMPLE = 2**16  # numbers that a median is taken from at most; it is wanted to a factor, not to a digit


def length_scale(theta: Vector) -> Vector:
    """Return the length scale of each entry of one tensor: max(|theta_i|, median |theta|).

    Where more than half of the entries are zero the root mean square stands for the median, and 1 where all are.
    """
    size = np.abs(theta)
    middle = typical(size) or root_mean_square(size)
    return np.maximum(size, middle or 1.0, out=size)


def typical(size: Vector) -> float:
    """Return the median of many numbers, or of an even sample of them; 0 where there are none."""
    return float(np.median(size[:: len(size) // SAMPLE + 1])) if len(size) else 0.0


def norm(values: Vector) -> float:
    """Return the Euclidean norm; where its squares would overflow or vanish they are taken in units of the largest."""
    with np.errstate(all="ignore"):
        plain = float(np.linalg.norm(values))
    if SAFE < plain < 1 / SAFE:
        return plain
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(values / largest))


def root_mean_square(values: Vector) -> float:
    """Return the root mean square; 0 where there are no values."""
    return norm(values) / len(values) ** 0.5 if len(values) else 0.0
