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

from rnngrad.numdiff.scale import norm
from rnngrad.tree import Vector

__all__ = ["FLOOR", "Noise", "lost_in_single", "measure_noise"]

LINES = 3  # lines along which the noise is sampled; with POINTS, 27 evaluations at any number of parameters
POINTS = 9  # points a line: Moré and Wild find 7 to 9 enough
ODD = 8  # step multiples are drawn from 1, 3, ..., 2 * ODD - 1
FLOOR = 0.3  # ulp; a correctly rounded operation has a uniform error, whose standard deviation is 1 / sqrt(12)
SHORT = 2.0**12  # a float with so few mantissa bits is an exact small number, no sign of single precision
GAMMA = [factorial(k) ** 2 / factorial(2 * k) for k in range(POINTS)]  # Moré and Wild, equation 2.5


@dataclass(frozen=True)
class Noise:
    """The noise of a function near one point: its standard deviation ``sigma``, and what it was told by.

    ``single`` is True where the outputs are those of a computation in single precision.
    """

    sigma: float
    single: bool
    evaluations: int


def measure_noise(
    f: Callable[[Vector], Vector], theta: Vector, scale: Vector, v: Vector, f0: Vector, seed: int = 0
) -> Noise:
    """Measure the standard deviation of the noise in <v, f> near theta.

    The larger of two estimates is taken: that of every output, combined in quadrature and floored at 0.3 ulp of the
    output, and that of <v, f> itself, which sees errors that are common to the outputs.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        unit = float(np.max(np.abs(f0 * v), initial=0.0)) or 1.0  # noise is measured in it, so that no square overflows
    tables = sampled(f, theta, scale, rng, single=False)
    single = all(is_single(values.ravel()) for values in tables) and is_single(f0)
    if single:
        tables = sampled(f, theta, scale, rng, single=True)
    with np.errstate(all="ignore"):
        squares = (FLOOR * spacing(f0, single) * v / unit) ** 2
        whole = 0.0
        for values in tables:
            weighted = values * (v / unit)
            usable = np.isfinite(weighted).all(axis=0)
            squares = np.maximum(squares, np.where(usable, difference_noise(weighted), 0.0) ** 2)
            if usable.all():
                whole = max(whole, float(difference_noise(weighted.sum(axis=1, keepdims=True))[0]))
        sigma = unit * max(whole, float(np.sqrt(squares.sum())))
    return Noise(sigma, single, LINES * POINTS * (2 if single else 1))


def lost_in_single(f: Callable[[NDArray[Any]], NDArray[Any]], theta: Vector, v: Vector, f0: Vector) -> float:
    """Return the noise of <v, f> that a run in float32 predicts: what it loses, scaled to the precision of float64.

    Rounding that a few ulp of the inputs do not stir stays hidden from differences: 1 + tanh(-30) is one and the same
    number all around, and far from exact. In float32 it shows. A function that does not run in float32 predicts 0.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            lost = norm(v * (np.asarray(f(theta.astype(np.float32)), dtype=np.float64) - f0))
        except Exception:
            return 0.0
    return lost * float(np.finfo(np.float64).eps / np.finfo(np.float32).eps) if np.isfinite(lost) else 0.0


def sampled(
    f: Callable[[Vector], Vector], theta: Vector, scale: Vector, rng: np.random.Generator, *, single: bool
) -> list[NDArray[np.float64]]:
    """Return the values of f along a few lines, at points a few ulp of the given precision apart."""
    ulp = spacing(np.where(theta == 0, -scale, theta), single)
    ulp *= -np.sign(theta) + (theta == 0)  # towards zero, and away from it where it is there
    tables = []
    for _ in range(LINES):
        step = (2.0 * rng.integers(0, ODD, theta.size, dtype=np.int8) + 1.0) * ulp
        tables.append(np.array([f(theta + j * step) for j in range(POINTS)]))
    return tables


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
    if single:
        return np.asarray(np.spacing(np.abs(values).astype(np.float32)), dtype=np.float64)
    return np.asarray(np.spacing(np.abs(values)))


def difference_noise(values: NDArray[np.float64]) -> Vector:
    """Return the noise of each column of a table of equispaced values.

    It is the estimate of the first order k at which it agrees with the next two to a factor of 4 while the
    differences change sign, as Moré and Wild's; where there is none, the largest of the orders that a line and a
    parabola leave no trace in.
    """
    sigma = []
    signs = []
    with np.errstate(all="ignore"):
        differences = values
        for k in range(1, POINTS - 2):
            differences = np.diff(differences, axis=0)
            sigma.append(np.sqrt(GAMMA[k] * np.mean(differences**2, axis=0)))
            signs.append(differences.min(axis=0) * differences.max(axis=0) < 0)
        table = np.array(sigma)
        chosen = table[2:].max(axis=0)
        for k in reversed(range(len(table) - 2)):
            three = table[k : k + 3]
            agree = (three.max(axis=0) <= 4 * three.min(axis=0)) & signs[k]
            chosen = np.where(agree, table[k], chosen)
    return np.asarray(chosen)
