"""The complex step: a derivative without truncation, at one evaluation, where the function is safe for it.

    d/dt f(theta + t d) = Im f(theta + i h d) / h,    h = 1e-20

(Squire and Trapp, SIAM Review 40, 1998; Martins, Sturdza and Alonso, ACM TOMS 29, 2003.) A function that is not
analytic, such as abs, norm, real or a cast to real, gives wrong numbers without a word. So it is certified first, at
the point and along a direction: complex numbers go through it without an error or a warning, the real part does not
change, and the imaginary part of every single output meets a short ladder of real differences, which sees no kink.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
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

__all__ = ["PER_LADDER", "STARTS", "Certificate", "certify", "imaginary_slopes"]

STEP = 1e-20
STARTS = (2.0**-10, 2.0**-5, 2.0**-15)  # where the short ladders start: the first suits most, the last what varies fast
PER_LADDER = 6  # evaluations
SAME = 1e3  # eps by which the real part may change: complex exp and tanh round otherwise than the real ones
MEETS = 10.0  # error estimates by which an output may differ from its ladder
NOTHING = 1e-10  # share of the largest slope that no unsafe function would change an output's slope by
CARRIED = 16.0  # eps of the slopes of the outputs: a preactivation of 40 carries 80 eps into the slope of tanh
LOST = 4.0  # times what single precision lost; it is one draw, so that 14 of 800 slopes were further off than a bar
UNSTIRRED = 32.0  # sigma: what a saturated softmax loses shows in its slopes before it shows in its outputs
SINGLE_STEP = 2.0**-47  # exact times any slope; its square is far below an ulp
OBVIOUS = 1e-6  # ladders whose error is no larger a share of the largest slope need no other to be compared with
CLEAR = 1e-3  # a ladder whose error is a larger share of the largest slope certifies nothing

NOTHING_KNOWN: Mapping[int, Vector] = {}

Evaluate = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Certificate:
    """Whether a function is safe for the complex step; ``reason`` says why not, ``slopes`` what it says if it is."""

    safe: bool
    reason: str
    evaluations: int
    slopes: Vector | None = None


def certify(
    f: Evaluate,
    f_complex: Evaluate,
    theta: Vector,
    f0: Vector,
    direction: Direction,
    *,
    noise: float = 1.0,
    ladders: int = len(STARTS),
    reuse: bool = False,
) -> Certificate:
    """Certify a function for the complex step along a direction.

    f takes real vectors; f_complex is the same function for complex ones, and may raise. ``noise`` is that of the
    outputs, in units of what correctly rounded ones would have. At most so many short ``ladders`` are climbed, six
    evaluations each. With ``reuse`` both are trusted to leave their argument as it was.
    """
    try:
        values = at_complex(f_complex, theta.astype(np.complex128), direction)
    except Exception as error:
        return Certificate(False, f"it raises {type(error).__name__} for complex inputs", 1)
    if values.shape != f0.shape or values.dtype.kind != "c":
        return Certificate(False, "its outputs are not complex for complex inputs", 1)
    if not (np.abs(values.real - f0) <= SAME * EPS * np.abs(f0).max(initial=0.0)).all():
        return Certificate(False, "its real part changes for complex inputs", 1)
    with np.errstate(all="ignore"):
        short = ShortLadders(f, theta, f0, max(noise, 1.0), direction, reuse)
        for start in STARTS[:ladders]:
            slope, doubt = short.further(start)
            largest = np.abs(slope).max(initial=0.0)
            if (doubt <= OBVIOUS * largest).all():
                break
    if not (doubt <= CLEAR * largest).all():
        return Certificate(
            False, "no short ladder of real differences is clear enough to certify it", 1 + short.evaluations
        )
    slopes = values.imag / STEP
    if not (np.abs(slopes - slope) <= MEETS * doubt + NOTHING * largest).all():
        return Certificate(False, "its imaginary part is not its derivative", 1 + short.evaluations)
    if (short.bent > NOTHING * largest).any():
        return Certificate(False, "its slope jumps here, to which complex numbers are blind", 1 + short.evaluations)
    return Certificate(True, "", 1 + short.evaluations, slopes)


def at_complex(f: Evaluate, point: NDArray[np.complex128], direction: Direction) -> NDArray[Any]:
    """Return f at a point whose imaginary part is set to h d; a complex number cast to a real one is an error."""
    for block, values in direction.blocks():
        np.multiply(values, STEP, out=point.imag[block])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        return f(point)


class ShortLadders:
    """The slope of every output along a direction, with an error estimate, from the best short ladder.

    ``bent`` is how far its jump is above what rounding and curvature explain. The outputs are rounded like correctly
    rounded numbers, times the noise.
    """

    def __init__(self, f: Evaluate, theta: Vector, f0: Vector, noise: float, direction: Direction, reuse: bool) -> None:
        self.f, self.theta, self.f0, self.direction, self.reuse = f, theta, f0, direction, reuse
        self.point = theta.copy()
        size = self.size = np.abs(f0) * noise
        self.best = np.zeros_like(size)
        self.smallest = np.full_like(size, np.inf)
        self.bent = np.zeros_like(size)
        self.evaluations = 0

    def further(self, start: float) -> tuple[Vector, Vector]:
        """Climb one more ladder; return the best slopes and their errors."""
        slopes, bends = zip(*(self.central(start / 2**k) for k in range(3)), strict=True)
        first = [b + (b - a) / 3 for a, b in pairwise(slopes)]
        second = first[1] + (first[1] - first[0]) / 15
        rounding = SAFETY * EPS * self.size / (start / 4) + SAFETY * EPS * np.abs(second)
        error = np.maximum(np.abs(second - first[1]), np.abs(second - first[0])) + rounding
        jumps = [2 * b - a for a, b in pairwise(bends)]
        better = error < self.smallest
        self.best[better], self.smallest[better] = second[better], error[better]
        self.bent[better] = (np.abs(jumps[1]) - MEETS * (np.abs(jumps[1] - jumps[0]) + rounding))[better]
        return self.best, self.smallest

    def central(self, t: float) -> tuple[Vector, Vector]:
        """Return the central difference of every output, and its bend: the jump of its slope where t goes to 0."""
        sides = []
        for step in (t, -t):
            self.point = self.point if self.reuse else self.theta.copy()
            for block, values in self.direction.blocks():
                np.multiply(values, step, out=self.point[block])
                self.point[block] += self.theta[block]
            sides.append(self.f(self.point))
        self.evaluations += 2
        ahead, behind = sides[0] - self.f0, sides[1] - self.f0
        return (ahead - behind) / (2 * t), (ahead + behind) / t


def imaginary_slopes(
    f: Evaluate,
    theta: Vector,
    v: Vector,
    directions: Sequence[Direction],
    sigma: Vector,
    *,
    noise: float = 1.0,
    reuse: bool = False,
    known: Mapping[int, Vector] = NOTHING_KNOWN,
) -> Estimate:
    """Return the slope of <v, f> along each direction by the complex step, sigma being the noise of <v, f>.

    The error is that of evaluating f: relative to the slopes of the outputs, which are ``noise`` times as noisy as
    correctly rounded ones, and as much as a run in single precision along the last direction says of each; and never
    below 128 sigma. An entry is nan where f does not take this input after all. With ``reuse`` f is trusted to leave
    its argument as it was. The slopes of the outputs that are ``known`` along some directions are not asked for again.
    """
    value, bar = np.full(len(directions), np.nan), np.full(len(directions), np.inf)
    in_single = single_slopes(f, theta, directions[-1]) if directions else np.zeros(0)
    lost: Vector | None = None
    point = theta.astype(np.complex128)
    for line, direction in reversed([*enumerate(directions)]):
        try:
            slopes = known[line] if line in known else at_complex(f, point, direction).imag / STEP
        except Exception:
            continue
        finally:
            if reuse:
                point.imag[direction.run] = 0.0
            else:
                point = theta.astype(np.complex128)
        lost = lost_in_slopes(slopes, in_single) if lost is None else lost
        slopes = v * slopes
        value[line] = slopes.sum()
        carried = CARRIED * max(noise, 1.0) * EPS * norm(slopes) + LOST * norm(lost * slopes)
        bar[line] = SAFETY * (EPS * abs(value[line]) + carried + UNSTIRRED * sigma[line])
    still = np.zeros(len(directions))
    return Estimate(value, bar, still, still, still, evaluations=len(directions) - len(known) + bool(directions))


def single_slopes(f: Evaluate, theta: Vector, direction: Direction) -> Vector:
    """Return the slopes of the outputs in single precision; one number that is nan where f does not take it."""
    point = theta.astype(np.complex64)
    for block, values in direction.blocks():
        np.multiply(values, SINGLE_STEP, out=point.imag[block], casting="same_kind")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return np.asarray(f(point).imag, dtype=np.float64) / SINGLE_STEP
        except Exception:
            return np.array([np.nan])


def lost_in_slopes(slopes: Vector, in_single: Vector) -> Vector:
    """Return the relative error of the slope of each output that single precision predicts.

    It is 0 where it predicts none: where it overflows, or comes to numbers that it does not hold in full.
    """
    limits = np.finfo(np.float32)
    with np.errstate(all="ignore"):
        lost = np.abs(in_single - slopes) / np.abs(slopes) * (EPS / float(limits.eps))
        held = np.abs(slopes) * SINGLE_STEP > float(limits.tiny)
    return np.where(np.isfinite(lost) & held, lost, 0.0)
