"""The memory that a pass works in: arrays that each start a cache line.

Wide vector instructions take up to twice as long where arrays start within a line, as numpy's may: each vector then
lies in two. The products of the steps, whose factors OpenBLAS reads where they are, lose a sixth of their speed.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnngrad.malloc import hold

__all__ = ["room"]

LINE = 64  # bytes of a cache line, and of the widest vectors
WORTH = 2**12  # bytes: to place less takes longer than it saves


def room(dtype: DTypeLike, *shapes: Sequence[int]) -> list[NDArray[Any]]:
    """Return empty arrays of one dtype, each from the start of a cache line.

    Arrays of less than ``WORTH`` bytes together, and complex long doubles, stand where numpy puts them.
    """
    if sum(map(prod, shapes)) * np.dtype(dtype).itemsize < WORTH:
        return [np.empty(shape, dtype) for shape in shapes]
    hold()
    return [placed(dtype, shape) for shape in shapes]


def placed(dtype: DTypeLike, shape: Sequence[int]) -> NDArray[Any]:
    """Return an empty array from the start of a line."""
    size, line = prod(shape), max(1, LINE // np.dtype(dtype).itemsize)
    block = np.empty(line + size, dtype)
    start = -(block.__array_interface__["data"][0] // block.itemsize) % line
    return block[start : start + size].reshape(shape)
