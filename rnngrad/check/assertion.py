"""A check as an assertion."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnngrad.case import Case
from rnngrad.check.pipeline import Examined, examined
from rnngrad.check.tally import count
from rnngrad.errors import mismatch_of
from rnngrad.pair import Pair
from rnngrad.result import Verdict

__all__ = ["assert_gradients", "settle"]

__tracebackhide__ = True

SCATTER = 0x9E3779B1  # Knuth's multiplicative hash: seeds that are alike, such as small or even ones, are told apart


def assert_gradients(pair: Pair, given: Case | Mapping[str, Any]) -> None:
    """Raise GradientMismatch, with the whole report as its message, where a gradient of the pair is wrong.

    Takes what `check` takes. Each gradient has an exception class of its own. Where several are wrong the seed of the
    case decides which one is raised, so that over many cases each of them is met, shrunk and reported.
    """
    settle(examined(pair, given), given.seed if isinstance(given, Case) else 0)


def settle(found: Examined, seed: int) -> None:
    """Count a report, and raise GradientMismatch where it has a wrong gradient; the diagnosis waits for a reader."""
    count(found.report)
    failed = [gradient.name for gradient in found.report.gradients if gradient.verdict is Verdict.FAIL]
    if failed:
        lead = failed[(seed * SCATTER >> 16) % len(failed)]
        raise mismatch_of(lead)(lambda: replace(found.diagnosed(), lead=lead))
