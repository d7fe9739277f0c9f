"""The cases of a baseline where none are given: the same for the same shapes, with sizes that differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnngrad.case import Case
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.spec import Axis, dim_names

__all__ = ["cases_of"]

COUNT = 20
SPAN = 6  # as many sizes as `strategies` draws from
SCALES = (1.0, 1.0, 0.5, 2.0)


def cases_of(pair: Pair, asked: Any) -> tuple[Case, ...]:
    """Return the cases that are asked for: a number of drawn ones, or those that are given."""
    if not isinstance(pair, Pair) or not pair.shapes:
        raise InvalidPair("a baseline is recorded of a pair with declared inputs, so that its cases can be replayed")
    count = COUNT if asked is None else asked
    if isinstance(count, int) and not isinstance(count, bool) and count > 0:
        return tuple(drawn(pair, number) for number in range(count))
    cases = tuple(asked) if isinstance(asked, list | tuple) else ()
    if not cases or not all(isinstance(case, Case) for case in cases):
        raise InvalidPair(f"cases={asked!r:.80}; expected how many to draw, or a list of rg.Case")
    return cases


def drawn(pair: Pair, number: int) -> Case:
    """Draw one case."""
    rng = np.random.default_rng([20, number])
    order = rng.permutation(SPAN)
    sizes: dict[str, Any] = {}
    for position, (name, is_group) in enumerate(dim_names(pair.shapes.values()).items()):
        if is_group:
            sizes[name] = tuple(int(size) for size in rng.integers(1, 4, rng.integers(0, 3)))
        else:
            sizes[name] = least(pair, name) + int(order[position % SPAN])
    return Case(scale=SCALES[number % len(SCALES)], seed=number, **sizes)


def least(pair: Pair, name: str) -> int:
    """Return the least size of a dim with which no axis is empty."""
    axes = [axis for shape in pair.shapes.values() for axis in shape.axes if isinstance(axis, Axis)]
    factors: list[tuple[Mapping[str, int], int]] = [(dict(axis.terms), axis.constant) for axis in axes]
    return max([1, *(-((constant - 1) // terms[name]) for terms, constant in factors if name in terms)])
