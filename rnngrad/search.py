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
SOON = 1.0  # seconds: where a check takes no longer, its entries and the diagnosis take some ten
CUT = "the search for the smallest case ended {:.0f} s after the first failure; a smaller one may fail as well"
BRIEF = "forward is slow, so that entries and diagnosis were left; the replay takes its time"


@dataclass
class Search:
    """One run of a test: the cases that it asked, each with its failure, and since when there is one."""

    reject: Callable[[], Any]  # leaves the case that is drawn; it counts as none
    asked: dict[str, GradientMismatch | None] = field(default_factory=dict)
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
        if key not in self.asked and self.over and not final:
            self.cut = True
            self.reject()
        failure = None if final else self.asked.get(key)
        if failure is None:
            self.asked[key] = None  # also where it raises something else
            failure = self.asked[key] = self.found(assertion, case, final=final)
        if failure is not None:
            self.failed = self.failed or time.monotonic()
            raise failure.with_traceback(None)  # always from here: Hypothesis tells failures apart by their lines too

    def found(self, assertion: Callable[[Case], None], case: Case, *, final: bool) -> GradientMismatch | None:
        """Return the failure of a case, as whole as it has to be: Hypothesis writes out some that nobody reads."""
        start = time.monotonic()
        try:
            assertion(case)
        except GradientMismatch as failure:
            slow = self.cut and failure.brief is not None and time.monotonic() - start > SOON
            if failure.brief is not None and (slow or not final):
                failure.message = failure.brief
            if self.cut:
                notes = [CUT.format(PATIENCE), *([BRIEF] if slow else [])]
                failure.message = partial(noted, failure.message, notes)
            return failure
        return None


def noted(message: Any, notes: list[str]) -> Any:
    """Return the report of a failure with some notes more."""
    report = message()
    return replace(report, notes=(*report.notes, *notes))
