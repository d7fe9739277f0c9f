"""Every gradient at once: one direction for each input, one weighted over all of them, entries where these disagree.

The random direction of an input names it when its gradient is wrong, at a cost that does not grow with its size. The
weighted one makes small entries count as much as large ones; where it alone disagrees, it is asked input by input.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rnngrad.check.certificate import certified
from rnngrad.check.directed import Directed, along
from rnngrad.check.locate import every_entry, located
from rnngrad.check.point import Point
from rnngrad.check.verdict import from_direction, from_entries, from_nothing
from rnngrad.numdiff.directional import Direction, Weighted, draw_direction
from rnngrad.result import GradientResult
from rnngrad.tree import Vector

__all__ = ["nothing_claimed", "sweep", "sweep_entries"]

Draw = Callable[[Point, slice, Vector, np.random.Generator], Direction]


def sweep_entries(point: Point, names: Sequence[str], joined: Vector, _seed: int) -> tuple[list[GradientResult], bool]:
    """Judge the claimed gradient of every input by all its entries; return what `sweep` does."""
    results = []
    for name in names:
        claimed = joined[point.parts[name]]
        some = len(claimed) > 0
        results.append(
            from_entries(point, name, every_entry(point, name, claimed)) if some else from_nothing(point, name)
        )
    return results, False


def sweep(point: Point, names: Sequence[str], joined: Vector, seed: int) -> tuple[list[GradientResult], bool]:
    """Judge the claimed gradients of some inputs along directions; look at entries where they disagree.

    ``joined`` is the claimed gradient of all inputs, 0 for those that are not named. Return the results, and whether
    the slopes along the directions came from the complex step.
    """
    wanted, names = names, [name for name in names if len(joined[point.parts[name]])]
    rng = np.random.default_rng([seed, len(joined)])
    if not names:
        return [from_nothing(point, name) for name in wanted], False
    asked, draw = asked_of(point, names, joined, rng)
    results = {}
    for line, name in enumerate(names):
        found = located(point, name, joined, asked, line, rng) if asked.doubtful[line] else None
        if found is not None and bool((found.answer.wrong | found.answer.undecided).any()):
            results[name] = from_entries(point, name, found)
        elif asked.answer.wrong[line]:
            again = along(point, [draw(point, point.parts[name], joined, rng)], joined, exact=asked.exact)
            sure = bool(again.answer.wrong[0]) and not (found is not None and found.cleared)
            results[name] = from_direction(point, name, asked if sure else doubted(asked, line), line)
        elif found is not None:
            results[name] = from_entries(point, name, found)
        else:
            results[name] = from_direction(point, name, asked, line)
    return [results.get(name) or from_nothing(point, name) for name in wanted], asked.exact


def doubted(asked: Directed, line: int) -> Directed:
    """Take an accusation back that a second direction does not bear out: with no entry to show, one is not enough."""
    here = np.arange(len(asked.directions)) == line
    answer = replace(asked.answer, wrong=asked.answer.wrong & ~here, undecided=asked.answer.undecided | here)
    return replace(asked, answer=answer)


def asked_of(point: Point, names: list[str], joined: Vector, rng: np.random.Generator) -> tuple[Directed, Draw]:
    """Ask along one direction for each input, or along weighted ones where only the weights make a difference.

    Return what was found, and how the directions were drawn.
    """
    directions = [plain(point, point.parts[name], joined, rng) for name in names]
    watch = weighted(point, slice(0, len(joined)), joined, rng)
    both = along(point, [*directions, watch], joined, exact=certified(point, directions))
    if not both.doubtful[-1] or both.doubtful[:-1].any():
        return both, plain
    return along(point, [weighted(point, point.parts[name], joined, rng) for name in names], joined), weighted


def plain(point: Point, part: slice, joined: Vector, rng: np.random.Generator) -> Direction:
    """Draw a direction over a part of theta."""
    return draw_direction(part.start, point.lengths(part), joined[part], rng)


def weighted(point: Point, part: slice, joined: Vector, rng: np.random.Generator) -> Direction:
    """Draw a direction over a part of theta, weighted by the inverse size of the claimed gradient."""
    claimed = joined[part]
    return draw_direction(part.start, Weighted(point.lengths(part), claimed), claimed, rng)


def nothing_claimed(point: Point, name: str, seed: int) -> GradientResult:
    """Judge the claim that the derivative with respect to one input is zero: what a missing gradient amounts to."""
    part = point.parts[name]
    if part.start == part.stop:
        return from_nothing(point, name)
    nothing = np.zeros(len(point.theta))
    direction = plain(point, part, nothing, np.random.default_rng([seed, part.start]))
    return from_direction(point, name, along(point, [direction], nothing), 0)
