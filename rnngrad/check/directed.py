"""What was asked along directions, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import LIMIT, Answer, decide
from rnngrad.check.point import Point
from rnngrad.check.question import direction_question
from rnngrad.numdiff.complex_step import imaginary_slopes
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.gradient import climb_all
from rnngrad.numdiff.sample import Lines
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["TARGET", "Directed", "along"]

WATCHED = 1e-8  # relative bar of what watches over the complex step: kinks and other slopes show long before
TARGET = 1e-11  # relative bar of a direction: a common factor of 1 + 1e-9 then stands out in one input of many


@dataclass(frozen=True)
class Directed:
    """Directions, the lines along them, and what was found on each."""

    directions: Sequence[Direction]
    lines: Lines
    answer: Answer
    exact: bool  # by the complex step

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Return, for each direction, whether it is wrong or undecided."""
        return np.asarray(self.answer.wrong | self.answer.undecided)


def along(
    point: Point, directions: Sequence[Direction], joined: Vector, *, sure: bool = True, exact: bool = False
) -> Directed:
    """Hold the claimed gradient, joined over all inputs, against the slopes along directions.

    Without ``sure`` nothing is confirmed: enough where it is only asked where to look next. With ``exact`` the complex
    step is used, but along the last direction, where real differences watch over it: where these see another slope,
    or a kink, to which complex numbers are blind, they are used along all.
    """
    lines = point.directions(directions, joined)
    estimate = None
    if exact:
        place = (point.forward.raw, point.theta, point.v, directions, lines.sigma)
        complex_step = imaginary_slopes(*place, noise=point.relative_noise, reuse=point.forward.tidy)
        watch = climb_all(lines.take(np.array([len(directions) - 1])), target=WATCHED, samples=point.forward.left // 2)
        estimate = complex_step if same(complex_step, watch) else None
    exact = estimate is not None
    if estimate is None:
        estimate = climb_all(lines, target=TARGET, samples=point.forward.left // (2 * len(directions)))
    question = direction_question(point, directions, joined, estimate, exact=exact)
    return Directed(directions, lines, decide(question, estimate, batch=len(directions) if sure else 0), exact)


def same(complex_step: Estimate, watch: Estimate) -> bool:
    """Tell whether the complex step may be believed: real differences meet it, and see no kink."""
    apart = abs(complex_step.value[-1] - watch.value[0])
    smooth = watch.kink[0] <= watch.bar[0] / 2
    return bool(
        np.isfinite(complex_step.value).all() and apart <= LIMIT * (complex_step.bar[-1] + watch.bar[0]) and smooth
    )
