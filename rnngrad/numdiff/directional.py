"""Directions: one derivative that sees every entry at once, at a cost that does not grow with their number.

A direction moves some or all entries together, entry i by d_i = ± U(1/2, 3/2) times its length scale. Signs are random,
so that two errors do not cancel by design; sizes are bounded away from zero, so that no entry is left out; and some of
the signs are turned so that the claimed slope is not small by accident and a common factor shows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.noise import FLOOR
from rnngrad.numdiff.sample import Lines, Scratch
from rnngrad.numdiff.scale import KEPT, Lengths, blocks, even_sample, norm, part_of, typical
from rnngrad.tree import Vector

__all__ = ["Direction", "Weighted", "direction_lines", "draw_direction", "weights"]

UNIT = np.int16(2**14)  # drawn sizes are multiples of 1/UNIT from 1/2 to 3/2: 14 random bits, and one for the sign
TURNED = 2**8  # runs of entries whose signs may be turned together, and the length of a run at most
CLIP = 1e2  # weights are clipped to 1/CLIP ... CLIP of the median


@dataclass(frozen=True)
class Direction:
    """A direction on the entries start, start + 1, ... of theta, one ``pattern`` number for each.

    Entry i moves by pattern[i], or by pattern[i] / UNIT of its length where there are ``lengths``: then the values are
    computed where they are needed, a block at a time, and a direction takes a quarter of theta's memory.
    """

    start: int
    pattern: NDArray[Any]
    lengths: Lengths | None = None

    @property
    def stop(self) -> int:
        """Return the entry after the last one."""
        return self.start + len(self.pattern)

    @property
    def run(self) -> slice:
        """Return the run of entries that move."""
        return slice(self.start, self.stop)

    @property
    def values(self) -> Vector:
        """Return by how much each entry moves."""
        return self.part(slice(0, len(self.pattern)))

    def part(self, some: slice) -> Vector:
        """Return by how much some of the entries move, numbered within the direction."""
        if self.lengths is None:
            return self.pattern[some]
        values = self.pattern[some].astype(np.float64)  # in place from here on: mixed dtypes take six times as long
        values *= 1 / UNIT
        values *= self.lengths[some]
        return values

    def blocks(self, run: slice | None = None) -> Iterator[tuple[slice, Vector]]:
        """Yield each block of entries of theta, of all that move or of a run, and by how much they move."""
        run = run or self.run
        for block in blocks(run.start, run.stop):
            yield block, self.part(slice(block.start - self.start, block.stop - self.start))

    def slope(self, gradient: Vector) -> float:
        """Return the slope along it, of what has a gradient like theta."""
        return sum(float(gradient[block] @ values) for block, values in self.blocks())

    def within(self, run: slice) -> "Direction":
        """Return what moves of a run of entries alone, as a view."""
        some = slice(run.start - self.start, run.stop - self.start)
        return Direction(run.start, self.pattern[some], None if self.lengths is None else part_of(self.lengths, some))

    def least(self, run: slice) -> float:
        """Return by how much the entry of a run moves that moves least."""
        return min(float(np.abs(values).min()) for _, values in self.blocks(run))


def draw_direction(
    start: int, scale: Lengths, claimed: Vector, rng: np.random.Generator, parts: Sequence[slice] = ()
) -> Direction:
    """Draw a direction over a run of entries with the given length scales and claimed gradient.

    Signs are random; then those of the first entries are turned, up to the one where the claimed slope along the
    direction becomes largest. It is at least the largest of all partial sums, half of the root of the summed squares in
    all but one of a hundred draws. Where there are ``parts``, only they move, and this holds of the slope along each.
    """
    words = rng.integers(2**64, size=len(scale) // 4 + 1, dtype=np.uint64)  # twice as fast as rng.bytes
    bits = words.view(np.int16)[: len(scale)]
    pattern = ((bits & (UNIT - 1)) + UNIT // 2) * ((bits >> 15) | 1)
    kept = len(scale) <= KEPT
    drawn = Direction(start, pattern, scale)
    drawn = Direction(start, drawn.values) if kept else drawn
    reached = start
    with np.errstate(all="ignore"):
        for part in parts or [drawn.run]:
            drawn.pattern[reached - start : part.start - start] = 0
            turn(drawn.within(part), claimed[part.start - start : part.stop - start])
            reached = part.stop
    return drawn


def turn(direction: Direction, claimed: Vector) -> None:
    """Turn the signs of the first entries of a direction, or of all others: the claimed slope becomes largest."""
    step = min(1 << (len(claimed) // TURNED).bit_length(), TURNED)  # a power of two, so that it divides a block
    sums = [np.zeros(1)]
    for block, values in direction.blocks():
        terms = claimed[block.start - direction.start : block.stop - direction.start] * values
        sums.append(np.add.reduceat(terms, np.arange(0, len(terms), step)) if step > 1 else terms)
    partial = np.concatenate(sums).cumsum()
    turned = partial[-1] - 2 * partial
    best = int(np.abs(turned).argmax())
    direction.pattern[slice(best * step) if turned[best] > 0 else slice(best * step, None)] *= -1


def weights(scale: Vector, claimed: Vector, middle: float | None = None) -> Vector:
    """Return weights in (0, 1], the inverse of |claimed| * scale, so that small entries count as much as large ones.

    ``middle`` is what the weights are clipped around, by default the median.
    """
    size = np.abs(claimed)
    size *= scale
    middle = typical(size[size > 0]) if middle is None else middle
    if not middle:
        return np.ones(len(size))
    np.maximum(size, middle / CLIP, out=size)
    np.minimum(size, middle * CLIP, out=size)
    return np.asarray(np.divide(middle / CLIP, size, out=size))


class Weighted:
    """Length scales with the weights of a claimed gradient."""

    def __init__(self, scale: Lengths, claimed: Vector) -> None:
        self.scale, self.claimed = scale, claimed
        some = even_sample(len(claimed))
        size = np.abs(claimed[some]) * self.scale[np.arange(0, len(claimed), some.step)]
        self.middle = typical(size[size > 0])

    def __len__(self) -> int:
        return len(self.claimed)

    def __getitem__(self, some: Any) -> Vector:
        scale = self.scale[some]
        weighted = weights(scale, self.claimed[some], self.middle)
        weighted *= scale
        return weighted


def direction_lines(
    f: Callable[[Vector], Vector],
    theta: Vector,
    v: Vector,
    f0: Vector,
    directions: Sequence[Direction],
    claimed: Vector,
    sigma: float,
    *,
    reuse: bool = False,
) -> Lines:
    """Return the lines along directions, each a group of its own.

    A point on such a line is rounded in every entry; what this adds to the noise of <v, f> is reckoned from the
    claimed gradient.
    """
    scratch = Scratch(theta, reuse)

    def move(line: int, t: float) -> tuple[Vector, float]:
        point = scratch.point(directions[line].run)
        for block, values in directions[line].blocks():
            np.multiply(values, t, out=point[block])
            point[block] += theta[block]
        return point, t

    runs = {(one.start, one.stop): one.run for one in directions}
    rounding = {ends: rounding_of(theta, claimed, run) for ends, run in runs.items()}
    noise = [np.hypot(sigma, rounding[one.start, one.stop]) for one in directions]
    count = len(directions)
    return Lines(f, v, f0, move, np.ones(count), np.array(noise), np.arange(count))


def rounding_of(theta: Vector, claimed: Vector, run: slice) -> float:
    """Return the noise that the rounding of the moved entries causes in <claimed, point>."""
    parts = [norm(theta[block] * claimed[block]) for block in blocks(run.start, run.stop)]
    return FLOOR * float(np.finfo(np.float64).eps) * norm(np.array(parts))
