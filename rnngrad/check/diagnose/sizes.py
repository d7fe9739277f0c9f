"""For which sizes of its dims a wrong gradient is right: a dim of 1, two dims that differ, or that are equal.

What is said holds at every case that was tried, the given one above all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rnngrad.case import Case, draw_inputs
from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.conditions import TRIES, borne_out, changed, judged, right_at, wrong_here
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage

__all__ = ["dim_conditions"]

Dims = Mapping[str, int]
UNLIKE = 8  # of the points at which a statement is tried the first ones, with values that differ


@dataclass(frozen=True)
class Statement:
    """That a gradient is right for some sizes, in words; ``right`` tells which, ``made`` makes such of any others.

    ``dims`` are those that it speaks of.
    """

    words: str
    right: Callable[[Dims], bool]
    made: Callable[[Dims, int], dict[str, int]]
    dims: tuple[str, ...]


def only_equal(a: str, b: str) -> Statement:
    """State that a gradient is wrong only where two dims are equal."""
    return Statement(
        f"wrong only where {a} = {b}: one in the place of the other?",
        lambda dims: dims[a] != dims[b],
        lambda dims, k: {(a, b)[k % 2]: max(dims[a], dims[b]) + 1 + k // 2},
        (a, b),
    )


def below_three(dim: str) -> Statement:
    """State that a gradient is right for a dim of 1 or 2."""
    return Statement(f"wrong only for {dim} >= 3", lambda dims: dims[dim] < 3, lambda _, k: {dim: 1 + k % 2}, (dim,))


def at_one(dim: str) -> Statement:
    """State that a gradient is right for a dim of 1."""
    return Statement(f"right whenever {dim} = 1", lambda dims: dims[dim] == 1, lambda *_: {dim: 1}, (dim,))


def when_equal(a: str, b: str) -> Statement:
    """State that a gradient is right where two dims are equal."""
    return Statement(
        f"right whenever {a} = {b}",
        lambda dims: dims[a] == dims[b],
        lambda dims, k: dict.fromkeys((a, b), dims[(a, b)[k % 2]]),
        (a, b),
    )


def statements(dims: Dims) -> Iterator[Statement]:
    """Yield what may be said, the most telling first."""
    yield from (only_equal(a, b) for a, b in combinations(dims, 2) if dims[a] == dims[b] > 1)
    for dim, size in dims.items():
        if size > 2:
            yield below_three(dim)
        if size > 1:
            yield at_one(dim)
    yield from (when_equal(a, b) for a, b in combinations(dims, 2) if dims[a] != dims[b])


def dim_conditions(stages: Sequence[Stage], names: Sequence[str]) -> Iterator[Guess]:
    """Say for which sizes of the dims gradients are right that are wrong at some stages; the last of these is asked."""
    left = list(names)
    for stage in reversed(stages):
        if stage.scene.case is not None and left:
            some = wrong_here(stage.scene, [name for name in left if name in (*stage.views, *stage.shaped)])
            left = [name for name in left if name not in some]
            yield from stated(stage.scene, some, stages)


def stated(scene: Scene, names: Sequence[str], stages: Sequence[Stage]) -> Iterator[Guess]:
    """Say what may be said of gradients that are wrong at a scene, each dim once."""
    spoken: set[tuple[str, str]] = set()
    for one in statements(scene.dims):
        some = [name for name in names if not {(name, dim) for dim in one.dims} & spoken]
        for name in holding(one, scene, some, stages):
            spoken |= {(name, dim) for dim in one.dims}
            yield Guess(name, "dims", one.words, None)


def holding(one: Statement, scene: Scene, names: Sequence[str], stages: Sequence[Stage]) -> list[str]:
    """Return the gradients of which a statement is borne out, and contradicted nowhere."""
    against = {name for stage in stages if one.right(stage.scene.dims) for name in (*stage.views, *stage.shaped)}
    some = [name for name in names if name not in against]
    if not some or scene.case is None:
        return []
    some = right_at(scene, changed(scene.case, **one.made(scene.dims, 0)), some)
    return borne_out([judged(scene, case, some) for case in others(one, stages)], some) if some else []


def others(one: Statement, stages: Sequence[Stage]) -> Iterator[Case | Arrays]:
    """Yield other points for which a statement says that a gradient is right, of the sizes and scales of all stages.

    Some have the same values at every index along a single dim: an index, or a place, that comes twice is seldom drawn.
    """
    drawn = [(stage.scene, stage.scene.case) for stage in stages if stage.scene.case is not None]
    for k in range(TRIES):
        scene, like = drawn[k // 2 % len(drawn)]
        dims = like.dims | one.made(scene.dims, k)
        case = Case(fills=like.fills, scale=like.scale, seed=like.seed + 1 + k, **dims)
        same = len(one.dims) == 1 and k >= UNLIKE
        yield level(scene, dict(draw_inputs(scene.pair.shapes, case)), one.dims[0]) if same else case


def level(scene: Scene, inputs: Arrays, dim: str) -> Arrays:
    """Return inputs with the values of the first index along a dim at every other one."""
    for name, shape in scene.pair.shapes.items():
        for axis, one in enumerate(shape.axes):
            if one.text == dim and inputs[name].ndim == len(shape.axes):
                inputs[name] = np.repeat(inputs[name].take([0], axis), inputs[name].shape[axis], axis)
    return inputs
