"""The gradient of a function entry by entry, on its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from rnngrad.errors import InvalidPair
from rnngrad.numdiff.ladder import climb
from rnngrad.numdiff.noise import measure_noise
from rnngrad.numdiff.sample import Lines, entry_lines
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["climb_all", "estimate_gradient", "length_scale", "mapped"]

CHUNK = 4096  # entries that climb together: about 10 MB of tableaux, and no gain in speed beyond


def estimate_gradient(f: Callable[[Any], Any], x: Any) -> Estimate:
    """Estimate the gradient of a scalar function at x, with an error bar on each entry.

    f takes an array of x's shape and returns a number. ``value``, ``bar``, ``jump`` and ``step`` of the result have
    that shape too. Raises InvalidPair where x is no floating-point array or f(x) no finite number.

    >>> import numpy as np
    >>> estimate = estimate_gradient(lambda x: np.sum(x**3), np.array([1.0, 2.0]))
    >>> np.abs(estimate.value - [3.0, 12.0]) <= estimate.bar
    array([ True,  True])
    """
    point = np.array(x)
    if point.dtype.kind not in "iuf":
        raise InvalidPair(f"x is an array of real numbers, got dtype {point.dtype}")
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
    lines = entry_lines(flat, theta, one, f0, everything, scale, np.zeros(theta.size, np.intp))
    found = climb_all(lines, noise.sigma)
    spent = 1 + noise.evaluations + found.evaluations
    return replace(mapped(lambda row: row.reshape(point.shape), found), evaluations=spent)


def climb_all(lines: Lines, sigma: float) -> Estimate:
    """Climb any number of lines, CHUNK of them at a time so that memory stays bounded."""
    starts = range(0, max(lines.count, 1), CHUNK)
    parts = [climb(lines.take(np.arange(start, min(start + CHUNK, lines.count))), sigma) for start in starts]
    return mapped(lambda *rows: np.concatenate(rows), *parts)


def mapped(change: Callable[..., Vector], *parts: Estimate) -> Estimate:
    """Apply a change to each row of one or more estimates: reshape, join, select."""
    return Estimate(
        value=change(*(part.value for part in parts)),
        bar=change(*(part.bar for part in parts)),
        jump=change(*(part.jump for part in parts)),
        step=change(*(part.step for part in parts)),
        evaluations=sum(part.evaluations for part in parts),
    )


def length_scale(theta: Vector) -> Vector:
    """Return the length over which each entry of one tensor is expected to matter: max(|theta_i|, median |theta|).

    Where more than half of the entries are zero the root mean square stands for the median, and 1 where all are.
    """
    size = np.abs(theta)
    middle = float(np.median(size)) if size.size else 0.0
    typical = middle or float(np.sqrt(np.mean(size**2))) if size.size else 0.0
    return np.maximum(size, typical or 1.0)
