"""The memory that a pass works in: arrays that each start a cache line.

Wide vector instructions take up to twice as long where arrays start within a line, as numpy's may: each vector then
lies in two. The products of the steps, whose factors OpenBLAS reads where they are, lose a sixth of their speed.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["room"]

LINE = 64  # bytes of a cache line, and of the widest vectors
WORTH = 2**12  # bytes: to place less takes longer than it saves


def room(dtype: DTypeLike, *shapes: Sequence[int]) -> list[NDArray[Any]]:
    """Return empty arrays of one dtype in one block of memory, each from the start of a cache line.

    Arrays of less than ``WORTH`` bytes together, and complex long doubles, stand where numpy puts them.
    """
    itemsize = np.dtype(dtype).itemsize
    sizes = [prod(shape) for shape in shapes]
    if sum(sizes) * itemsize < WORTH:
        return [np.empty(shape, dtype) for shape in shapes]
    line = max(1, LINE // itemsize)
    block = np.empty(line + sum(size + -size % line for size in sizes), dtype)
    start = -(block.__array_interface__["data"][0] // itemsize) % line
    found = []
    for size, shape in zip(sizes, shapes, strict=True):
        found.append(block[start : start + size].reshape(shape))
        start += size + -size % line
    return found
