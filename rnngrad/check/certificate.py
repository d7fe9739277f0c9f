"""Whether the complex step is safe at a point.

A certificate costs some twenty forward passes and hardly depends on the case, so a good one is remembered over the
cases of one test; on every case real differences still watch over the complex step along one direction.
"""

from collections.abc import Sequence

from rnngrad.check.point import Point
from rnngrad.check.trust import trusted
from rnngrad.numdiff.complex_step import PER_LADDER, STARTS, certify
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.ladder import LEAST

__all__ = ["certified"]


def certified(point: Point, directions: Sequence[Direction]) -> bool:
    """Tell whether the complex step is safe at a point, along directions taken together.

    Only a good certificate is remembered. None is asked for where the budget does not reach for it and for the step.
    """
    forward, pairs = point.forward, trusted()
    if pairs is not None and forward.pair in pairs:
        return True
    affordable = min((forward.left - 3 - len(directions) - LEAST) // PER_LADDER, len(STARTS))
    if affordable < 1:
        return False
    place, noise = (point.theta, point.f0, directions), point.relative_noise
    safe = certify(forward, forward.raw, *place, noise=noise, ladders=affordable, reuse=forward.tidy).safe
    if safe and pairs is not None:
        pairs.add(forward.pair)
    return safe
