"""The gradient of a function entry by entry, on its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from sys import maxsize
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.errors import InvalidPair
from rnngrad.numdiff.independent import RATIO, apart, from_below, probe_at, second_start
from rnngrad.numdiff.ladder import CONVERGED, FIRST, TARGET, climb
from rnngrad.numdiff.noise import NEARBY, lost_nearby, measure_noise
from rnngrad.numdiff.rows import mapped, substituted
from rnngrad.numdiff.sample import Lines, entry_lines
from rnngrad.numdiff.scale import length_scale
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["climb_all", "doubly_sure", "estimate_gradient"]

__tracebackhide__ = True

COARSE = 1e-4  # relative slope that the probe must tell: it looks for what the ladders have overlooked altogether
NARROWER = 0.3  # a second bar counts below this share of the first: what is truncation there is 10 times wider than due
CHUNK = 4096  # entries that climb together: about 10 MB of tableaux, and no gain in speed beyond


def estimate_gradient(f: Callable[[Any], Any], x: Any) -> Estimate:
    """Estimate the gradient of a scalar function at x, with an error bar on each entry.

    f takes an array of x's shape and returns a number; all rows of the result have that shape too. A few times it is
    asked in float32, if it takes that, to see what rounding does. Every entry is estimated by two independent ladders;
    where these disagree, a third one decides, or the bar covers all of them. Raises InvalidPair where x is no array of
    finite real numbers, or f(x) no finite real number.

    >>> import numpy as np
    >>> estimate = estimate_gradient(lambda x: np.sum(x**3), np.array([1.0, 2.0]))
    >>> np.abs(estimate.value - [3.0, 12.0]) <= estimate.bar
    array([ True,  True])
    """
    if not callable(f):
        raise InvalidPair(f"f is a function, got {f!r}")
    try:
        point = np.array(x)
    except ValueError as error:
        raise InvalidPair(f"x is an array of real numbers, got {x!r}") from error
    if point.dtype.kind not in "iuf" or not np.isfinite(point).all():
        raise InvalidPair(f"x is an array of finite real numbers, got {x!r}")
    theta = point.astype(np.float64).ravel()

    def raw(vector: Vector) -> NDArray[Any]:
        value = np.asarray(f(vector.reshape(point.shape).copy()))
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise InvalidPair(f"f returns one real number, got shape {value.shape} and dtype {value.dtype}")
        return value.reshape(1)

    def flat(vector: Vector) -> Vector:
        return raw(vector).astype(np.float64)

    returned = raw(theta)
    f0 = returned.astype(np.float64)
    if not np.isfinite(f0).all():
        raise InvalidPair(f"f(x) is {f0[0]}; a derivative needs a finite value")
    scale = length_scale(theta)
    one = np.ones(1)
    noise = measure_noise(flat, theta, scale, one, f0)
    ends = [raw(theta + sign * FIRST * scale) for sign in (-1, 1)] if is_narrow(returned) else []
    sigma = max([noise.sigma, lost_nearby(flat, theta, one), *(ulp(value) for value in [returned, *ends] if ends)])
    found = doubly_sure(entry_lines(flat, theta, one, f0, np.arange(theta.size), scale, sigma))
    spent = 1 + noise.evaluations + 2 * NEARBY + len(ends) + found.evaluations
    return replace(mapped(lambda row: row.reshape(point.shape), found), evaluations=spent)


def is_narrow(returned: NDArray[Any]) -> bool:
    """Tell whether a number is of a floating dtype narrower than double precision."""
    return returned.dtype.kind == "f" and returned.dtype.itemsize < np.dtype(np.float64).itemsize


def ulp(returned: NDArray[Any]) -> float:
    """Return the distance of a finite number to the next one of its dtype; 0 of others."""
    return float(np.nan_to_num(np.spacing(np.abs(returned[0])), posinf=0.0))


def doubly_sure(lines: Lines) -> Estimate:
    """Estimate every line twice, and probe it at a tiny step; the better estimate counts.

    Its bar reaches to the other one where neither bar does. Where the estimates contradict each other, or the probe
    finds another slope close by, a third ladder from below decides, if it meets the probe; if not, the bar reaches to
    what all of them say.
    """
    first = climb_all(lines)
    second = climb_all(lines, ratio=RATIO, first=second_start(lines, first))
    better = mapped(lambda a, b: np.asarray(np.where(second.bar < NARROWER * first.bar, b, a)), first, second)
    probe = np.full(lines.count, np.nan)
    with np.errstate(all="ignore"):
        gap = np.fmax(COARSE * np.abs(better.value), better.bar)
        probed, slopes = probe_at(lines, np.arange(lines.count), gap, np.fmin(first.step, second.step))
        probe[probed] = slopes
        beside = np.abs(probe - better.value)
        doubt = np.fmax(apart(first, second), np.where(beside > gap, beside + gap, 0.0))
        distance = np.abs(first.value - second.value)
        reach = np.fmax(doubt, np.where(distance > np.fmax(first.bar, second.bar), distance, 0.0))
    wide = replace(better, bar=better.bar + reach, evaluations=better.evaluations + 2 * len(probed))
    some = np.flatnonzero((doubt > 0) & np.isfinite(better.value))
    return settled(lines, some, (first, second), probe, wide) if len(some) else wide


def settled(
    lines: Lines, some: NDArray[np.intp], earlier: Sequence[Estimate], probe: Vector, wide: Estimate
) -> Estimate:
    """Climb some lines from below and put the outcome in; ``wide`` are the estimates as they stand without it.

    A third ladder that meets the probe is believed, and with it the better of what meets it in turn. That of a
    function which does not change at all so close by is not: more likely its change is lost to rounding.
    """
    local, near = lines.take(some), probe[some]
    *before, wide_there = (mapped(lambda row: row[some], estimate) for estimate in (*earlier, wide))
    about = np.where(np.isfinite(near), near, wide_there.value)
    smallest = np.fmin(*(estimate.step for estimate in before))
    third = best = climb_all(local, first=from_below(local, about, smallest))
    with np.errstate(all="ignore"):
        size = np.abs(third.value)
        meets = np.abs(near - third.value) <= np.fmax(COARSE * np.fmax(size, np.abs(wide_there.value)), third.bar)
        sound = meets & (third.bar < CONVERGED * size)
        reach = np.abs(third.value - wide_there.value) + third.bar
    for other in before:
        use = (apart(other, third) == 0) & (other.bar < best.bar)
        best = mapped(lambda a, b, use=use: np.asarray(np.where(use, b, a)), best, other)
    wider = replace(wide_there, bar=np.fmax(wide_there.bar, reach))
    result = substituted(wide, some, mapped(lambda a, b: np.asarray(np.where(sound, a, b)), best, wider))
    return replace(result, evaluations=wide.evaluations + third.evaluations)


def climb_all(
    lines: Lines,
    *,
    target: float = TARGET,
    ratio: float = 2.0,
    first: float | Vector = FIRST,
    samples: int = maxsize,
) -> Estimate:
    """Climb any number of lines, CHUNK of them at a time so that memory stays bounded."""
    starts = range(0, max(lines.count, 1), CHUNK)
    runs = [np.arange(start, min(start + CHUNK, lines.count)) for start in starts]
    firsts = np.broadcast_to(first, lines.count)
    parts = [climb(lines.take(run), target=target, ratio=ratio, first=firsts[run], samples=samples) for run in runs]
    return mapped(lambda *rows: np.concatenate(rows), *parts)
