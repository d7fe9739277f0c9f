"""The only place that decides pass, fail or inconclusive.

A claimed slope along a line, be it a single entry or a direction, is held against the numerical one in bars:
q = |claimed - numeric| / (bar + u). The bar is what the estimate claims for itself; u is what a right backward pass may
lose to its own rounding, relative to the tensor and not to the entry, since in saturated units a single entry may be
all cancellation. What lies beyond 5 is estimated a second time before anybody is accused, and looked at more closely:
in extended precision where that is to be had, beside what backward was seen to lose, and apart for every output. The
same closer look decides what was too blurred or bent too sharply at first; there it acquits and never accuses.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.plateau import independent
from rnngrad.check.witness import smooth
from rnngrad.errors import Exhausted
from rnngrad.numdiff.confirm import confirm
from rnngrad.numdiff.gradient import climb_all
from rnngrad.numdiff.rows import mapped
from rnngrad.numdiff.sample import Lines
from rnngrad.result import Estimate, Verdict
from rnngrad.tree import Vector

__all__ = ["LIMIT", "Answer", "Question", "decide", "judge", "kinked", "resolve", "worst_verdict"]

LIMIT = 5.0  # bars: of 168,320 confirmed estimates none was further off
SHARP = 1e-9  # of the slope; a smaller jump of it is below what central differences promise anyway
CLOSER = 1e-12  # the relative bar asked for in a closer look, as in `locate`
STARTS = (2.0**-5, 2.0**-17, 2.0**-29)  # first steps in it, relative to the scale: what bends sharply is smooth below
GROSS = 1e-2  # of the slope: to lose so much to rounding, and to hide it from a glance, takes several freaks at once
PLAIN = 1e3  # times all that a glance excuses
WIDE = 0.1  # a bar that hides a tenth of the gradient decides nothing


@dataclass(frozen=True)
class Question:
    """Claimed slopes along lines, and what each may differ by.

    ``allowed`` is what a right backward pass may lose to rounding; ``excused`` what may be rounding too, though that is
    no proof that the claim is right; ``size`` is what a bar is held against, and
    ``floor`` the bar that rounding alone explains, below which no dependence can be seen at all; ``visible`` is the
    share of what is seen that it stands for. ``closer`` asks all of it once more after a closer look, given the
    estimated slopes; ``closest`` after the last one before an accusation, ``glance`` after the first runs of that.
    """

    lines: Lines
    claimed: Vector
    allowed: Vector
    excused: Vector
    size: Vector
    floor: Vector
    visible: float
    closer: Callable[[Vector], "Question"]
    closest: Callable[[Vector], "Question"]
    glance: Callable[[Vector], "Question"]

    def take(self, some: NDArray[np.intp]) -> "Question":
        """Return some of the lines."""
        return replace(
            self,
            lines=self.lines.take(some),
            claimed=self.claimed[some],
            allowed=self.allowed[some],
            excused=self.excused[some],
            size=self.size[some],
            floor=self.floor[some],
        )


@dataclass(frozen=True)
class Answer:
    """Line by line: the claim, the first estimate, the value and bars in force, the distance in bars, the verdict.

    ``excused`` is the rounding of backward that alone withdraws an accusation, 0 where there was none.
    """

    claimed: Vector
    estimate: Estimate
    numeric: Vector
    bar: Vector
    total: Vector
    ratio: Vector
    wrong: NDArray[np.bool_]
    undecided: NDArray[np.bool_]
    excused: Vector

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
    return Answer(
        question.claimed, estimate, estimate.value, estimate.bar, total, ratio, wrong, undecided, question.excused
    )


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


def decide(question: Question, estimate: Estimate, *, batch: int, first: int | None = None) -> Answer:
    """Judge every line, and confirm what looks wrong before saying so.

    The worst ``batch`` lines, or ``first`` of them, are confirmed together, then the next ones while none of them was
    surely wrong: of many entries of one tensor one is enough to accuse it. What the budget does not reach to confirm is
    undecided.
    """
    answer = judge(question, estimate)
    for some in batches(answer, answer.wrong, batch, first):
        try:
            answer = second_opinion(question, answer, some)
        except Exhausted:
            return replace(answer, wrong=np.zeros_like(answer.wrong), undecided=answer.undecided | answer.wrong)
        if answer.wrong[some].any():
            break
    return answer


def resolve(question: Question, answer: Answer, *, batch: int) -> Answer:
    """Look closer at the lines that are undecided, while none of them stays so; where one is wrong no other counts.

    The worst one goes first by itself, since most often it speaks for the others.
    """
    blurred = answer.undecided & np.isfinite(answer.estimate.value) & (not answer.wrong.any())
    with suppress(Exhausted):
        for some in batches(answer, blurred, batch, first=1):
            answer = closer_look(question, answer, some)
            if answer.undecided[some].any():
                break
    return answer


def batches(answer: Answer, which: NDArray[np.bool_], batch: int, first: int | None = None) -> list[NDArray[np.intp]]:
    """Return some lines, the worst first, ``batch`` at a time, ``first`` of them at first; none where that is 0."""
    lines = np.flatnonzero(which) if batch else np.empty(0, np.intp)
    order = lines[np.argsort(-answer.ratio[lines], kind="stable")]
    cuts = range(batch if first is None else first, len(order), max(batch, 1))
    return [some for some in np.split(order, cuts) if len(some)]


def second_opinion(question: Question, answer: Answer, some: NDArray[np.intp]) -> Answer:
    """Confirm some accused lines and return the answer as it then stands.

    A line stays wrong where both estimates and the probe agree against the claim, and rounding does not excuse it.
    Where they do not, the second estimate can still acquit: a claim cannot meet an independent estimate within a narrow
    bar by chance.
    """
    lines = question.closer(answer.estimate.value).lines.take(some)
    opinion = confirm(lines, mapped(lambda row: row[some], answer.estimate), question.claimed[some])
    answer, beyond = looked(question.closer, answer, some, opinion.second)
    wrong = opinion.agrees & beyond
    accused = np.flatnonzero(wrong)
    step = np.fmin(answer.estimate.step[some], opinion.second.step)[accused]  # 0 for the complex step
    wrong[accused] = smooth(lines.take(accused), question.claimed[some][accused], opinion.second.value[accused], step)
    if len(accused := np.flatnonzero(wrong)):
        accused = accused[~obvious(question, answer, some[accused], opinion.second.value[accused])]
    if len(accused):
        second = mapped(lambda row: row[accused], opinion.second)
        answer, wrong[accused] = looked(question.closest, answer, some[accused], second)
    return replace(
        answer,
        wrong=changed(answer.wrong, some, wrong),
        undecided=changed(answer.undecided, some, answer.undecided[some] & ~wrong),
    )


def obvious(question: Question, answer: Answer, some: NDArray[np.intp], values: Vector) -> NDArray[np.bool_]:
    """Tell which accused lines are so far off, from their claim to the given values, that a glance is enough."""
    near = question.glance(changed(answer.estimate.value, some, values)).take(some)
    error = np.abs(near.claimed - values)
    excused = LIMIT * (answer.bar[some] + near.allowed + near.excused)
    return np.asarray((error > GROSS * np.fmax(np.abs(values), near.size)) & (error > PLAIN * excused))


def closer_look(question: Question, answer: Answer, some: NDArray[np.intp]) -> Answer:
    """Estimate some undecided lines anew after a closer look, and return the answer as it then stands.

    The derivative is what the finest steps see: the narrowest bar counts, if the ladders that began below bear it out.
    Where the outputs never change at all, 0 is right, however small they are.
    """
    lines = question.closer(answer.estimate.value).lines.take(some)
    best = climb_all(lines, target=CLOSER, first=STARTS[0])
    for first in STARTS[1:]:
        finer = climb_all(lines, target=CLOSER, first=first)
        apart = np.abs(best.value - finer.value) > LIMIT * (best.bar + finer.bar)
        better = apart | (finer.bar < best.bar)
        best = mapped(lambda old, new, better=better: np.asarray(np.where(better, new, old)), best, finer)
    answer = looked(question.closer, answer, some, best)[0]
    zero = answer.undecided[some] & (best.value == 0) & (answer.ratio[some] <= LIMIT)
    right = [line for line in some[zero].tolist() if independent(question.lines, line)]
    return replace(answer, undecided=changed(answer.undecided, np.array(right, np.intp), np.zeros(len(right), bool)))


def looked(
    closer: Callable[[Vector], Question], answer: Answer, some: NDArray[np.intp], again: Estimate
) -> tuple[Answer, NDArray[np.bool_]]:
    """Hold some lines against an estimate from a closer look.

    Those that meet it within a narrow bar are right, the others undecided; an accused one must meet it so closely that
    it could not have met the first estimate as well. Both those that meet it and those that only rounding excuses get
    its numbers. Return the answer, and which of them nothing excuses.
    """
    near = closer(changed(answer.estimate.value, some, again.value)).take(some)
    total = again.bar + near.allowed
    with np.errstate(all="ignore"):
        error = np.abs(near.claimed - again.value)
        ratio = np.where(error == 0, 0.0, error / total)
        tells = ~answer.wrong[some] | (LIMIT * total < np.abs(near.claimed - answer.numeric[some]))
        meets = (ratio <= LIMIT) & tells & ~too_wide(near, again.value, total) & ~kinked(near, again)
        beyond = (error > LIMIT * (total + near.excused)) & ~kinked(near, again)
    excused = (ratio > LIMIT) & ~beyond & ~kinked(near, again)
    told = meets | excused
    answer = replace(
        answer,
        numeric=changed(answer.numeric, some[told], again.value[told]),
        bar=changed(answer.bar, some[told], again.bar[told]),
        total=changed(answer.total, some[told], total[told]),
        ratio=changed(answer.ratio, some[told], ratio[told]),
        wrong=changed(answer.wrong, some, np.zeros(len(some), bool)),
        undecided=changed(answer.undecided, some, ~meets),
        excused=changed(answer.excused, some, np.where(excused, near.excused, answer.excused[some])),
    )
    return answer, beyond


def changed(row: NDArray[Any], entries: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a row with some entries replaced."""
    out = row.copy()
    out[entries] = values
    return out


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several verdicts; PASS where there are none."""
    ranked = list(Verdict)
    return max(verdicts, key=ranked.index, default=Verdict.PASS)
