"""A second opinion before anybody is accused.

Where a claimed derivative lies outside the bar of the first ladder, a second, independent one is climbed. A single
difference at the smallest step that can still tell the claim from the numbers then asks the same of the immediate
neighbourhood. Where the three do not tell the same story nobody is accused, but a third ladder from below can acquit.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.independent import FINE, RATIO, SPAN, apart, from_below, probe_at, second_start
from rnngrad.numdiff.ladder import climb
from rnngrad.numdiff.rows import substituted
from rnngrad.numdiff.sample import Lines
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["Confirmation", "confirm"]


@dataclass(frozen=True)
class Confirmation:
    """An independent estimate, and where the first one, the second one and the probe tell the same story."""

    second: Estimate
    agrees: NDArray[np.bool_]


def confirm(lines: Lines, first: Estimate, claimed: Vector) -> Confirmation:
    """Estimate the lines again, independently and as far as rounding allows, and compare.

    ``agrees`` is False where the two estimates are further apart than their bars allow, or where the smallest
    telling difference is closer to the claim than to the numbers. There the estimate is that of a third ladder, unless
    the second one meets the claim already.
    """
    second = climb(lines, ratio=RATIO, first=second_start(lines, first), target=FINE)
    smallest = np.fmin(first.step, second.step)
    gap = np.abs(claimed - second.value)
    probe = np.full(lines.count, np.nan)
    probed, slopes = probe_at(lines, np.arange(lines.count), gap, smallest)
    probe[probed] = slopes
    agrees = (apart(first, second) == 0) & ~(np.abs(probe - claimed) < np.abs(probe - second.value))
    second = replace(second, evaluations=second.evaluations + 2 * len(probed))
    open_still = np.flatnonzero(~agrees & (gap > SPAN * second.bar))
    if len(open_still):
        about = np.where(np.isfinite(probe), probe, second.value)[open_still]
        local = lines.take(open_still)
        third = climb(local, first=from_below(local, about, smallest[open_still]), target=FINE)
        second = substituted(second, open_still, third)
    return Confirmation(second, agrees)
