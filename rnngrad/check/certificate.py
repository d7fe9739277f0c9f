"""Whether the complex step is safe at a point.

A certificate costs seven forward passes, nineteen where the first ladder is not clear, and hardly depends on the case,
so a good one is remembered over the cases of one test; there real differences still watch over the complex step along
one direction.
"""

from dataclasses import dataclass

from rnngrad.check.point import Point
from rnngrad.check.trust import trusted
from rnngrad.numdiff.complex_step import PER_LADDER, STARTS, certify
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.ladder import LEAST
from rnngrad.tree import Vector

__all__ = ["ELSEWHERE", "UNSAFE", "Safety", "certified"]


@dataclass(frozen=True)
class Safety:
    """Whether the complex step is safe at a point, and the ``slopes`` of the outputs that were seen along a direction.

    There are none where it was certified elsewhere.
    """

    safe: bool
    direction: Direction | None = None
    slopes: Vector | None = None


UNSAFE = Safety(False)
ELSEWHERE = Safety(True)


def certified(point: Point, direction: Direction) -> Safety:
    """Tell whether the complex step is safe at a point, along a direction.

    Only a good certificate is remembered. None is asked for where the budget does not reach for it and for the step.
    """
    forward, pairs = point.forward, trusted()
    if pairs is not None and forward.pair in pairs:
        return ELSEWHERE
    affordable = min((forward.left - 4 - LEAST) // PER_LADDER, len(STARTS))
    if affordable < 1:
        return UNSAFE
    place, noise = (point.theta, point.f0, direction), point.relative_noise
    found = certify(forward, forward.raw, *place, noise=noise, ladders=affordable, reuse=forward.tidy)
    if not found.safe:
        return UNSAFE
    if pairs is not None:
        pairs.add(forward.pair)
    return Safety(True, direction, found.slopes)
