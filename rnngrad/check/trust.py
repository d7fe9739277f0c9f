"""For which pairs the complex step is certified, remembered over the cases of one test and no longer.

A certificate costs some twenty forward passes and hardly depends on the case; on every case real differences still
watch over the complex step along one direction. Outside `trusting` nothing is remembered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from rnngrad.check.point import Point
from rnngrad.numdiff.complex_step import certify
from rnngrad.numdiff.directional import draw_direction
from rnngrad.tree import Vector

__all__ = ["certified", "trusting"]

OPEN: ContextVar[set[object] | None] = ContextVar("rnngrad_trust", default=None)


@contextmanager
def trusting() -> Iterator[None]:
    """Remember certificates inside."""
    token = OPEN.set(set())
    try:
        yield
    finally:
        OPEN.reset(token)


def certified(point: Point, joined: Vector, rng: np.random.Generator) -> bool:
    """Tell whether the complex step is safe at a point; only a good certificate is remembered."""
    forward, trusted = point.forward, OPEN.get()
    if trusted is not None and forward.pair in trusted:
        return True
    direction = draw_direction(0, point.scale, joined, rng)
    noise = point.relative_noise
    safe = certify(forward, forward.raw, point.theta, point.f0, direction, noise=noise).safe
    if safe and trusted is not None:
        trusted.add(forward.pair)
    return safe
