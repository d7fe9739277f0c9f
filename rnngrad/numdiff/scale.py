"""The length over which a function is expected to vary: what the first step is measured by."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rnngrad.tree import Vector

__all__ = [
    "BLOCK",
    "KEPT",
    "Lengths",
    "Scale",
    "blocks",
    "even_sample",
    "length_scale",
    "norm",
    "part_of",
    "root_mean_square",
    "scale_of",
    "typical",
]

SAFE = 1e-120  # norms between this and its inverse have squares that are ordinary numbers
SAMPLE = 2**10  # numbers that a median is taken from at most; it is wanted to a factor, not to a digit
BLOCK = 2**15  # entries worked on at a time where whole vectors would be further copies of theta: 256 kB stay in cache
KEPT = 2**21  # entries up to which a vector is kept all the same: 16 MB, so that a few of them stay below 64 MB


class Lengths(Protocol):
    """A length for each entry: a vector, or what computes those that are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, some: Any, /) -> Any: ...


@dataclass(frozen=True)
class Scale:
    """The length scales of tensors that are joined in theta, computed where asked for.

    Tensor k ends before entry ``ends[k]`` of theta; ``middles[k]`` is its typical size. Indexed by a run of entries,
    or by an array of them.
    """

    theta: Vector
    ends: NDArray[np.intp]
    middles: Vector

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, some: Any) -> Vector:
        size: Vector = np.abs(self.theta[some])
        if not isinstance(some, slice):
            return np.asarray(np.maximum(size, self.middles[np.searchsorted(self.ends, some, side="right")]))
        start, stop, _ = some.indices(len(self))
        begin = start
        for tensor in range(int(np.searchsorted(self.ends, start, side="right")), len(self.ends)):
            end = min(int(self.ends[tensor]), stop)
            np.maximum(size[begin - start : end - start], self.middles[tensor], out=size[begin - start : end - start])
            if (begin := end) == stop:
                break
        return size

    def part(self, run: slice) -> "Scale":
        """Return the length scales of a run of entries."""
        return Scale(self.theta[run], np.clip(self.ends - run.start, 0, run.stop - run.start), self.middles)


def part_of(lengths: Lengths, run: slice) -> Lengths:
    """Return the lengths of a run of entries, computed where asked for if the others are."""
    return lengths.part(run) if isinstance(lengths, Scale) else np.asarray(lengths[run])


def scale_of(theta: Vector, sizes: Sequence[int]) -> Lengths:
    """Return the length scales of tensors of the given sizes, joined in theta; as a vector where that is small."""
    ends = np.cumsum(sizes, dtype=np.intp)
    middles = [middle(theta[end - size : end]) for end, size in zip(ends.tolist(), sizes, strict=True)]
    scale = Scale(theta, ends, np.array(middles))
    return scale if len(theta) > KEPT else scale[0 : len(theta)]


def length_scale(theta: Vector) -> Vector:
    """Return the length scale of each entry of one tensor: max(|theta_i|, median |theta|).

    Where more than half of the entries are zero the root mean square stands for the median, and 1 where all are.
    """
    size = np.abs(theta)
    np.maximum(size, middle(theta), out=size)
    return size


def middle(theta: Vector) -> float:
    """Return the typical size of the entries of one tensor; 1 where all are zero."""
    return typical(np.abs(theta[even_sample(len(theta))])) or root_mean_square(theta) or 1.0


def even_sample(count: int) -> slice:
    """Return an even sample of so many numbers, SAMPLE of them at most."""
    return slice(None, None, count // SAMPLE + 1)


def typical(size: Vector) -> float:
    """Return the median of many numbers, or of an even sample of them; 0 where there are none."""
    some = size[even_sample(len(size))]
    if not len(some):
        return 0.0
    low, high = (len(some) - 1) // 2, len(some) // 2
    parted = np.partition(some, (low, high))  # np.median does this too, in ten times the time on short vectors
    return 0.5 * float(parted[low]) + 0.5 * float(parted[high])


def blocks(start: int, stop: int) -> Iterator[slice]:
    """Split a run of entries into blocks."""
    for begin in range(start, stop, BLOCK):
        yield slice(begin, min(begin + BLOCK, stop))


def norm(values: Vector) -> float:
    """Return the Euclidean norm; where its squares would overflow or vanish they are taken in units of the largest."""
    plain = sqrt(float(np.vdot(values, values).real))
    if SAFE < plain < 1 / SAFE:
        return plain
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(values / largest))


def root_mean_square(values: Vector) -> float:
    """Return the root mean square; 0 where there are no values."""
    return norm(values) / len(values) ** 0.5 if len(values) else 0.0
