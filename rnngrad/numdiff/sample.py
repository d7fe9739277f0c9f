"""Central samples along lines: the two numbers that every estimate is made of.

A line is a point theta and a way to move from it by t. From f(theta + t d) and f(theta - t d) come the slope
<v, f(+) - f(-)> / 2t, and the bend <v, f(+) - 2 f(0) + f(-)> / t, which goes to zero with t where f is smooth and to
the difference of the two slopes at a kink. The outputs are subtracted first and then weighted by v, which loses
less than the difference of two dot products; t is the step as taken in floating point.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnngrad.tree import Vector

__all__ = ["Lines", "Scratch", "entry_lines", "sample"]

Move = Callable[[int, float], tuple[Vector, float]]


@dataclass(frozen=True)
class Lines:
    """Lines through one point of f: how to move along each, the length scale of each, and which belong together.

    ``move(line, t)`` returns the point and the step as really taken. ``scale`` is the length over which f is
    expected to vary, ``sigma`` the noise of <v, f> along it; lines of one ``group`` (the entries of one input) share a
    reference size.
    """

    f: Callable[[Vector], Vector]
    v: Vector
    f0: Vector
    move: Move
    scale: Vector
    sigma: Vector
    group: NDArray[np.intp]

    @property
    def count(self) -> int:
        """Return the number of lines."""
        return len(self.scale)

    def take(self, some: NDArray[np.intp]) -> "Lines":
        """Return some of the lines, renumbered."""
        return replace(
            self,
            move=lambda line, t: self.move(int(some[line]), t),
            scale=self.scale[some],
            sigma=self.sigma[some],
            group=self.group[some],
        )


class Scratch:
    """Points that differ from theta in one run of entries.

    Where f leaves its argument alone (``reuse``) one buffer serves them all and only the run is written; a point is
    then good until the next one is asked for.
    """

    def __init__(self, theta: Vector, reuse: bool) -> None:
        self.theta = theta
        self.reuse = reuse
        self.buffer: Vector | None = None
        self.dirty = slice(0, 0)

    def point(self, run: slice) -> Vector:
        """Return a point equal to theta outside the run; what is inside is to be written."""
        if self.buffer is None or not self.reuse:
            self.buffer = self.theta.copy()
        elif run != self.dirty:
            self.buffer[self.dirty] = self.theta[self.dirty]
        self.dirty = run
        return self.buffer


def entry_lines(
    f: Callable[[Vector], Vector],
    theta: Vector,
    v: Vector,
    f0: Vector,
    entries: NDArray[np.intp],
    scale: Vector,
    sigma: float,
    *,
    reuse: bool = False,
) -> Lines:
    """Return the lines along single entries of theta, all of one group; scale has one element for each of them.

    With ``reuse`` f is trusted to leave its argument as it was.
    """
    scratch = Scratch(theta, reuse)

    def move(line: int, t: float) -> tuple[Vector, float]:
        entry = int(entries[line])
        point = scratch.point(slice(entry, entry + 1))
        point[entry] = theta[entry] + t
        return point, float(point[entry] - theta[entry])

    count = len(entries)
    return Lines(f, v, f0, move, scale, np.full(count, sigma), np.zeros(count, np.intp))


def sample(lines: Lines, which: NDArray[np.intp], steps: Vector) -> tuple[Vector, Vector]:
    """Return slope and bend of each line in ``which`` at its step: nan where f is not finite there."""
    slope = np.empty(len(which))
    bend = np.empty(len(which))
    with np.errstate(all="ignore"):
        for position, (line, step) in enumerate(zip(which.tolist(), steps.tolist(), strict=True)):
            ahead, forth = lines.move(line, step)
            f_ahead = lines.f(ahead)
            behind, back = lines.move(line, -step)
            f_behind = lines.f(behind)
            width = np.float64(forth - back)
            slope[position] = ((f_ahead - f_behind) @ lines.v) / width
            bend[position] = (((f_ahead - lines.f0) + (f_behind - lines.f0)) @ lines.v) / (width / 2)
    broken = ~np.isfinite(slope) | ~np.isfinite(bend)
    slope[broken] = bend[broken] = np.nan
    return slope, bend
