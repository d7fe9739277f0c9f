"""Time and memory of two pairs: paired and repeated in one run, so that what else the machine does cancels."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from rnngrad.case import Case
from rnngrad.check.prepare import concrete
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.regress.naming import under_old_names
from rnngrad.regress.run import drawn_cotangents, forward_of
from rnngrad.result import Pace

__all__ = ["paces"]

REPEATS = 15
SHORTEST = 2e-3  # seconds that one timing lasts: a thousand times what the clock resolves

MOST = 200  # calls of one timing: each backward pass has a cache of its own, all of them made before

Step = tuple[Callable[[], Any], Callable[[Any], Any]]  # what prepares a call, and the call


def paces(
    old: Pair, new: Pair, cases: Sequence[Case], *, repeats: int = REPEATS, names: dict[str, str] | None = None
) -> list[Pace]:
    """Return time and peak memory of forward and backward of two pairs at some cases.

    Each repetition times both, one after the other, in turns which is first. Backward is timed with a cache of its own.
    """
    if repeats < 1:
        raise InvalidPair(f"repeats={repeats}; expected at least 1")
    return [pace for case in cases for pace in at(old, new, case, repeats, names)]


def at(old: Pair, new: Pair, case: Case, repeats: int, names: dict[str, str] | None) -> list[Pace]:
    """Time two pairs at one case."""
    inputs, _ = concrete(old, case)
    first = forward_of(old, inputs)
    if first.raised:
        raise InvalidPair(f"{old.name} at {case}: {first.raised[1]}; nothing to time")
    upstream = drawn_cotangents(old, first.outputs, case.seed, len(inputs))
    pairs = (
        under_old_names(old, old, None, None, first.outputs),
        under_old_names(old, new, names, None, first.outputs),
    )

    def forward(pair: Pair) -> Step:
        return lambda: None, lambda _: pair.forward(dict(inputs))

    def backward(pair: Pair) -> Step:
        return lambda: pair.forward(dict(inputs))[1], lambda cache: pair.backward(dict(upstream), cache)

    found = []
    for role, step in (("forward", forward), ("backward", backward)):
        steps = [step(pair) for pair in pairs]
        rows = repeated(steps, repeats)
        middle = (median(row[0] for row in rows), median(row[1] for row in rows))
        ratios = tuple(sorted(row[1] / row[0] for row in rows))
        found.append(Pace(repr(case), role, middle, ratios, (peak(steps[0]), peak(steps[1]))))
    return found


def repeated(steps: Sequence[Step], repeats: int) -> list[tuple[float, float]]:
    """Return seconds for each of two steps, in pairs."""
    number = [min(MOST, max(1, int(SHORTEST / max(seconds(step, 1), 1e-7)))) for step in steps]
    rows = []
    for turn in range(repeats):
        order = (0, 1) if turn % 2 else (1, 0)
        taken = {which: seconds(steps[which], number[which]) for which in order}
        rows.append((taken[0], taken[1]))
    return rows


def seconds(step: Step, number: int) -> float:
    """Return the seconds that one of some calls takes, each with what was prepared for it before."""
    prepare, call = step
    given = [prepare() for _ in range(number)]
    start = time.perf_counter()
    for one in given:
        call(one)
    return (time.perf_counter() - start) / number


def peak(step: Step) -> int:
    """Return the most bytes that a call holds at once, beside what was prepared for it."""
    prepare, call = step
    given = prepare()
    tracemalloc.start()
    try:
        call(given)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
