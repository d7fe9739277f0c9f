"""Directions: one derivative that sees every entry at once, at a cost that does not grow with their number.

A direction moves some or all entries together, entry i by d_i = ± U(1/2, 3/2) times its length scale. Signs are random,
so that two errors do not cancel by design; sizes are bounded away from zero, so that no entry is left out; and among
a few draws one is kept along which the claimed slope is not small by accident, so that a common factor shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rnngrad.numdiff.noise import FLOOR
from rnngrad.numdiff.sample import Lines, Scratch
from rnngrad.numdiff.scale import norm, typical
from rnngrad.tree import Vector

__all__ = ["Direction", "direction_lines", "draw_direction", "weights"]

TRIES = 8  # draws of a direction at most; the chance that all have a small slope is 1e-3
TELLING = 0.7  # a slope this large against the root of the summed squares is kept; half of all draws reach it
CLIP = 1e2  # weights are clipped to 1/CLIP ... CLIP of the median


@dataclass(frozen=True)
class Direction:
    """A direction on the entries start, start + 1, ... of theta: ``values`` has one element for each."""

    start: int
    values: Vector

    @property
    def stop(self) -> int:
        """Return the entry after the last one."""
        return self.start + len(self.values)


def draw_direction(start: int, scale: Vector, claimed: Vector, rng: np.random.Generator) -> Direction:
    """Draw a direction over a run of entries with the given length scales and claimed gradient."""
    best: Vector = np.empty(0)
    largest = -1.0
    for _ in range(TRIES):
        values = rng.uniform(-1.0, 1.0, len(scale))
        values += np.copysign(0.5, values)
        values *= scale
        slope = abs(float(claimed @ values))
        if slope > largest:
            best, largest = values, slope
        if slope >= TELLING * norm(claimed * values):
            break
    return Direction(start, best)


def weights(scale: Vector, claimed: Vector) -> Vector:
    """Return weights in (0, 1], the inverse of |claimed| * scale, so that small entries count as much as large ones."""
    size = np.abs(claimed) * scale
    positive = size[size > 0]
    if not positive.size:
        return np.ones(len(scale))
    middle = typical(positive)
    return np.asarray(np.clip(middle / np.fmax(size, middle / CLIP), 1 / CLIP, CLIP) / CLIP)


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
        direction = directions[line]
        run = slice(direction.start, direction.stop)
        point = scratch.point(run)
        np.multiply(direction.values, t, out=point[run])
        point[run] += theta[run]
        return point, t

    noise = [np.hypot(sigma, rounding_of(theta, claimed, direction)) for direction in directions]
    count = len(directions)
    return Lines(f, v, f0, move, np.ones(count), np.array(noise), np.arange(count))


def rounding_of(theta: Vector, claimed: Vector, direction: Direction) -> float:
    """Return the noise that the rounding of the moved entries causes in <claimed, point>."""
    part = slice(direction.start, direction.stop)
    return FLOOR * float(np.finfo(np.float64).eps) * norm(theta[part] * claimed[part])
