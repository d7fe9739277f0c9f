"""Values close to given ones: the same at every run, and in the domain of whatever takes the given ones.

Floating-point entries are multiplied by factors close to 1, so that zeros, signs and sparsity stay; whole numbers,
which may be labels or positions, are turned round along each axis.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stirred", "turned"]

LENGTH = 1021  # of the table of factors; a prime, so that no axis repeats it
REPEATS = 64  # of the table in a row of factors: half a megabyte
DRAW = np.random.default_rng(20110101)
TABLE = DRAW.uniform(0.5, 1.5, LENGTH) * DRAW.choice([-1.0, 1.0], LENGTH)


@lru_cache(maxsize=4)  # the few sizes that one check asks for
def factors(relative: float) -> NDArray[np.float64]:
    """Return a long row of factors that differ from 1 by a relative size."""
    return 1 + relative * np.tile(TABLE, REPEATS)


def stirred(arrays: dict[str, NDArray[Any]], relative: float, turn: int = 0) -> dict[str, NDArray[Any]]:
    """Return arrays whose floating-point entries differ by a relative size, other ones for another ``turn``."""
    moved = {}
    for stream, (name, array) in enumerate(arrays.items()):
        row = factors(relative)[(97 * stream + 31 * turn) % LENGTH :]
        if array.dtype.kind not in "fc":
            moved[name] = array
        elif len(row) >= array.size:
            moved[name] = np.multiply(row[: array.size].reshape(array.shape), array, dtype=array.dtype)
        else:
            moved[name] = array.copy()
            flat = moved[name].reshape(-1)
            for begin in range(0, len(flat), len(row)):
                some = flat[begin : begin + len(row)]
                np.multiply(some, row[: len(some)], out=some)
    return moved


def turned(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays in which those of whole numbers are turned round."""
    return {name: array if array.dtype.kind in "fc" else np.flip(array).copy() for name, array in arrays.items()}
