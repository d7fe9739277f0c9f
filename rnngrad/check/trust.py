"""The pairs that were certified for the complex step, remembered over the cases of one test and no longer."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["trusted", "trusting"]

OPEN: ContextVar[set[object] | None] = ContextVar("rnngrad_trust", default=None)


@contextmanager
def trusting() -> Iterator[None]:
    """Remember certified pairs inside; outside nothing is remembered."""
    token = OPEN.set(set())
    try:
        yield
    finally:
        OPEN.reset(token)


def trusted() -> set[object] | None:
    """Return the pairs certified so far, to be added to; None outside `trusting`."""
    return OPEN.get()
