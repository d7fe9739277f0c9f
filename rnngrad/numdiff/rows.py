"""Estimates changed, joined and replaced row by row."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["mapped", "substituted"]


def mapped(change: Callable[..., Vector], *parts: Estimate) -> Estimate:
    """Apply a change to each row of one or more estimates: reshape, join, select. The evaluations add up."""
    return Estimate(
        value=change(*(part.value for part in parts)),
        bar=change(*(part.bar for part in parts)),
        jump=change(*(part.jump for part in parts)),
        kink=change(*(part.kink for part in parts)),
        step=change(*(part.step for part in parts)),
        evaluations=sum(part.evaluations for part in parts),
    )


def substituted(whole: Estimate, some: NDArray[np.intp], part: Estimate) -> Estimate:
    """Return an estimate in which some entries are those of another, in their order. The evaluations add up."""

    def put(row: Vector, values: Vector) -> Vector:
        out = row.copy()
        out[some] = values
        return out

    return mapped(put, whole, part)
