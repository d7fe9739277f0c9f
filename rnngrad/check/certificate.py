"""Whether the complex step is safe at a point.

A certificate costs some twenty forward passes and hardly depends on the case, so a good one is remembered over the
cases of one test; on every case real differences still watch over the complex step along one direction.
"""

import numpy as np

from rnngrad.check.point import Point
from rnngrad.check.trust import trusted
from rnngrad.numdiff.complex_step import certify
from rnngrad.numdiff.directional import draw_direction
from rnngrad.tree import Vector

__all__ = ["certified"]

STREAM = 1  # of the seed: the other directions must not depend on whether this one was drawn


def certified(point: Point, joined: Vector, seed: int) -> bool:
    """Tell whether the complex step is safe at a point; only a good certificate is remembered."""
    forward, pairs = point.forward, trusted()
    if pairs is not None and forward.pair in pairs:
        return True
    direction = draw_direction(0, point.scale, joined, np.random.default_rng([seed, STREAM]))
    noise = point.relative_noise
    safe = certify(forward, forward.raw, point.theta, point.f0, direction, noise=noise).safe
    if safe and pairs is not None:
        pairs.add(forward.pair)
    return safe
