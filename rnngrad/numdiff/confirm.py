"""A second opinion before anybody is accused.

Where a claimed derivative lies outside the bar of the first ladder, a second one is climbed with a ratio that is no
power of two and from steps nine times smaller, so that it does not share the aliases of the first (sin(1000 x) at
dyadic steps looks like a slow wave). A single difference at the smallest step that can still tell the claim from the
numbers then asks the same of the immediate neighbourhood.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.ladder import FIRST, climb
from rnngrad.numdiff.sample import Lines, sample
from rnngrad.numdiff.tableau import SAFETY
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["Confirmation", "confirm"]

RATIO = 1.6  # not dyadic, so that samples of the two ladders never coincide
START = 0.11  # the first step of the second ladder, relative to that of the first
SPAN = 3.0  # how many summed bars two honest estimates may be apart: no bar of 168,320 was short by 5
TELLING = 0.1  # rounding that the probe may have, relative to the distance between the claim and the numbers


@dataclass(frozen=True)
class Confirmation:
    """A second estimate, and where the first one, the second one and the probe tell the same story."""

    second: Estimate
    agrees: NDArray[np.bool_]


def confirm(lines: Lines, first: Estimate, claimed: Vector, sigma: float) -> Confirmation:
    """Estimate the lines again, independently, and compare.

    ``agrees`` is False where the two estimates are further apart than their bars allow, or where the smallest
    telling difference is closer to the claim than to the numbers.
    """
    second = climb(lines, sigma, ratio=RATIO, first=FIRST * START)
    with np.errstate(all="ignore"):
        agrees = np.abs(first.value - second.value) <= SPAN * (first.bar + second.bar)
        gap = np.abs(claimed - second.value)
        step = SAFETY * sigma * np.sqrt(0.5) / (TELLING * gap)
        smaller = np.isfinite(step) & (step > 0) & (step < np.fmin(first.step, second.step))
    probed = np.flatnonzero(agrees & smaller)
    probe, _ = sample(lines, probed, step[probed])
    nearer_claim = np.abs(probe - claimed[probed]) < np.abs(probe - second.value[probed])
    agrees[probed[nearer_claim]] = False
    evaluations = second.evaluations + 2 * len(probed)
    return Confirmation(Estimate(second.value, second.bar, second.jump, second.step, evaluations), agrees)
