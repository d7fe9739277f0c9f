"""How much rounding noise a function carries: measured, not assumed.

ECNoise (Moré and Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33, 2011): the k-th differences of a
function at equispaced points a few ulp apart hold nothing but noise, since what is smooth has been differenced
away; their size, times a known factor, is its standard deviation. The steps are odd multiples of an ulp, towards
zero: then every point is a floating-point number and the spacing is exact, and no low bit stays constant and hides
its rounding, as it would under powers of two.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.scale import Lengths, norm
from rnngrad.tree import Vector

__all__ = ["EVALUATIONS", "FLOOR", "NEARBY", "ONE_LINE", "Noise", "lost_in_single", "lost_nearby", "measure_noise"]

# Lines, and points on each with theta itself among them, for so many outputs or more: each output has rounding of its
# own and makes up for lines. Moré and Wild find 7 to 9 points enough. From 256 outputs on one line of 9 points told
# 0.65 of what six lines told at the median and 0.26 at the first percentile of 500 points of cells, and one of 7 points
# as much: 0.63 and 0.24.
SAMPLES = {256: (1, 7), 16: (2, 9), 0: (3, 9)}
MOST = max(points for _, points in SAMPLES.values())
EVALUATIONS = max(lines * (points - 1) for lines, points in SAMPLES.values())  # at most, in double precision
ONE_LINE = MOST - 1  # evaluations
ODD = 8  # step multiples are drawn from 1, 3, ..., 2 * ODD - 1
SIGN_AND_EXPONENT = np.int64(-1) << 52  # the bits of a float64 that leave its power of two
COLUMNS = 64  # columns that outputs are folded into: a quadrature of so many is known to a tenth
NEARBY = 3  # points at which single and double precision are compared: one difference may be small by accident
NEAR = (
    2.0**-7
)  # how far off they are at most, relative to theta: some ulp might stir nothing in single precision either
FLOOR = 0.3  # ulp; a correctly rounded operation has a uniform error, whose standard deviation is 1 / sqrt(12)
SHORT = 2.0**12  # a float with so few mantissa bits is an exact small number, no sign of single precision
GAMMA = [factorial(k) ** 2 / factorial(2 * k) for k in range(MOST)]  # Moré and Wild, equation 2.5


@dataclass(frozen=True)
class Noise:
    """The noise of a function near one point: its standard deviation ``sigma``, and what it was told by.

    ``single`` is True where the outputs are those of a computation in single precision.
    """

    sigma: float
    single: bool
    evaluations: int


def measure_noise(
    f: Callable[[Vector], Vector],
    theta: Vector,
    scale: Lengths,
    v: Vector,
    f0: Vector,
    seed: int = 0,
    *,
    lines: int | None = None,
    reuse: bool = False,
) -> Noise:
    """Measure the standard deviation of the noise in <v, f> near theta.

    The larger of two estimates is taken: that of every output, combined in quadrature and floored at 0.3 ulp of the
    output, and that of <v, f> itself, which sees errors that are common to the outputs. It takes at most ONE_LINE
    evaluations for each of ``lines``, by default what is enough for so many outputs, and twice that in single
    precision. With ``reuse`` f is trusted to leave its argument as it was.
    """
    many, points = next(counts for least, counts in SAMPLES.items() if len(f0) >= least)
    count = many if lines is None else lines
    rng = np.random.default_rng(seed)
    fold = Fold(f0, v, rng)
    tables, single = sampled(f, theta, scale, f0, fold, rng, (count, points), single=False, reuse=reuse)
    if single:
        tables, _ = sampled(f, theta, scale, f0, fold, rng, (count, points), single=True, reuse=reuse)
    with np.errstate(all="ignore"):
        finite = np.isfinite(tables).all(axis=1)
        sigma = np.where(finite, difference_noise(tables), 0.0).max(axis=0)
        outputs = np.maximum(fold.floor(FLOOR * spacing(f0, single)), sigma[:-1])
    evaluations = count * (points - 1) * (2 if single else 1)
    return Noise(fold.unit * max(float(sigma[-1]), norm(outputs)), single, evaluations)


class Fold:
    """Outputs weighted by v and folded into a few columns; the last one is <v, f>.

    What is folded has random signs, so that the noise of a column is that of its outputs in quadrature. All is in units
    of the largest term, so that no square overflows.
    """

    def __init__(self, f0: Vector, v: Vector, rng: np.random.Generator) -> None:
        with np.errstate(all="ignore"):
            self.unit = float(np.max(np.abs(f0 * v), initial=0.0)) or 1.0
            self.v = v / self.unit
        self.starts = np.arange(0, len(v), len(v) // COLUMNS + 1)
        self.signed = self.v * (2.0 * rng.integers(0, 2, len(v)) - 1.0)

    def __call__(self, values: Vector) -> Vector:
        return np.append(np.add.reduceat(values * self.signed, self.starts), values @ self.v)

    def floor(self, errors: Vector) -> Vector:
        """Return the size of independent errors of the outputs in each column but the last."""
        return np.asarray(np.sqrt(np.add.reduceat((errors * self.v) ** 2, self.starts)))


def lost_in_single(f: Callable[[NDArray[Any]], NDArray[Any]], theta: NDArray[Any], v: Vector, f0: Vector) -> float:
    """Return the noise of <v, f> that a run in float32 predicts: what it loses, scaled to the precision of float64.

    Rounding that a few ulp of the inputs do not stir stays hidden from differences: 1 + tanh(-30) is one and the same
    number all around, and far from exact. In float32 it shows. A function that does not run in float32 predicts 0, and
    so does an output that is too small for it.
    """
    limits = np.finfo(np.float32)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            change = np.asarray(f(theta.astype(np.float32)), dtype=np.float64) - f0
        except Exception:
            return 0.0
        held = (f0 == 0) | (np.abs(f0) >= float(limits.tiny))
        lost = norm(v * np.where(held, change, 0.0))
    return lost * float(np.finfo(np.float64).eps / limits.eps) if np.isfinite(lost) else 0.0


def lost_nearby(f: Callable[[NDArray[Any]], Vector], theta: Vector, v: Vector, seed: int = 0) -> float:
    """Return what `lost_in_single` does, from points near theta that single precision holds, where only f rounds.

    It takes 2 NEARBY evaluations, half of them in float32.
    """
    rng = np.random.default_rng(seed)
    lost = [0.0]
    with np.errstate(all="ignore"):
        for _ in range(NEARBY):
            near = (theta * (1 - NEAR * rng.random(len(theta)))).astype(np.float32)
            lost.append(lost_in_single(f, near, v, f(near.astype(np.float64))))
    return max(lost)


def sampled(
    f: Callable[[Vector], Vector],
    theta: Vector,
    scale: Lengths,
    f0: Vector,
    fold: Callable[[Vector], Vector],
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    single: bool,
    reuse: bool,
) -> tuple[NDArray[np.float64], bool]:
    """Return f, folded, along lines at points a few ulp of a precision apart, and whether all is in float32.

    ``shape`` is the number of lines and that of points on each. The first point of every line is theta itself.
    """
    still = np.flatnonzero(theta == 0)
    away = spacing(scale[still], single)
    alike = is_single(f0)
    with np.errstate(all="ignore"):
        first = fold(f0)
        tables = np.empty((*shape, len(first)))
        tables[:, 0] = first
        point = np.empty_like(theta)
        for table in tables:
            step = signed_ulp(theta, single)
            step[still] = -away
            step *= np.frombuffer(rng.bytes(len(theta)), np.uint8) & (2 * ODD - 1) | 1
            point[:] = theta
            for row in range(1, len(table)):
                point -= step  # exact: towards zero, and away from it where it is there
                values = f(point if reuse else point.copy())
                alike = alike and is_single(values)
                table[row] = fold(values)
            del step  # before the next one is made: each is a copy of theta
    return tables, alike


def signed_ulp(theta: Vector, single: bool) -> Vector:
    """Return the spacing of the numbers of a precision at each entry of theta, with its sign; 0 at subnormal ones."""
    power = (theta.view(np.int64) & SIGN_AND_EXPONENT).view(np.float64)
    power *= np.finfo(np.float32 if single else np.float64).eps
    return power


def is_single(values: Vector) -> bool:
    """Tell whether values come from single precision: all are float32 numbers, and not all of them short ones."""
    if not values.size or not np.isfinite(values).all():
        return False
    with np.errstate(over="ignore"):
        rounded = values.astype(np.float32).astype(np.float64)
    mantissa = np.frexp(values)[0] * SHORT
    return bool((rounded == values).all() and (mantissa != np.round(mantissa)).any())


def spacing(values: Vector, single: bool) -> Vector:
    """Return the distance from each value to the next floating-point number of its precision."""
    return np.asarray(np.spacing(np.abs(values).astype(np.float32 if single else np.float64)), dtype=np.float64)


def difference_noise(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the noise of each column of tables of equispaced values, of shape (tables, points, columns).

    It is the estimate of the first order k at which it agrees with the next two to a factor of 4 while the
    differences change sign, as Moré and Wild's; where there is none, the largest of the orders that a line and a
    parabola leave no trace in.
    """
    points = tables.shape[1]
    sigma = []
    signs = []
    with np.errstate(all="ignore"):
        differences = tables
        for k in range(1, points - 2):
            differences = differences[:, 1:] - differences[:, :-1]
            sigma.append(np.sqrt(GAMMA[k] / (points - k) * np.einsum("tpc,tpc->tc", differences, differences)))
            signs.append(differences.min(axis=1) * differences.max(axis=1) < 0)
        table = np.array(sigma)
        chosen = table[2:].max(axis=0)
        for k in reversed(range(len(table) - 2)):
            three = table[k : k + 3]
            agree = (three.max(axis=0) <= 4 * three.min(axis=0)) & signs[k]
            chosen = np.where(agree, table[k], chosen)
    return np.asarray(chosen)
