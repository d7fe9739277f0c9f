"""What a run of many checks came to: counts for each gradient, collected while tests run.

A test run collects by `collecting`; every check made by `assert_gradients` inside it is counted. Outside, nothing is
kept. The counts are plain dicts of numbers, so that they travel between processes and into files.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnngrad.result import Power, Report

__all__ = ["Tally", "collecting", "count", "shortfall", "weigh"]

Tally = dict[str, Any]

OPEN: ContextVar[dict[str, Tally] | None] = ContextVar("rnngrad_tally", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, Tally]]:
    """Collect the counts of every check made inside, by pair."""
    tallies: dict[str, Tally] = {}
    token = OPEN.set(tallies)
    try:
        yield tallies
    finally:
        OPEN.reset(token)


def shortfall(tallies: Mapping[str, Tally], share: float) -> str | None:
    """Say which gradients were decided in less than a share of the examples; None where all are well decided."""
    lines = []
    for tally in tallies.values():
        for name, row in tally["gradients"].items():
            decided, examples = row["pass"] + row["FAIL"], row["pass"] + row["FAIL"] + row["inconclusive"]
            if decided < share * examples:
                lines.append(
                    f"{name} of {tally['pair']}: {decided} of {examples} examples could be decided, at least "
                    f"{share:.0%} are asked for; the last of the others: {row['why']}"
                )
    return "\n".join(lines) or None


def weigh(power: "Power") -> None:
    """Set the power of a pair's examples beside its counts in the collection that is open, if any."""
    tallies = OPEN.get() or {}
    if power.pair in tallies:
        tallies[power.pair]["power"] = power.share


def count(report: "Report") -> None:
    """Add one report to the collection that is open, if any."""
    tallies = OPEN.get()
    if tallies is None:
        return
    tally = tallies.setdefault(
        report.pair,
        {"pair": report.pair, "examples": 0, "evaluations": 0, "sizes": {}, "gradients": {}, "breaches": {}},
    )
    tally["examples"] += 1
    tally["evaluations"] += report.evaluations
    for dim, size in report.sizes.items():
        seen = tally["sizes"].setdefault(dim, [size, size])
        seen[:] = [min(seen[0], size), max(seen[1], size)]
    for kind in {finding.kind for finding in report.breaches}:
        tally["breaches"][kind] = tally["breaches"].get(kind, 0) + 1
    for gradient in report.gradients:
        row = tally["gradients"].setdefault(
            gradient.name, {"pass": 0, "inconclusive": 0, "FAIL": 0, "ratio": 0.0, "resolution": 0.0, "why": ""}
        )
        row[gradient.verdict.value] += 1
        if gradient.verdict.value == "inconclusive":
            row["why"] = gradient.findings[0].message
        if gradient.verdict.value == "pass" and gradient.ratio is not None:
            row["ratio"] = max(row["ratio"], gradient.ratio)
            row["resolution"] = max(row["resolution"], gradient.resolution)
