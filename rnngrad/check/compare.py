"""The only place that decides pass, fail or inconclusive.

A claimed slope along a line, be it a single entry or a direction, is held against the numerical one in bars:
q = |claimed - numeric| / (bar + u). The bar is what the estimate claims for itself; u is what a right backward pass may
lose to its own rounding, relative to the tensor and not to the entry, since in saturated units a single entry may be
all cancellation. What lies beyond 5 is estimated a second time before anybody is accused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.errors import Exhausted
from rnngrad.numdiff.confirm import confirm
from rnngrad.numdiff.rows import mapped
from rnngrad.numdiff.sample import Lines
from rnngrad.result import Estimate, Verdict
from rnngrad.tree import Vector

__all__ = ["LIMIT", "Answer", "Question", "decide", "judge", "worst_verdict"]

LIMIT = 5.0  # bars: of 168,320 confirmed estimates none was further off
SHARP = 1e-9  # of the slope; a smaller jump of it is below what central differences promise anyway
WIDE = 0.1  # a bar that hides a tenth of the gradient decides nothing


@dataclass(frozen=True)
class Question:
    """Claimed slopes along lines, and what each may differ by.

    ``allowed`` is what a right backward pass may lose to rounding; ``size`` is what a bar is held against, and
    ``floor`` the bar that rounding alone explains, below which no dependence can be seen at all; ``visible`` is the
    share of what is seen that it stands for.
    """

    lines: Lines
    claimed: Vector
    allowed: Vector
    size: Vector
    floor: Vector
    visible: float

    def take(self, some: NDArray[np.intp]) -> "Question":
        """Return some of the lines."""
        return replace(
            self,
            lines=self.lines.take(some),
            claimed=self.claimed[some],
            allowed=self.allowed[some],
            size=self.size[some],
            floor=self.floor[some],
        )


@dataclass(frozen=True)
class Answer:
    """Line by line: the claim, the first estimate, the value and bars in force, the distance in bars, the verdict."""

    claimed: Vector
    estimate: Estimate
    numeric: Vector
    bar: Vector
    total: Vector
    ratio: Vector
    wrong: NDArray[np.bool_]
    undecided: NDArray[np.bool_]

    @property
    def seen(self) -> Vector:
        """Return the smallest error along each line that would have been seen.

        An error beyond LIMIT bars is seen even if the estimate is off by a whole bar the other way.
        """
        return (LIMIT + 1) * self.total


def judge(question: Question, estimate: Estimate) -> Answer:
    """Measure every line in bars, without a second opinion."""
    total = estimate.bar + question.allowed
    error = np.abs(question.claimed - estimate.value)
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / total)
    known = np.isfinite(estimate.value) & np.isfinite(estimate.bar)
    ratio = np.where(known, ratio, np.inf)
    kinks = kinked(question, estimate)
    wrong = known & (ratio > LIMIT) & ~kinks
    undecided = ~wrong & (~known | too_wide(question, estimate.value, total) | kinks)
    return Answer(question.claimed, estimate, estimate.value, estimate.bar, total, ratio, wrong, undecided)


def kinked(question: Question, estimate: Estimate) -> NDArray[np.bool_]:
    """Tell where the two sides have slopes of their own.

    There nobody is accused, however far off the claim is: several kinks may meet in one line and cancel in the jump of
    its slope, which then bounds nothing.
    """
    visible = estimate.kink > SHARP * np.fmax(np.abs(estimate.value), question.size)
    return np.asarray(visible & (estimate.kink > estimate.bar / 2))


def too_wide(question: Question, numeric: Vector, total: Vector) -> NDArray[np.bool_]:
    """Tell where the bar hides so much that agreement with the claim says nothing."""
    hides = LIMIT * total > WIDE * np.fmax(np.abs(numeric), question.size)
    floor = np.fmax(question.floor, question.visible * np.abs(numeric))
    return np.asarray(hides & (LIMIT * total > floor) & (floor > 0))


def decide(question: Question, estimate: Estimate, *, batch: int) -> Answer:
    """Judge every line, and confirm what looks wrong before saying so.

    The worst ``batch`` lines are confirmed together, then the next ones while none of them was surely wrong: of many
    entries of one tensor one is enough to accuse it.
    """
    answer = judge(question, estimate)
    accused = np.flatnonzero(answer.wrong)
    order = accused[np.argsort(-answer.ratio[accused], kind="stable")]
    for start in range(0, len(order) if batch else 0, max(batch, 1)):
        some = order[start : start + batch]
        answer = second_opinion(question, answer, some)
        if answer.wrong[some].any():
            break
    return answer


def second_opinion(question: Question, answer: Answer, some: NDArray[np.intp]) -> Answer:
    """Confirm some accused lines and return the answer as it then stands.

    A line stays wrong where both estimates and the probe agree against the claim. Where they do not, the second
    estimate can still acquit: a claim cannot meet an independent estimate within a narrow bar by chance.
    """
    local = question.take(some)
    try:
        opinion = confirm(local.lines, mapped(lambda row: row[some], answer.estimate), local.claimed)
    except Exhausted:
        unconfirmed = changed(answer.wrong, some, np.zeros(len(some), bool))
        return replace(answer, wrong=unconfirmed, undecided=changed(answer.undecided, some, np.ones(len(some), bool)))
    second = opinion.second
    total = second.bar + local.allowed
    with np.errstate(all="ignore"):
        ratio = np.abs(local.claimed - second.value) / total
    meets = ratio <= LIMIT
    acquitted = meets & ~too_wide(local, second.value, total) & ~kinked(local, second)
    wrong = opinion.agrees & ~meets & ~kinked(local, second)
    cleared = some[acquitted]
    return replace(
        answer,
        numeric=changed(answer.numeric, cleared, second.value[acquitted]),
        bar=changed(answer.bar, cleared, second.bar[acquitted]),
        total=changed(answer.total, cleared, total[acquitted]),
        ratio=changed(answer.ratio, cleared, ratio[acquitted]),
        wrong=changed(answer.wrong, some, wrong),
        undecided=changed(answer.undecided, some, ~wrong & ~acquitted),
    )


def changed(row: NDArray[Any], entries: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a row with some entries replaced."""
    out = row.copy()
    out[entries] = values
    return out


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several verdicts; PASS where there are none."""
    ranked = list(Verdict)
    return max(verdicts, key=ranked.index, default=Verdict.PASS)
