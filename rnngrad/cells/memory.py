"""The memory that a pass works in: arrays that each start a cache line.

Wide vector instructions take up to twice as long where arrays start within a line, as numpy's may: each vector then
lies in two. The products of the steps, whose factors OpenBLAS reads where they are, lose a sixth of their speed.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["room"]

LINE = 64  # bytes of a cache line, and of the widest vectors
WORTH = 2**12  # bytes: to place less takes longer than it saves
KEPT = 2**25 - 2**16  # bytes of a block: what is larger, glibc maps anew each time. Of what it is given back it keeps
# twice the largest block: arrays in one block are there at once in the next pass, the same ones apart are not


def room(dtype: DTypeLike, *shapes: Sequence[int]) -> list[NDArray[Any]]:
    """Return empty arrays of one dtype in as few blocks of memory as serve, each from the start of a cache line.

    Arrays of less than ``WORTH`` bytes together, and complex long doubles, stand where numpy puts them.
    """
    itemsize = np.dtype(dtype).itemsize
    line = max(1, LINE // itemsize)
    sizes = [prod(shape) for shape in shapes]
    if sum(sizes) * itemsize < WORTH:
        return [np.empty(shape, dtype) for shape in shapes]
    hold()
    found: list[NDArray[Any]] = []
    while len(found) < len(shapes):
        ends = list(accumulate(size + -size % line for size in sizes[len(found) :]))
        count = max(1, sum(end * itemsize <= KEPT for end in ends))
        found += placed(dtype, line, ends[count - 1], shapes[len(found) : len(found) + count])
    return found


@cache
def hold() -> None:
    """Take a block of ``KEPT`` bytes, untouched, and give it back: from then on glibc keeps twice as much.

    Else the arrays of a pass, gone before the next, are mapped and zeroed anew each time: a tenth of an LSTM's time at
    n = 256 (column mapped of ``benchmarks/cells.py``).
    """
    np.empty(KEPT, np.uint8)


def placed(dtype: DTypeLike, line: int, size: int, shapes: Sequence[Sequence[int]]) -> Iterator[NDArray[Any]]:
    """Yield empty arrays in one block of so many numbers, each from the start of a line."""
    block = np.empty(line + size, dtype)
    start = -(block.__array_interface__["data"][0] // block.itemsize) % line
    for shape in shapes:
        size = prod(shape)
        yield block[start : start + size].reshape(shape)
        start += size + -size % line
