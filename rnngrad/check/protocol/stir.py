"""Values close to given ones: the same at every run, and in the domain of whatever takes the given ones.

Floating-point entries are multiplied by factors close to 1, so that zeros, signs and sparsity stay; whole numbers,
which may be labels or positions, are turned round along each axis.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["stirred", "turned"]

LENGTH = 1021  # of the table of factors; a prime, so that no axis repeats it
DRAW = np.random.default_rng(20110101)
TABLE = DRAW.uniform(0.5, 1.5, LENGTH) * DRAW.choice([-1.0, 1.0], LENGTH)


def stirred(arrays: dict[str, NDArray[Any]], relative: float, turn: int = 0) -> dict[str, NDArray[Any]]:
    """Return arrays whose floating-point entries differ by a relative size, other ones for another ``turn``."""
    moved = {}
    for stream, (name, array) in enumerate(arrays.items()):
        start = 97 * stream + 31 * turn
        if array.dtype.kind in "fc":
            factors = TABLE[start : start + array.size]
            if len(factors) < array.size:
                factors = np.resize(np.roll(TABLE, start), array.size)
            array = np.multiply(1 + relative * factors.reshape(array.shape), array, dtype=array.dtype)
        moved[name] = array
    return moved


def turned(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays in which those of whole numbers are turned round."""
    return {name: array if array.dtype.kind in "fc" else np.flip(array).copy() for name, array in arrays.items()}
