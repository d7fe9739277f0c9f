"""The complex step: a derivative without truncation, at one evaluation, where the function is safe for it.

    d/dt f(theta + t d) = Im f(theta + i h d) / h,    h = 1e-20

(Squire and Trapp, SIAM Review 40, 1998; Martins, Sturdza and Alonso, ACM TOMS 29, 2003.) A function that is not
analytic, such as abs, norm, real or a cast to real, gives wrong numbers without a word. So it is certified first, at
the point and along a direction: complex numbers go through it without an error or a warning, the real part does not
change, and the imaginary part of every single output meets a short ladder of real differences.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.scale import norm
from rnngrad.numdiff.tableau import EPS, SAFETY
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["Certificate", "certify", "imaginary_slopes"]

STEP = 1e-20
STARTS = (2.0**-5, 2.0**-10, 2.0**-15)  # where the short ladders start: one of them fits what varies fast
SAME = 1e3  # eps by which the real part may change: complex exp and tanh round otherwise than the real ones
MEETS = 10.0  # error estimates by which an output may differ from its ladder
NOTHING = 1e-10  # share of the largest slope that no unsafe function would change an output's slope by
CARRIED = 16.0  # eps of the slopes of the outputs: a preactivation of 40 carries 80 eps into the slope of tanh
CLEAR = 1e-3  # a ladder whose error is a larger share of the largest slope certifies nothing

Evaluate = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Certificate:
    """Whether a function is safe for the complex step; ``reason`` says why not."""

    safe: bool
    reason: str
    evaluations: int


def certify(
    f: Evaluate, f_complex: Evaluate, theta: Vector, f0: Vector, direction: Direction, *, noise: float = 1.0
) -> Certificate:
    """Certify a function for the complex step along a direction.

    f takes real vectors; f_complex is the same function for complex ones, and may raise. ``noise`` is that of the
    outputs, in units of what correctly rounded ones would have.
    """
    try:
        values = at_complex(f_complex, theta, direction)
    except Exception as error:
        return Certificate(False, f"it raises {type(error).__name__} for complex inputs", 1)
    if values.shape != f0.shape or values.dtype.kind != "c":
        return Certificate(False, "its outputs are not complex for complex inputs", 1)
    if not (np.abs(values.real - f0) <= SAME * EPS * np.abs(f0).max(initial=0.0)).all():
        return Certificate(False, "its real part changes for complex inputs", 1)
    with np.errstate(all="ignore"):
        slope, doubt = short_ladders(f, theta, np.abs(f0) * max(noise, 1.0), direction)
    evaluations = 1 + 6 * len(STARTS)
    if not (doubt <= CLEAR * np.abs(slope).max(initial=0.0)).all():
        return Certificate(False, "no short ladder of real differences is clear enough to certify it", evaluations)
    if not (np.abs(values.imag / STEP - slope) <= MEETS * doubt + NOTHING * np.abs(slope).max(initial=0.0)).all():
        return Certificate(False, "its imaginary part is not its derivative", evaluations)
    return Certificate(True, "", evaluations)


def at_complex(f: Evaluate, theta: Vector, direction: Direction) -> NDArray[Any]:
    """Return f(theta + i h d); a complex number cast to a real one is an error."""
    point = theta.astype(np.complex128)
    point.imag[direction.start : direction.stop] = STEP * direction.values
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        return f(point)


def short_ladders(f: Evaluate, theta: Vector, size: Vector, direction: Direction) -> tuple[Vector, Vector]:
    """Return the slope of every output along a direction, and an error estimate, from the best of a few ladders.

    The outputs are rounded like correctly rounded numbers of the given size.
    """
    best = np.zeros_like(size)
    smallest = np.full_like(size, np.inf)
    for start in STARTS:
        slopes = [central(f, theta, direction, start / 2**k) for k in range(3)]
        first = [b + (b - a) / 3 for a, b in pairwise(slopes)]
        second = first[1] + (first[1] - first[0]) / 15
        rounding = SAFETY * EPS * size / (start / 4) + SAFETY * EPS * np.abs(second)
        error = np.maximum(np.abs(second - first[1]), np.abs(second - first[0])) + rounding
        better = error < smallest
        best[better], smallest[better] = second[better], error[better]
    return best, smallest


def central(f: Evaluate, theta: Vector, direction: Direction, t: float) -> Vector:
    """Return the central difference of every output."""
    sides = []
    for step in (t, -t):
        point = theta.copy()
        point[direction.start : direction.stop] += step * direction.values
        sides.append(f(point))
    return np.asarray((sides[0] - sides[1]) / (2 * t))


def imaginary_slopes(
    f: Evaluate, theta: Vector, v: Vector, directions: Sequence[Direction], sigma: Vector, *, noise: float = 1.0
) -> Estimate:
    """Return the slope of <v, f> along each direction by the complex step, sigma being the noise of <v, f>.

    The error is that of evaluating f: relative to the slopes of the outputs, which are ``noise`` times as noisy as
    correctly rounded ones, and never below sigma. An entry is nan where f does not take this input after all.
    """
    value, bar = np.full(len(directions), np.nan), np.full(len(directions), np.inf)
    for line, direction in enumerate(directions):
        try:
            slopes = v * (at_complex(f, theta, direction).imag / STEP)
        except Exception:
            continue
        value[line] = slopes.sum()
        bar[line] = SAFETY * (EPS * abs(value[line]) + CARRIED * max(noise, 1.0) * EPS * norm(slopes) + sigma[line])
    still = np.zeros(len(directions))
    return Estimate(value, bar, still, still, still, evaluations=len(directions))
