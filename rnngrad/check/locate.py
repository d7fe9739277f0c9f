"""From a tensor that disagrees, or cannot be decided, to its entries.

A small tensor goes entry by entry. In a large one a single wrong entry is found by two measurements: along d and along
d times a ramp it leaves errors whose ratio is its place. Where that explains not all, the tensor is halved: each half
is a direction of its own, halves that pass are left alone, and what remains is halved again, until single entries are
left. Where nothing can be told of any half, or the error is everywhere, the worst ones stand for them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.certificate import Safety
from rnngrad.check.compare import LIMIT, Answer, decide, judge, resolve
from rnngrad.check.directed import Directed, along
from rnngrad.check.point import Point
from rnngrad.check.question import entry_question
from rnngrad.numdiff.directional import Direction, draw_direction
from rnngrad.numdiff.gradient import climb_all
from rnngrad.numdiff.sample import Lines
from rnngrad.tree import Vector

__all__ = ["Located", "every_entry", "located"]

SMALL = 32  # entries that are looked at one by one without a search: about what a search costs
CROWD = 32  # halves that are followed at once; beyond, they would cost more than all they tell
MANY = 16  # halves, none of which can be decided: kinks are everywhere, and each costs 50 passes at every halving
FEW = 4  # of those are followed: what is far off stands out there too
TARGET = 1e-12  # the relative bar asked for where somebody is accused: as far as rounding goes
EVERYWHERE = 1e-9  # and where all entries are asked for: two steps fewer for each
BATCH = 16  # accused entries confirmed at a time, after the first ones:
FIRST = 1  # the worst, for some 50 passes, is most often wrong indeed, and speaks for the others


@dataclass(frozen=True)
class Located:
    """The entries looked at one by one, what was found of them, and whether no other entry is in doubt.

    ``cleared`` says that some of them only a closer look decided: along a direction they still spoil the numbers.
    """

    entries: NDArray[np.intp]
    lines: Lines
    answer: Answer
    complete: bool
    cleared: bool


def every_entry(point: Point, name: str, claimed: Vector) -> Located:
    """Look at all entries of one input."""
    return looked_at(point, name, claimed, np.arange(len(claimed)), True, EVERYWHERE)


def looked_at(
    point: Point, name: str, claimed: Vector, entries: NDArray[np.intp], complete: bool, target: float = TARGET
) -> Located:
    """Estimate some entries of one input and decide on each."""
    samples = point.forward.left // (2 * len(entries))
    estimate = climb_all(point.entries(name, entries), target=target, samples=samples)
    question = entry_question(point, name, entries, claimed, estimate)
    first = judge(question, estimate)
    answer = resolve(question, decide(question, estimate, batch=BATCH, first=FIRST), batch=BATCH)
    cleared = bool(((first.wrong | first.undecided) & ~(answer.wrong | answer.undecided)).any())
    return Located(entries, question.lines, answer, complete, cleared)


def located(
    point: Point, name: str, joined: Vector, asked: Directed, line: int, rng: np.random.Generator
) -> Located | None:
    """Look at the entries of one input that may be wrong, or undecided; None where every half of the tensor passes.

    ``joined`` is the claimed gradient of all inputs; ``asked`` has found the input doubtful on its line.
    """
    claimed = joined[point.parts[name]]
    if len(claimed) <= SMALL:
        return looked_at(point, name, claimed, np.arange(len(claimed)), True)
    found = single_fault(point, name, joined, asked, line) if asked.answer.wrong[line] else None
    if found is not None:
        return found
    entries, complete = suspects(point, point.parts[name], joined, rng, asked.safety)
    return looked_at(point, name, claimed, entries, complete) if len(entries) else None


def single_fault(point: Point, name: str, joined: Vector, asked: Directed, line: int) -> Located | None:
    """Find the one entry that explains the disagreement along a direction, or None."""
    claimed, direction, answer = joined[point.parts[name]], asked.directions[line], asked.answer
    count = len(claimed)
    ramp = Direction(direction.start, direction.values * (0.5 + np.arange(count) / count))
    second = along(point, [ramp], joined, sure=False, safety=asked.safety).answer
    error = answer.claimed[line] - answer.numeric[line]
    total = answer.total[line] + second.total[0]
    place = ((second.claimed[0] - second.numeric[0]) / error - 0.5) * count
    around = 1 + count * total / abs(error)
    if not around < SMALL / 2 or not -around <= place < count + around:
        return None
    entries = np.arange(max(0, int(place - around)), min(count, int(place + around) + 1))
    found = looked_at(point, name, claimed, entries, True)
    wrong = np.where(found.answer.wrong, found.answer.claimed - found.answer.numeric, 0.0)
    explained = abs(error - wrong @ direction.values[entries]) <= LIMIT * total
    return found if explained and not found.answer.undecided.any() else None


def suspects(
    point: Point, part: slice, joined: Vector, rng: np.random.Generator, safety: Safety
) -> tuple[NDArray[np.intp], bool]:
    """Halve a tensor down to the entries in doubt.

    Return them, and whether they are all: of too many halves in doubt only the worst are followed.
    """
    segments, complete = [(part.start, part.stop)], True
    while segments and sum(stop - start for start, stop in segments) > SMALL:
        halves = [half for start, stop in segments for half in halved(start, stop)]
        directions = [draw_direction(i, point.lengths(slice(i, j)), joined[i:j], rng) for i, j in halves]
        found = along(point, directions, joined, sure=False, safety=safety)
        worst_first = np.argsort(-found.answer.ratio, kind="stable")
        doubtful = worst_first[found.doubtful[worst_first]]
        most = FEW if len(halves) >= MANY and found.answer.undecided.all() else CROWD
        complete = complete and len(doubtful) <= most
        segments = [halves[half] for half in sorted(doubtful[:most])]
    entries = [np.arange(start, stop) for start, stop in segments]
    return (np.concatenate(entries) if entries else np.empty(0, np.intp)) - part.start, complete


def halved(start: int, stop: int) -> list[tuple[int, int]]:
    """Split a run of entries in two; a single entry stays whole."""
    middle = (start + stop) // 2
    return [(start, stop)] if stop - start == 1 else [(start, middle), (middle, stop)]
