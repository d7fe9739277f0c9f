"""What is asked of the numbers: a claimed gradient along entries or along directions, with what it may lose.

What a right backward pass loses to its own rounding is reckoned for each entry and added in quadrature along a
direction, whose signs are independent of it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import Question
from rnngrad.check.point import Point
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.sample import Lines
from rnngrad.numdiff.scale import norm, root_mean_square
from rnngrad.numdiff.tableau import EPS
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["direction_question", "entry_question"]

OWN_ROUNDING = 64.0  # eps of the tensor that backward may lose; with 32 times less, 24 of 80,480 right ones failed
OWN_NOISE = 128.0  # times the noise of forward over the length scale, for the same reason
ALONG = 32.0  # the same along a direction, for one axis of a tensor: see direction_question
VISIBLE = 1e-6  # below this share of the magnitude over the length scale no dependence can be seen


def unseen(point: Point, estimate: Estimate) -> Vector:
    """Return the change of <v, f> that rounding may have swallowed where nothing changed at all.

    An output that stays the same has no rounding to judge by: it may be log(1 + 1e-30), whose gradient is not 0. It is
    then taken for the difference of numbers of order one.
    """
    return np.where(estimate.value == 0, EPS * norm(point.v), 0.0)


def entry_question(point: Point, name: str, some: NDArray[np.intp], claimed: Vector, estimate: Estimate) -> Question:
    """Ask about some entries of one input; claimed is its whole gradient, flat."""
    values = estimate.value if len(some) == len(claimed) else claimed
    rms = root_mean_square(values[np.isfinite(values)])
    lines = point.entries(name, some)
    size = np.fmax(np.abs(estimate.value), rms)
    return Question(
        lines,
        claimed[some],
        allowed=OWN_ROUNDING * EPS * size + (OWN_NOISE * point.sigma + unseen(point, estimate)) / lines.scale,
        size=size,
        floor=VISIBLE * point.magnitude / lines.scale,
        visible=VISIBLE,
    )


def direction_question(
    point: Point, directions: Sequence[Direction], claimed: Vector, lines: Lines, estimate: Estimate
) -> Question:
    """Ask about directions; claimed is the gradient of all inputs, joined.

    The noise of forward enters backward once for each output, and with it a whole row or column of the gradient (in
    dW = da h^T the error of da_i enters row i). So along a direction through a tensor it counts as often as the tensor
    has entries, over its shortest axis.
    """
    slopes, allowed, floor = [], [], []
    for direction, nothing in zip(directions, unseen(point, estimate), strict=True):
        least = root_mean_square(claimed[direction.run])
        parts = [sizes(claimed[block], least, point.scale[block], values) for block, values in direction.blocks()]
        slope, rounding, relative, largest = np.array(parts).T
        slopes.append(float(slope.sum()))
        noise = ALONG * point.sigma * norm(relative) / np.sqrt(point.shortest_axis(direction.run))
        allowed.append(OWN_ROUNDING * EPS * norm(rounding) + noise + nothing * norm(relative))
        floor.append(VISIBLE * point.magnitude * float(largest.max()))
    claims = np.array(slopes)
    return Question(lines, claims, np.array(allowed), np.abs(claims), np.array(floor), VISIBLE)


def sizes(gradient: Vector, least: float, scale: Vector, values: Vector) -> tuple[float, float, float, float]:
    """Return what a block of a direction adds to its slope and to its sizes.

    They are the claimed slope, the norm of its terms, none of them counted as less than ``least`` times its value, and
    norm and maximum of the values in units of the length scales.
    """
    relative = np.abs(values) / scale
    terms = np.fmax(np.abs(gradient), least) * values
    return float(gradient @ values), norm(terms), norm(relative), float(relative.max())
