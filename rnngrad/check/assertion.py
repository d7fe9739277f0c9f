"""A check as an assertion."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rnngrad.case import Case
from rnngrad.check.pipeline import Examined, examined
from rnngrad.check.tally import count
from rnngrad.errors import breach_of, mismatch_of
from rnngrad.pair import Pair
from rnngrad.result import Finding, GradientResult, Verdict

__all__ = ["assert_gradients", "settle"]

__tracebackhide__ = True

SCATTER = 0x9E3779B1  # Knuth's multiplicative hash: seeds that are alike, such as small or even ones, are told apart


def assert_gradients(pair: Pair, given: Case | Mapping[str, Any]) -> None:
    """Raise GradientMismatch, with the whole report as its message, where a gradient of the pair is wrong.

    Takes what `check` takes. A breach of the contract raises ContractBreach, which is a GradientMismatch. Each gradient
    and each kind of breach has an exception class of its own. Where several are wrong the seed of the case decides
    which one is raised, so that over many cases each of them is met, shrunk and reported.
    """
    settle(examined(pair, given, brief=True), given.seed if isinstance(given, Case) else 0)


def settle(found: Examined, seed: int) -> None:
    """Count a report, and raise GradientMismatch, or ContractBreach, where something is wrong.

    Where they were put off, wrong entries and the diagnosis wait for a reader.
    """
    report = found.report
    count(report)
    failed = [(one.name, broken(one)) for one in report.gradients if one.verdict is Verdict.FAIL]
    trusted = report.lead is not None or not report.findings
    wrong: list[tuple[str | None, Finding | None]] = [one for one in failed if one[1] is None and trusted]
    wrong += [(None, finding) for finding in report.findings]
    wrong += [one for one in failed if one[1] is not None]
    if not wrong:
        return
    lead, breach = wrong[(seed * SCATTER >> 16) % len(wrong)]
    first = [finding for finding in report.findings if finding is breach]
    others = [finding for finding in report.findings if finding is not breach]
    kind = mismatch_of(str(lead)) if breach is None else breach_of(breach.kind, lead)
    failure = kind(lambda: replace(found.diagnosed(), lead=lead, findings=(*first, *others)))
    failure.brief = lambda: replace(report, lead=lead, findings=(*first, *others))
    raise failure


def broken(gradient: GradientResult) -> Finding | None:
    """Return the breach that a gradient fails for; None where it is a wrong number."""
    return gradient.findings[0] if gradient.findings and gradient.findings[0].breach and not gradient.wrong else None
