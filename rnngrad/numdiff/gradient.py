"""The gradient of a function entry by entry, on its own."""

from collections.abc import Callable
from dataclasses import replace
from sys import maxsize
from typing import Any

import numpy as np

from rnngrad.errors import InvalidPair
from rnngrad.numdiff.confirm import RATIO, SPAN, START, probe_at
from rnngrad.numdiff.ladder import FIRST, climb
from rnngrad.numdiff.noise import measure_noise
from rnngrad.numdiff.sample import Lines, entry_lines
from rnngrad.numdiff.scale import length_scale
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["climb_all", "estimate_gradient", "mapped"]

__tracebackhide__ = True

COARSE = 1e-2  # relative slope that the probe must tell: it looks for what the ladders have overlooked altogether
CHUNK = 4096  # entries that climb together: about 10 MB of tableaux, and no gain in speed beyond


def estimate_gradient(f: Callable[[Any], Any], x: Any) -> Estimate:
    """Estimate the gradient of a scalar function at x, with an error bar on each entry.

    f takes an array of x's shape and returns a number; all rows of the result have that shape too. Every entry is
    estimated by two independent ladders; where these disagree, the bar covers both. Raises InvalidPair where x is no
    array of finite real numbers, or f(x) no finite real number.

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

    def flat(vector: Vector) -> Vector:
        value = np.asarray(f(vector.reshape(point.shape).copy()))
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise InvalidPair(f"f returns one real number, got shape {value.shape} and dtype {value.dtype}")
        return value.astype(np.float64).reshape(1)

    f0 = flat(theta)
    if not np.isfinite(f0).all():
        raise InvalidPair(f"f(x) is {f0[0]}; a derivative needs a finite value")
    scale = length_scale(theta)
    one = np.ones(1)
    noise = measure_noise(flat, theta, scale, one, f0)
    everything = np.arange(theta.size)
    lines = entry_lines(flat, theta, one, f0, everything, scale, noise.sigma)
    found = doubly_sure(lines)
    spent = 1 + noise.evaluations + found.evaluations
    return replace(mapped(lambda row: row.reshape(point.shape), found), evaluations=spent)


def doubly_sure(lines: Lines) -> Estimate:
    """Estimate every line twice, and probe it at a tiny step; the better estimate counts.

    Where the estimates disagree, or the probe finds another slope close by, its bar reaches to what they say.
    """
    first = climb_all(lines)
    second = climb_all(lines, ratio=RATIO, first=FIRST * START)
    better = mapped(lambda a, b: np.asarray(np.where(second.bar < first.bar, b, a)), first, second)
    with np.errstate(all="ignore"):
        apart = np.abs(first.value - second.value)
        apart = np.where(apart <= SPAN * (first.bar + second.bar), 0.0, np.nan_to_num(apart, nan=np.inf))
        gap = np.fmax(COARSE * np.abs(better.value), better.bar)
        probed, probe = probe_at(lines, np.arange(lines.count), gap, np.fmin(first.step, second.step))
        beside = np.abs(probe - better.value[probed])
        apart[probed] = np.fmax(apart[probed], np.where(beside <= gap[probed], 0.0, beside))
    return replace(better, bar=better.bar + apart, evaluations=better.evaluations + 2 * len(probed))


def climb_all(
    lines: Lines, *, target: float = 1e-9, ratio: float = 2.0, first: float = FIRST, samples: int = maxsize
) -> Estimate:
    """Climb any number of lines, CHUNK of them at a time so that memory stays bounded."""
    starts = range(0, max(lines.count, 1), CHUNK)
    runs = [np.arange(start, min(start + CHUNK, lines.count)) for start in starts]
    parts = [climb(lines.take(run), target=target, ratio=ratio, first=first, samples=samples) for run in runs]
    return mapped(lambda *rows: np.concatenate(rows), *parts)


def mapped(change: Callable[..., Vector], *parts: Estimate) -> Estimate:
    """Apply a change to each row of one or more estimates: reshape, join, select."""
    return Estimate(
        value=change(*(part.value for part in parts)),
        bar=change(*(part.bar for part in parts)),
        jump=change(*(part.jump for part in parts)),
        kink=change(*(part.kink for part in parts)),
        step=change(*(part.step for part in parts)),
        evaluations=sum(part.evaluations for part in parts),
    )
