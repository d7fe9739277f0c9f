"""The search for the smallest case that fails: what is known of each case, and when it has gone on for long enough."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rnngrad.case import Case
from rnngrad.errors import GradientMismatch

__all__ = ["PATIENCE", "Search"]

__tracebackhide__ = True

PATIENCE = 5.0  # seconds: a forward pass of 1 ms shrinks to the smallest case in 3, one of 20 ms would take a minute
CUT = "the search for the smallest case ended {:.0f} s after the first failure; a smaller one may fail as well"


@dataclass
class Search:
    """One run of a test: the cases that it asked, each with its kind of mismatch, and since when there is a failure."""

    reject: Callable[[], Any]  # leaves the case that is drawn; it counts as none
    kinds: dict[str, type[GradientMismatch] | None] = field(default_factory=dict)
    failed: float | None = None
    cut: bool = False

    @property
    def over(self) -> bool:
        """Tell whether the search for a smaller case has had its time."""
        return self.failed is not None and time.monotonic() - self.failed > PATIENCE

    def hold(self, assertion: Callable[[Case], None], case: Case, *, final: bool) -> None:
        """Assert something of a case: once, and again where its failure is ``final``, the one that is reported.

        When the search is over, new cases are left, so that it ends with what it has.
        """
        __tracebackhide__ = True
        key = repr(case)
        if key not in self.kinds and self.over and not final:
            self.cut = True
            self.reject()
        known = self.kinds.setdefault(key, None)
        failure = mismatch(assertion, case) if known is None or final else known("as before")
        if failure is None:
            return
        self.kinds[key] = type(failure)
        self.failed = self.failed or time.monotonic()
        if self.cut and callable(failure.message):
            failure.message = partial(noted, failure.message)
        raise failure  # always from this line: Hypothesis tells failures apart by their lines too


def mismatch(assertion: Callable[[Case], None], case: Case) -> GradientMismatch | None:
    """Return the mismatch that an assertion raises of a case."""
    try:
        assertion(case)
    except GradientMismatch as failure:
        return failure.with_traceback(None)
    return None


def noted(message: Any) -> Any:
    """Return the report of a failure, with a note that the search was cut short."""
    report = message()
    return replace(report, notes=(*report.notes, CUT.format(PATIENCE)))
