"""The memory that a pass works in: one block, in which each array starts a cache line.

Wide vector instructions lose up to half their speed where an array starts within a line, as numpy's may; the products of
the steps, whose factors are read as they are, lose a fifth. And a pass that gives back one block finds it
again in the next pass, where many blocks, given back one by one, go back to the system: a tenth of the time of an RNN
was spent in getting pages anew (``benchmarks/cells.py``).
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["room"]

LINE = 64  # bytes of a cache line, and of the widest vectors


def room(dtype: DTypeLike, *shapes: Sequence[int]) -> list[NDArray[Any]]:
    """Return empty arrays of one dtype in one block of memory, each from the start of a cache line."""
    itemsize = np.dtype(dtype).itemsize
    line = max(1, LINE // itemsize)
    sizes = [prod(shape) for shape in shapes]
    block = np.empty(line + sum(size + -size % line for size in sizes), dtype)
    start = -(block.ctypes.data // itemsize) % line
    found = []
    for size, shape in zip(sizes, shapes, strict=True):
        found.append(block[start : start + size].reshape(shape))
        start += size + -size % line
    return found
