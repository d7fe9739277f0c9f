"""What was asked along directions, and the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.certificate import ELSEWHERE, UNSAFE, Safety
from rnngrad.check.compare import LIMIT, Answer, decide, resolve
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
    """Directions, the lines along them, and what was found on each of a gradient, ``joined`` over all inputs."""

    directions: Sequence[Direction]
    joined: Vector
    lines: Lines
    answer: Answer
    exact: bool  # by the complex step

    @property
    def safety(self) -> Safety:
        """Return what that says of other directions."""
        return ELSEWHERE if self.exact else UNSAFE

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """Return, for each direction, whether it is wrong or undecided."""
        return np.asarray(self.answer.wrong | self.answer.undecided)


def along(
    point: Point, directions: Sequence[Direction], joined: Vector, *, sure: bool = True, safety: Safety = UNSAFE
) -> Directed:
    """Hold the claimed gradient, joined over all inputs, against the slopes along directions.

    Without ``sure`` nothing is confirmed or looked at closer: enough where it is only asked where to look next. The
    complex step is used where it is safe; where that was seen elsewhere, real differences watch over it along the last
    direction: where they see another slope, or a kink, to which complex numbers are blind, they are used along all.
    """
    lines = point.directions(directions, joined)
    estimate = None
    if safety.safe:
        place = (point.forward.raw, point.theta, point.v, directions, lines.sigma)
        slopes = safety.slopes
        known = {} if slopes is None else {i: slopes for i, one in enumerate(directions) if one is safety.direction}
        estimate = imaginary_slopes(*place, noise=point.relative_noise, reuse=point.forward.tidy, known=known)
        seen_here = slopes is not None or watched(point, lines, estimate)
        estimate = estimate if seen_here and np.isfinite(estimate.value).all() else None
    exact = estimate is not None
    if estimate is None:
        estimate = climb_all(lines, target=TARGET, samples=point.forward.left // (2 * len(directions)))
    question = direction_question(point, directions, lines, joined, estimate, exact=exact)
    answer = decide(question, estimate, batch=len(directions) if sure else 0)
    answer = resolve(question, answer, batch=1 if sure else 0)
    return Directed(directions, joined, lines, answer, exact)


def watched(point: Point, lines: Lines, complex_step: Estimate) -> bool:
    """Tell whether real differences along the last line meet the complex step, and see no kink."""
    watch = climb_all(lines.take(np.array([lines.count - 1])), target=WATCHED, samples=point.forward.left // 2)
    apart = abs(complex_step.value[-1] - watch.value[0])
    smooth = watch.kink[0] <= watch.bar[0] / 2
    return bool(apart <= LIMIT * (complex_step.bar[-1] + watch.bar[0]) and smooth)
