"""Large arrays, taken in pieces: what is computed of one takes no memory to speak of."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["largest", "pieces"]

PIECE = 1 << 20  # bytes: an array of up to so many is one piece, and fits the caches of most machines

Array = NDArray[Any]


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Yield pieces of arrays of one shape, cut alike along their first axes; they are views."""
    arrays = tuple(map(np.asarray, arrays))  # a row of a matrix is a matrix again
    first = arrays[0]
    if first.nbytes <= PIECE:
        yield arrays
    elif len(first) == 1:
        yield from pieces(*(array[0] for array in arrays))
    else:
        rows = max(1, PIECE * len(first) // first.nbytes)
        for start in range(0, len(first), rows):
            yield tuple(array[start : start + rows] for array in arrays)


def largest(function: Callable[..., Array], *arrays: Array) -> float:
    """Return the largest size of an entry of what a function, entry by entry, makes of arrays; inf where one is nan."""
    sizes = [np.abs(function(*some)).max(initial=0.0) for some in pieces(*arrays)]
    size = float(sizes[0] if len(sizes) == 1 else np.max(sizes))  # either of them nan if one is
    return size if size == size else np.inf
