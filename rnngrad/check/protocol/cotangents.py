"""Cotangents that follow from the first ones: a one-hot one, a tiny sum, a huge multiple, zeros."""

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.tree import components, unpack

__all__ = ["HUGE", "TINY", "multiple", "one_hot", "summed"]

# Powers of two, by which every linear step of a backward pass scales without rounding: large enough that what is
# clipped or rounded to some place shows, small enough that single precision, which code may use inside, takes them.
HUGE = -(2.0**24)
TINY = 2.0**-24
SPREAD = 0x9E3779B1  # Knuth's multiplicative hash


def one_hot(upstream: Arrays, seed: int) -> Arrays:
    """Return a single entry, twice the largest of the given cotangents, at a place that the seed decides."""
    arrays = list(upstream.values())
    flat = np.zeros(sum(components(array).size for array in arrays))
    if len(flat):
        largest = max(float(np.abs(components(array)).max(initial=0.0)) for array in arrays)
        flat[((seed + 1) * SPREAD >> 7) % len(flat)] = 2 * largest or 1.0
    return dict(zip(upstream, unpack(flat, arrays), strict=True))


def summed(left: Arrays, right: Arrays) -> Arrays:
    """Return the sum of two cotangents, tiny."""
    return {name: (array + right[name]) * TINY for name, array in left.items()}


def multiple(upstream: Arrays, factor: float) -> Arrays:
    """Return a multiple of the cotangents."""
    return {name: array * factor for name, array in upstream.items()}
