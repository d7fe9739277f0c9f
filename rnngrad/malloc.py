"""What the allocator keeps of memory that is given back.

Arrays of some hundred kB and more come from the system and go back to it when they are freed: each pass has its pages
mapped and zeroed anew. glibc keeps as much as twice the largest block that was ever given back, up to 64 MiB: one block
that is large, never touched and given back at once, is enough to make it keep what passes after passes use.
"""

from functools import cache

import numpy as np

__all__ = ["hold"]

LARGEST = 2**25 - 2**16  # bytes of a block: what is larger, glibc maps anew each time, and learns nothing from


@cache
def hold() -> None:
    """Make the allocator keep freed memory, as far as it does; other allocators are as they were.

    The cells over time take up to a third less time so, forward and backward (column mapped of
    ``benchmarks/cells.py``); a check makes such passes again and again.
    """
    np.empty(LARGEST, np.uint8)
