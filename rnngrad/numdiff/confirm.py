"""A second opinion before anybody is accused.

Where a claimed derivative lies outside the bar of the first ladder, a second one is climbed with a ratio that is no
power of two and from steps nine times smaller, so that it does not share the aliases of the first (sin(1000 x) at
dyadic steps looks like a slow wave). A single difference at the smallest step that can still tell the claim from the
numbers then asks the same of the immediate neighbourhood.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.ladder import FIRST, climb
from rnngrad.numdiff.sample import Lines, sample
from rnngrad.numdiff.tableau import SAFETY
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["Confirmation", "confirm", "probe_at"]

RATIO = 1.6  # not dyadic, so that samples of the two ladders never coincide
START = 0.11  # the first step of the second ladder, relative to that of the first
SPAN = 3.0  # how many summed bars two honest estimates may be apart: no bar of 168,320 was short by 5
TARGET = 1e-14  # who accuses goes as far as rounding lets him
TELLING = 0.1  # rounding that the probe may have, relative to the distance between the claim and the numbers


@dataclass(frozen=True)
class Confirmation:
    """A second estimate, and where the first one, the second one and the probe tell the same story."""

    second: Estimate
    agrees: NDArray[np.bool_]


def confirm(lines: Lines, first: Estimate, claimed: Vector) -> Confirmation:
    """Estimate the lines again, independently, and compare.

    ``agrees`` is False where the two estimates are further apart than their bars allow, or where the smallest
    telling difference is closer to the claim than to the numbers.
    """
    second = climb(lines, ratio=RATIO, first=FIRST * START, target=TARGET)
    with np.errstate(all="ignore"):
        agrees = np.abs(first.value - second.value) <= SPAN * (first.bar + second.bar)
        gap = np.abs(claimed - second.value)
    probed, probe = probe_at(lines, np.flatnonzero(agrees), gap, np.fmin(first.step, second.step))
    nearer_claim = np.abs(probe - claimed[probed]) < np.abs(probe - second.value[probed])
    agrees[probed[nearer_claim]] = False
    return Confirmation(replace(second, evaluations=second.evaluations + 2 * len(probed)), agrees)


def probe_at(lines: Lines, some: NDArray[np.intp], gap: Vector, smallest: Vector) -> tuple[NDArray[np.intp], Vector]:
    """Take one central difference on each of some lines, at the smallest step that can still tell a gap.

    Return the lines on which that is smaller than the steps taken so far, and the slopes there.
    """
    with np.errstate(all="ignore"):
        step = SAFETY * lines.sigma * np.sqrt(0.5) / (TELLING * gap)
        smaller = np.isfinite(step) & (step > 0) & (step < smallest)
    probed = some[smaller[some]]
    return probed, sample(lines, probed, step[probed])[0]
