"""Where a second opinion starts, so that it shares nothing with the first.

A ladder that starts coarse can settle on the slow part of a function: x^2 + sin(10^6 x) is a clean parabola to steps
that span many waves. What is there to be seen at smaller steps is amplified by them, until rounding drowns it. So the
second ladder starts as low as rounding allows for the bar that it is to confirm, with a ratio that is no power of two;
one probe, a single difference, is taken lower still; and where these contradict each other a third ladder starts there.
"""

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.ladder import FINEST, FIRST, START
from rnngrad.numdiff.sample import Lines, sample
from rnngrad.numdiff.tableau import SAFETY, rounding_growth
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["FINE", "RATIO", "SPAN", "apart", "from_below", "probe_at", "second_start"]

RATIO = 1.6  # not dyadic, so that samples of the two ladders never coincide
NINTH = 0.11  # the first step of the second ladder, relative to that of the first, at most
SPAN = 3.0  # how many summed bars two honest estimates may be apart: no bar of 168,320 was short by 5
HALF = 0.5  # share of the bar to be confirmed that is left to rounding
KNOWN = 1e-6  # relative bar above which a first estimate says too little to aim at
FINE = 1e-14  # relative bar below which nothing is aimed at
BELOW = 1e-5  # relative rounding of the third ladder at its start; it climbs on to what is better from there
TELLING = 0.1  # rounding that a probe may have, relative to the gap that it is to tell
LOWEST = FINEST * 2.0**6  # of the scale: from here a ladder has six octaves left to go down


def second_start(lines: Lines, first: Estimate) -> Vector:
    """Return where the second ladder starts on each line, relative to its scale.

    That is where rounding takes half of the bar of the first estimate, so that it can be confirmed at once.
    """
    size = np.abs(first.value)
    with np.errstate(all="ignore"):
        start = window(lines, HALF * np.clip(first.bar, FINE * size, KNOWN * size)) / lines.scale
    return np.where(np.isfinite(start), np.clip(start, LOWEST, NINTH * FIRST), NINTH * FIRST)


def from_below(lines: Lines, slope: Vector, smallest: Vector) -> Vector:
    """Return where the third ladder starts on each line, relative to its scale: well below the smallest step so far.

    ``slope`` is what the derivative is about.
    """
    with np.errstate(all="ignore"):
        most = np.nan_to_num(smallest / 4 / lines.scale, nan=NINTH * FIRST)
        start = np.fmin(window(lines, BELOW * np.abs(slope)) / lines.scale, most)
    return np.fmax(start, LOWEST)


def window(lines: Lines, bar: Vector) -> Vector:
    """Return the largest of the three steps with which a ladder starts whose rounding takes this bar."""
    growth = SAFETY * np.sqrt(0.5) * rounding_growth(RATIO, START)[-1] * RATIO ** (START - 1)
    return np.asarray(growth * lines.sigma / bar)


def apart(one: Estimate, other: Estimate) -> Vector:
    """Return how far two estimates are apart: 0 where their bars allow for it, infinite where one has no value."""
    with np.errstate(all="ignore"):
        distance = np.abs(one.value - other.value)
        return np.where(distance <= SPAN * (one.bar + other.bar), 0.0, np.nan_to_num(distance, nan=np.inf))


def probe_at(lines: Lines, some: NDArray[np.intp], gap: Vector, smallest: Vector) -> tuple[NDArray[np.intp], Vector]:
    """Take one central difference on each of some lines, at the smallest step that can still tell a gap.

    Return the lines on which that is smaller than the steps taken so far, and the slopes there.
    """
    with np.errstate(all="ignore"):
        step = SAFETY * lines.sigma * np.sqrt(0.5) / (TELLING * gap)
        smaller = np.isfinite(step) & (step > 0) & (step < smallest)
    probed = some[smaller[some]]
    return probed, sample(lines, probed, step[probed])[0]
