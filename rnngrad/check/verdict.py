"""The result for one tensor, from the answers on its direction or on its entries."""

from math import prod

import numpy as np

from rnngrad.check.compare import Answer
from rnngrad.check.contract import at
from rnngrad.check.directed import Directed
from rnngrad.check.explain import explain
from rnngrad.check.locate import Located
from rnngrad.check.point import Point
from rnngrad.errors import Exhausted
from rnngrad.numdiff.sample import Lines
from rnngrad.result import Entry, Finding, GradientResult, Verdict

__all__ = ["PUT_OFF", "UNPLACED", "from_direction", "from_entries", "from_nothing", "unaffordable"]

COMPONENTS = (".real", ".imag")
LISTED = 5  # wrong entries that a result names
SPREAD = (
    "along a random direction backward and numeric disagree, though no single entry is off by more than its bar: "
    "a small error spread over many entries"
)

PUT_OFF = "along a random direction backward and numeric disagree; which entries are wrong has not been asked"
UNPLACED = "along random directions backward and numeric disagree; which entries are wrong cannot be told here"


def from_nothing(point: Point, name: str) -> GradientResult:
    """Return the result for a tensor without entries."""
    return GradientResult(name, Verdict.PASS, point.shape(name))


def unaffordable(point: Point, name: str) -> GradientResult:
    """Return the result for a tensor that the budget of forward passes did not reach for."""
    said = f"{name}: the budget is spent, after {point.forward.evaluations + 1} forward passes, before this can be told"
    return GradientResult(
        name, Verdict.INCONCLUSIVE, point.shape(name), (Finding(Verdict.INCONCLUSIVE, "budget", name, said),)
    )


def from_direction(point: Point, name: str, asked: Directed, line: int, said: str = SPREAD) -> GradientResult:
    """Return the result for a tensor that was judged along one direction, by itself or together with others.

    ``said`` is what is said of one that is wrong. The numbers are those along its own part of the direction; what the
    claim of others is off by is taken for its own.
    """
    answer, direction = asked.answer, asked.directions[line].within(point.parts[name])
    verdict = Verdict.PASS
    findings: tuple[Finding, ...] = ()
    if answer.wrong[line]:
        verdict, findings = Verdict.FAIL, (Finding(Verdict.FAIL, "spread", name, f"{name}: {said}"),)
    elif answer.undecided[line]:
        verdict, findings = Verdict.INCONCLUSIVE, (undecided(name, name, asked.lines, answer, line),)
    single = len(direction.pattern) == 1  # then the slope along the direction is the entry, times a known factor
    factor = float(direction.values[0]) if single else 1.0
    claimed, off = direction.slope(asked.joined) / factor, (answer.numeric[line] - answer.claimed[line]) / factor
    return GradientResult(
        name,
        verdict,
        point.shape(name),
        findings,
        worst_index=(0,) * len(point.shape(name)) if single else None,
        backward=float(claimed),
        numeric=float(claimed + off),
        bar=float(answer.bar[line] / abs(factor)),
        error=float(abs(off)),
        ratio=float(answer.ratio[line]),
        resolution=float(answer.seen[line] / direction.least(direction.run)),
    )


def from_entries(point: Point, name: str, found: Located) -> GradientResult:
    """Return the result for a tensor whose entries were looked at: the verdict, and the numbers of the worst one."""
    shape = point.shape(name)
    answer = found.answer
    verdict, among = Verdict.PASS, np.ones(len(found.entries), bool)
    if answer.wrong.any():
        verdict, among = Verdict.FAIL, answer.wrong
    elif answer.undecided.any():
        verdict, among = Verdict.INCONCLUSIVE, answer.undecided
    order = np.flatnonzero(among)[np.argsort(-answer.ratio[among], kind="stable")]
    width = point.width(name)
    listed = [entry_of(shape, width, found, int(line)) for line in order[:LISTED]]
    worst = listed[0]
    findings: tuple[Finding, ...] = ()
    if verdict is Verdict.INCONCLUSIVE:
        findings = (undecided(name, at(name, worst.index) + worst.part, found.lines, answer, int(order[0])),)
    return GradientResult(
        name,
        verdict,
        shape,
        findings,
        worst_index=worst.index,
        worst_part=worst.part,
        backward=worst.backward,
        numeric=worst.numeric,
        bar=worst.bar,
        error=abs(worst.backward - worst.numeric),
        ratio=float(answer.ratio[order[0]]),
        resolution=float(answer.seen.max()),
        wrong=len(np.unique(found.entries[answer.wrong] // width)),
        examined=prod(shape) if found.complete else len(np.unique(found.entries // width)),
        entries=tuple(listed) if verdict is Verdict.FAIL else (),
    )


def undecided(name: str, where: str, lines: Lines, answer: Answer, line: int) -> Finding:
    """Return the finding that says why there is nothing to compare with."""
    try:
        kind, why = explain(lines, line, answer, where)
    except Exhausted:
        values = f"backward {answer.claimed[line]:.6g}, numeric {answer.numeric[line]:.6g} ± {answer.bar[line]:.0e}"
        kind, why = "budget", f"{values}, and the budget of forward passes is spent before more can be said"
    return Finding(Verdict.INCONCLUSIVE, kind, name, f"{where}: {why}")


def entry_of(shape: tuple[int, ...], width: int, found: Located, line: int) -> Entry:
    """Return one entry, or one component of it, with both values."""
    entry, component = divmod(int(found.entries[line]), width)
    index = tuple(int(i) for i in np.unravel_index(entry, shape))
    part = COMPONENTS[component] if width > 1 else ""
    answer = found.answer
    return Entry(index, float(answer.claimed[line]), float(answer.numeric[line]), float(answer.bar[line]), part)
