"""Whether forward is smooth where somebody is about to be accused.

Central differences alone are confidently wrong at a kink, and where several kinks meet on one line their slope jumps
may cancel in <v, f>, so that none shows in its extrapolation. So the last word before an accusation is asked of every
output apart, at a step so small that rounding can just tell the claim from the numbers: is the slope there still that
of the numbers, do the bends of the outputs, extrapolated to a step of zero, leave no room for the claim, and is none
of them on a plateau of rounding that hides the difference?
"""

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.plateau import hidden_slope
from rnngrad.numdiff.ladder import FINEST
from rnngrad.numdiff.sample import Lines
from rnngrad.numdiff.tableau import SAFETY
from rnngrad.tree import Vector

__all__ = ["smooth"]

TELLING = 0.1  # rounding that the jump may have, relative to the distance between the claim and the numbers
HIDDEN = 0.5  # of the gap between claim and numbers: what a plateau may hide, which is all of it or a fifth at most
GROWTH = 5.0 * np.sqrt(6.0)  # by which the noise of f exceeds that of a bend, and twice one bend less another


def smooth(lines: Lines, claimed: Vector, numeric: Vector, step: Vector) -> NDArray[np.bool_]:
    """Tell for each line whether the neighbourhood of the point bears out the numbers against the claim.

    ``step`` is the smallest that was taken on each line so far; no larger one is used.
    """
    return np.array([bears_out(lines, line, *row) for line, row in enumerate(zip(claimed, numeric, step, strict=True))])


def bears_out(lines: Lines, line: int, claimed: float, numeric: float, step: float) -> bool:
    """Tell whether one line is smooth enough at the point for the difference of claim and numbers."""
    gap = abs(claimed - numeric)
    with np.errstate(all="ignore"):
        telling = SAFETY * GROWTH * lines.sigma[line] / (TELLING * gap)
        step = float(np.fmin(step, np.fmax(telling, FINEST * lines.scale[line])))
        slopes, bends = zip(*(both_sides(lines, line, h) for h in (step, step / 2)), strict=True)
        slope = float((4 * slopes[1] - slopes[0]) @ lines.v) / 3  # what the two steps leave of truncation
        jump = float(np.abs((2 * bends[1] - bends[0]) * lines.v).sum())
    if abs(slope - claimed) < abs(slope - numeric) or gap <= jump:
        return False
    return hidden_slope(lines, line, step, HIDDEN * gap) < HIDDEN * gap


def both_sides(lines: Lines, line: int, step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and bend of every output."""
    ahead, forth = lines.move(line, step)
    f_ahead = lines.f(ahead)
    behind, back = lines.move(line, -step)
    f_behind = lines.f(behind)
    width = np.float64(forth - back)
    return (f_ahead - f_behind) / width, ((f_ahead - lines.f0) + (f_behind - lines.f0)) / (width / 2)
