"""Every gradient at once: one direction for each input, one weighted over all of them, entries where these disagree.

The random direction of an input names it when its gradient is wrong, at a cost that does not grow with its size. The
weighted one makes small entries count as much as large ones; where it alone disagrees, it is asked input by input.
Many inputs are taken together, a run of them along one weighted direction, so that the cost does not grow with their
number either; a run in doubt is taken apart. Each result is put down as soon as it is known. Where nobody reads yet,
what is far off along two directions is not looked up entry by entry before somebody does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np

from rnngrad.check.certificate import ELSEWHERE, UNSAFE, Safety, certified
from rnngrad.check.directed import TARGET, Directed, along
from rnngrad.check.locate import every_entry, located
from rnngrad.check.plan import GROUPS
from rnngrad.check.point import Point
from rnngrad.check.verdict import PUT_OFF, UNPLACED, from_direction, from_entries, from_nothing, unaffordable
from rnngrad.errors import Exhausted
from rnngrad.numdiff.directional import Direction, Weighted, draw_direction
from rnngrad.numdiff.ladder import FIRST, LEAST
from rnngrad.numdiff.tableau import SAFETY
from rnngrad.result import GradientResult
from rnngrad.tree import Vector

__all__ = ["Later", "On", "Results", "asked_of", "nothing_claimed", "plain", "runs_of", "sweep", "sweep_entries"]

HARDLY = 10.0  # times the relative bar of a line of its own that an input is content with, where others are asked with
# it: a common factor of 1 + 1e-9 in one of them then still stands out
TWICE = 2.0  # times the noise of such a line, for the same reason: with 10 times one such factor of 42 was missed
TOGETHER = 2  # more directions than the joint ones

FAR = 1e4  # bars by which a claim is off along two directions whose entries can wait: no doubt was ever so large

Results = dict[str, GradientResult]
Later = dict[str, Callable[[], GradientResult]]  # by input, what completes its result

Draw = Callable[[Point, slice, Vector, np.random.Generator], Direction]


@dataclass(frozen=True)
class On:
    """The line that speaks for a run of inputs, and how such directions are drawn."""

    asked: Directed
    line: int
    draw: Draw


def sweep_entries(
    point: Point, names: Sequence[str], joined: Vector, _seed: int, results: Results, _later: Later | None
) -> bool:
    """Judge the claimed gradient of every input by all its entries; the same terms as `sweep`."""
    for name in names:
        claimed = joined[point.parts[name]]
        if not len(claimed):
            results[name] = from_nothing(point, name)
            continue
        try:
            results[name] = from_entries(point, name, every_entry(point, name, claimed))
        except Exhausted:
            results[name] = unaffordable(point, name)
    return False


def sweep(point: Point, names: Sequence[str], joined: Vector, seed: int, results: Results, later: Later | None) -> bool:
    """Judge the claimed gradients of some inputs along directions; look at entries where they disagree.

    ``joined`` is the claimed gradient of all inputs, 0 for those that are not named. Put the results down in
    ``results``, and in ``later``, where there is such a thing, what completes them; return whether the slopes along the
    directions came from the complex step.
    """
    results.update({name: from_nothing(point, name) for name in names if not len(joined[point.parts[name]])})
    rest = [name for name in names if name not in results]
    rng = np.random.default_rng([seed, len(joined)])
    return bool(rest) and examine(point, runs_of(point, rest, GROUPS), joined, rng, results, later)


def examine(
    point: Point,
    runs: list[list[str]],
    joined: Vector,
    rng: np.random.Generator,
    results: Results,
    later: Later | None,
) -> bool:
    """Judge runs of inputs, each along a direction of its own, and what is in doubt more closely."""
    affordable = min(point.forward.left // LEAST, GROUPS)
    if 0 < affordable < len(runs):
        runs = runs_of(point, [name for run in runs for name in run], affordable)
    try:
        asked = asked_of(point, runs, joined, rng)
    except Exhausted:
        results.update({name: unaffordable(point, name) for run in runs for name in run})
        return False
    doubtful = [(run, on) for run, on in zip(runs, asked, strict=True) if on.asked.doubtful[on.line]]
    for run, on in zip(runs, asked, strict=True):
        if not on.asked.doubtful[on.line]:
            results.update({name: from_direction(point, name, on.asked, on.line) for name in run})
    far = set() if later is None else far_off(point, doubtful, joined, rng)
    for run, on in doubtful:
        if len(run) > 1:
            examine(point, runs_of(point, run, GROUPS), joined, rng, results, later)
        elif later is not None and run[0] in far:
            results[run[0]] = from_direction(point, run[0], on.asked, on.line, PUT_OFF)
            later[run[0]] = partial(closer, point, run[0], joined, on, rng, far=True)
        else:
            results[run[0]] = closer(point, run[0], joined, on, rng)
    return all(on.asked.exact for on in asked)


def far_off(
    point: Point, doubtful: Sequence[tuple[list[str], On]], joined: Vector, rng: np.random.Generator
) -> set[str]:
    """Return the inputs whose claims are so far off, along two directions, that their entries can wait."""
    far = {run[0]: on for run, on in doubtful if len(run) == 1 and beyond(on.asked, on.line)}
    if not far:
        return set()
    directions = [on.draw(point, point.parts[name], joined, rng) for name, on in far.items()]
    safety = ELSEWHERE if all(on.asked.exact for on in far.values()) else UNSAFE
    again = along(point, directions, joined, sure=False, safety=safety)
    return {name for line, name in enumerate(far) if beyond(again, line)}


def beyond(asked: Directed, line: int) -> bool:
    """Tell whether a claim is far off along one line."""
    return bool(asked.answer.wrong[line] and asked.answer.ratio[line] > FAR)


def closer(
    point: Point, name: str, joined: Vector, on: On, rng: np.random.Generator, *, far: bool = False
) -> GradientResult:
    """Return the result for an input in doubt: from its entries, or where they show nothing from another direction.

    A claim that is ``far`` off along two directions is wrong even where none of its entries can be decided alone.
    """
    asked, found = on.asked, None
    try:
        found = located(point, name, joined, asked, on.line, rng)
        if found is not None and bool((found.answer.wrong | found.answer.undecided).any()):
            if not found.answer.wrong.any() and (far or far_off(point, [([name], on)], joined, rng)):
                return from_direction(point, name, asked, on.line, UNPLACED)
            return from_entries(point, name, found)
        if asked.answer.wrong[on.line]:
            again = along(point, [on.draw(point, point.parts[name], joined, rng)], joined, safety=asked.safety)
            sure = bool(again.answer.wrong[0]) and not (found is not None and found.cleared)
            return from_direction(point, name, asked if sure else doubted(asked, on.line), on.line)
    except Exhausted:
        return from_direction(point, name, doubted(asked, on.line), on.line)
    if found is None or not found.complete:  # where other entries are in doubt, those that are right tell nothing
        return from_direction(point, name, asked, on.line)
    return from_entries(point, name, found)


def doubted(asked: Directed, line: int) -> Directed:
    """Take an accusation back that a second direction does not bear out: with no entry to show, one is not enough."""
    here = np.arange(len(asked.directions)) == line
    answer = replace(asked.answer, wrong=asked.answer.wrong & ~here, undecided=asked.answer.undecided | here)
    return replace(asked, answer=answer)


def runs_of(point: Point, names: Sequence[str], most: int) -> list[list[str]]:
    """Split inputs into runs that lie side by side in theta: as many as there are inputs, or ``most``."""
    length = -(-len(names) // most)
    runs: list[list[str]] = []
    for name in names:
        beside = runs and point.parts[runs[-1][-1]].stop == point.parts[name].start
        if beside and len(runs[-1]) < length:
            runs[-1].append(name)
        else:
            runs.append([name])
    return runs


def asked_of(point: Point, runs: list[list[str]], joined: Vector, rng: np.random.Generator) -> list[On]:
    """Ask along one direction for all runs, and along one for each that this does not settle.

    Where only weights make a difference, these directions are weighted too.
    """
    parts = [slice(point.parts[run[0]].start, point.parts[run[-1]].stop) for run in runs]
    drawn = [plain if len(run) == 1 else weighted for run in runs]
    whole = plain(point, slice(parts[0].start, parts[-1].stop), joined, rng, parts)
    directions = [whole]
    if len(runs) > 1 or drawn[0] is weighted:
        directions = [
            whole.within(part) if draw is plain else weighted(point, part, joined, rng)
            for draw, part in zip(drawn, parts, strict=True)
        ]
    if point.forward.left < LEAST * (len(directions) + 1):
        return every(along(point, directions, joined), drawn)
    watch = weighted(point, whole.run, joined, rng, joined_up(parts))
    safety = certified(point, whole)
    if len(runs) > TOGETHER:
        own = [*zip(directions, drawn, strict=True)]
        settled = together(point, own, whole, watch, joined, safety)
        rest = [line for line, on in enumerate(settled) if on is None]
        if len(rest) < len(runs):
            some, drawn = [directions[line] for line in rest], [drawn[line] for line in rest]
            apart = iter(every(along(point, some, joined, safety=safety), drawn) if rest else [])
            return [on or next(apart) for on in settled]
    both = along(point, [*directions, watch], joined, safety=safety)
    if not both.doubtful[-1] or both.doubtful[:-1].any():
        return every(both, drawn)
    return every(along(point, [weighted(point, part, joined, rng) for part in parts], joined), [weighted] * len(parts))


def together(
    point: Point,
    own: Sequence[tuple[Direction, Draw]],
    whole: Direction,
    watch: Direction,
    joined: Vector,
    safety: Safety,
) -> list[On | None]:
    """Ask along one direction for all, and say for each of their own whether that settles it.

    It does where their ``own``, which if plain is a part of the joint one, would hardly see more; none is settled where
    the joint one, or the weighted one that watches over it, is in doubt.
    """
    asked = along(point, [whole, watch], joined, sure=False, safety=safety)
    slopes = [direction.slope(joined) for direction, _ in own]
    weaker = [1.0 if draw is plain else one.least(one.run) / whole.least(one.run) for one, draw in own]
    needed = TWICE * SAFETY / FIRST * asked.lines.sigma[0] + HARDLY * TARGET * np.abs(slopes)
    enough = (asked.answer.total[0] * np.array(weaker) <= needed) & ~asked.doubtful.any()
    return [On(asked, 0, plain) if settled else None for settled in enough]


def joined_up(parts: Sequence[slice]) -> list[slice]:
    """Return parts of theta with those that touch made one."""
    starts = [part.start for before, part in pairwise([slice(-1, -1), *parts]) if before.stop != part.start]
    stops = [part.stop for part, after in pairwise([*parts, slice(-1, -1)]) if part.stop != after.start]
    return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]


def every(asked: Directed, drawn: Sequence[Draw]) -> list[On]:
    """Return the lines of one answer, each with the way its direction was drawn."""
    return [On(asked, line, draw) for line, draw in enumerate(drawn)]


def plain(
    point: Point, part: slice, joined: Vector, rng: np.random.Generator, parts: Sequence[slice] = ()
) -> Direction:
    """Draw a direction over a part of theta, or over parts of it."""
    return draw_direction(part.start, point.lengths(part), joined[part], rng, parts)


def weighted(
    point: Point, part: slice, joined: Vector, rng: np.random.Generator, parts: Sequence[slice] = ()
) -> Direction:
    """Draw a direction over a part of theta, or parts of it, weighted by the inverse size of the claimed gradient."""
    claimed = joined[part]
    return draw_direction(part.start, Weighted(point.lengths(part), claimed), claimed, rng, parts)


def nothing_claimed(point: Point, name: str, seed: int) -> GradientResult:
    """Judge the claim that the derivative with respect to one input is zero: what a missing gradient amounts to."""
    part = point.parts[name]
    if part.start == part.stop:
        return from_nothing(point, name)
    if point.forward.left < LEAST:
        return unaffordable(point, name)
    nothing = np.zeros(len(point.theta))
    direction = plain(point, part, nothing, np.random.default_rng([seed, part.start]))
    return from_direction(point, name, along(point, [direction], nothing), 0)
