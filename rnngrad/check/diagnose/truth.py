"""The derivatives of all outputs along single entries, so that the true gradient is known for any cotangent.

They come from the complex step where it is certified at the point, else from three central differences, extrapolated.
Of tensors that are too large for that some entries stand for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.certificate import certified
from rnngrad.check.point import Point
from rnngrad.check.question import OWN_NOISE, OWN_ROUNDING
from rnngrad.numdiff.complex_step import CARRIED, STEP
from rnngrad.numdiff.directional import draw_direction
from rnngrad.numdiff.tableau import EPS, SAFETY
from rnngrad.tree import Vector, pack

__all__ = ["Truth", "row_limits", "true_gradients"]

ROWS = 512  # entries looked at, at most, where one pass tells all of one; a quarter of them where six are needed
FEWEST = 48  # and at least
WORK = 2**25  # numbers that may come in and out of forward altogether before it is fewer than ROWS
NUMBERS = 2**22  # derivatives kept at most: 32 MB
FIRST = 2.0**-8  # the largest of the three steps, relative to the scale: a kink further away than that is not met
BLUR = 1e-5  # an entry whose bar is a larger share of the largest one is left out
FLOOR = 1e-8  # unless it is this small a share of what outputs of their size could have


@dataclass(frozen=True)
class Truth:
    """For each input the entries that were looked at; for each of these the derivative of every output, with error."""

    point: Point
    entries: dict[str, NDArray[np.intp]]
    slopes: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]

    def gradient(self, name: str, cotangents: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], float]:
        """Return the true gradient of one input for some cotangents, and the largest bar of its entries.

        Entries that were not looked at, or are not known well enough, are nan.
        """
        v = pack(list(cotangents.values()))
        values = self.slopes[name] @ v
        scale = self.point.scale[self.point.parts[name]].min()
        largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
        bars = self.errors[name] @ np.abs(v) + OWN_NOISE * self.point.sigma / scale + OWN_ROUNDING * EPS * largest
        known = bars <= BLUR * largest + FLOOR * self.point.magnitude / scale
        joined = np.full(len(self.point.theta), np.nan)
        joined[self.point.parts[name].start + self.entries[name]] = np.where(known, values, np.nan)
        return self.point.of(name, joined).copy(), float(np.max(bars, initial=0.0, where=known))


def true_gradients(point: Point, wanted: Mapping[str, Sequence[int] | NDArray[np.intp]]) -> Truth | None:
    """Differentiate all outputs along the wanted components of each input; None where these are too many."""
    entries = {name: np.asarray(some, np.intp) for name, some in wanted.items()}
    count = sum(map(len, entries.values()))
    if count * len(point.f0) > NUMBERS:
        return None
    direction = draw_direction(0, point.lengths(slice(0, len(point.theta))), point.theta, np.random.default_rng(0))
    exact = certified(point, direction).safe
    if count > row_limits(point)[0 if exact else 1]:
        return None
    slopes, errors = {}, {}
    with np.errstate(all="ignore"):
        for name, some in entries.items():
            rows = [(stepped if exact else central)(point, int(i) + point.parts[name].start) for i in some]
            slopes[name] = np.array([slope for slope, _ in rows]).reshape(len(some), len(point.f0))
            errors[name] = np.array([error for _, error in rows]).reshape(len(some), len(point.f0))
    return Truth(point, entries, slopes, errors)


def row_limits(point: Point) -> tuple[int, int]:
    """Return how many entries may be looked at by the complex step, and by differences."""
    most = min(ROWS, max(FEWEST, WORK // (len(point.theta) + len(point.f0))))
    return most, most // 4


def stepped(point: Point, entry: int) -> tuple[Vector, Vector]:
    """Return the derivatives along one entry by the complex step, and their errors."""
    theta = point.theta.astype(np.complex128)
    theta[entry] += STEP * 1j
    slope = point.forward.raw(theta).imag / STEP
    return slope, SAFETY * CARRIED * max(point.relative_noise, 1.0) * EPS * np.abs(slope)


def central(point: Point, entry: int) -> tuple[Vector, Vector]:
    """Return the derivatives along one entry by central differences, extrapolated twice, and their errors.

    Where the slopes on both sides differ by what does not shrink with the step, at a kink, that is an error too.
    """
    scale = float(point.scale[entry])
    slopes, bends = [], []
    for step in (FIRST, FIRST / 2, FIRST / 4):
        ahead, behind = point.theta.copy(), point.theta.copy()
        ahead[entry] += step * scale
        behind[entry] -= step * scale
        width = ahead[entry] - behind[entry]
        above, below = point.forward(ahead), point.forward(behind)
        slopes.append((above - below) / width)
        bends.append((above - 2 * point.f0 + below) / width)
    first = [b + (b - a) / 3 for a, b in pairwise(slopes)]
    second = first[1] + (first[1] - first[0]) / 15
    rounding = SAFETY * EPS * max(point.relative_noise, 1.0) * np.abs(point.f0) / (FIRST / 4 * scale)
    kinks = [2 * b - a for a, b in pairwise(bends)]  # free of the second derivative, and then of the fourth
    kink = np.abs(8 * kinks[1] - kinks[0]) / 7
    return second, np.abs(second - first[1]) + kink + rounding + SAFETY * EPS * np.abs(second)
