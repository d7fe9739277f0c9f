"""Under which conditions a wrong gradient is right: a dim of 1, two equal dims, an input that is constant or zero.

Each is an experiment at another point, asked along one direction for each gradient.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rnngrad.case import Case
from rnngrad.check.certificate import certified
from rnngrad.check.diagnose.scene import Scene, run
from rnngrad.check.diagnose.stage import Guess
from rnngrad.check.directed import along
from rnngrad.numdiff.directional import draw_direction

__all__ = ["changed", "dim_conditions", "value_conditions"]

SETTLING = 200  # steps in which a contraction forgets where it came from
SMALL = 0.25  # the scale at which most cells are contractions
STRETCH = 16.0  # by which an input is multiplied to see the error fall
FALLS = 2.0  # factor within which it must fall as the square does
SLIGHT = 0.2  # relative error below which something small may have been left out


def slopes(scene: Scene, names: Sequence[str]) -> dict[str, tuple[bool, float]]:
    """Return for each gradient whether it is right along a direction, and its relative error there."""
    point, joined = scene.point, scene.claims.joined
    usable = [name for name in names if name in scene.claims.usable and joined[point.parts[name]].any()]
    if not usable:
        return {}
    rng = np.random.default_rng(0)
    directions = [
        draw_direction(point.parts[name].start, point.lengths(point.parts[name]), joined[point.parts[name]], rng)
        for name in usable
    ]
    asked = along(point, directions, joined, sure=False, exact=certified(point, directions))
    answer = asked.answer
    size = np.fmax(np.abs(answer.claimed), np.abs(answer.numeric))
    error = np.abs(answer.claimed - answer.numeric) / np.where(size == 0, 1.0, size)
    return {name: (not asked.doubtful[line], float(error[line])) for line, name in enumerate(usable)}


def right_at(scene: Scene, given: Case | Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the gradients that are right at another point; none where the pair cannot be run there."""
    try:
        return [name for name, (right, _) in slopes(scene.elsewhere(given), names).items() if right]
    except Exception:
        return []


def changed(case: Case, **dims: int) -> Case:
    """Return a case with some dims changed."""
    return Case(fills=case.fills, scale=case.scale, seed=case.seed, **(case.dims | dims))


def dim_conditions(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say for which sizes of the dims wrong gradients are right."""
    case = scene.case
    if case is None:
        return
    dims, bound = scene.dims, {name: set[str]() for name in names}

    def right(**sizes: int) -> list[str]:
        return right_at(scene, changed(case, **sizes), names)

    for a, b in combinations(dims, 2):
        if dims[a] == dims[b] > 1:
            other = right(**{b: dims[b] + 1})
            for name in (name for name in right(**{a: dims[a] + 1}) if name in other):
                bound[name] |= {a, b}
                yield Guess(name, "dims", f"wrong only where {a} = {b}: one in the place of the other?", None)
    for dim, size in dims.items():
        ones = [name for name in right(**{dim: 1}) if dim not in bound[name]] if size > 1 else []
        twos = right(**{dim: 2}) if ones and size > 2 else []
        for name in ones:
            yield Guess(name, "dims", f"wrong only for {dim} >= 3" if name in twos else f"right whenever {dim} = 1", None)
            bound[name].add(dim)
    for a, b in combinations(dims, 2):
        if dims[a] != dims[b]:
            for name in right(**{b: dims[a]}):
                if not bound[name] & {a, b}:
                    yield Guess(name, "dims", f"right whenever {a} = {b}", None)


@dataclass(frozen=True)
class Condition:
    """Inputs changed so that something holds, in words."""

    words: str
    inputs: dict[str, Any]


def value_conditions(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say for which values of the inputs wrong gradients are right."""
    for condition in conditions(scene):
        for name in right_at(scene, condition.inputs, names):
            yield Guess(name, "values", f"right while {condition.words}", None, f"right while {condition.words}")
    yield from left_out(scene, names)


def conditions(scene: Scene) -> Iterator[Condition]:
    """Yield the points that are tried, the most telling first."""
    floating = {name: scene.inputs[name] for name in scene.point.parts}

    def given(words: str, **changes: Any) -> Condition:
        return Condition(words, scene.inputs | changes)

    for name, array in floating.items():
        if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
            yield given(f"{name} is symmetric: transposed where it should not be, or the reverse?", **{name: (array + array.T) / 2})
    for a, b in combinations(floating, 2):
        if floating[a].shape == floating[b].shape:
            yield given(f"{a} equals {b}: one in the place of the other?", **{b: floating[a]})
    yield from settled(scene)
    for name, array in floating.items():
        if array.size > 1:
            yield given(f"{name} is constant", **{name: np.full_like(array, array.mean())})
    for name, array in floating.items():
        yield given(f"{name} is zero: a term in it is wrong or missing?", **{name: np.zeros_like(array)})


def settled(scene: Scene) -> Iterator[Condition]:
    """Yield points where an input equals an output, or its last step: a state that has come full circle."""
    small = {name: array * SMALL for name, array in scene.inputs.items()}
    outputs = scene.outputs()
    states: dict[str, tuple[str, int | None]] = {}
    for name in scene.point.parts:
        for output, array in outputs.items():
            shape = scene.inputs[name].shape
            if output in [taken for taken, _ in states.values()] or not array.ndim:
                continue
            axes = [axis for axis in range(array.ndim) if np.delete(array.shape, axis).tolist() == list(shape)]
            if array.shape == shape or axes:
                states[name] = (output, None if array.shape == shape else axes[0])
                break
    held = [{}] + [
        {name: np.broadcast_to(np.take(small[name], [0], 0), small[name].shape)}
        for name in scene.point.parts
        if name not in states and small[name].ndim > 1
    ]
    said = ", ".join(f"{name} equals {output if axis is None else f'the last of {output}'}" for name, (output, axis) in states.items())
    for fixed in held if states else ():
        inputs = small | fixed
        for _ in range(SETTLING):
            found = run(scene.pair, inputs, scene.upstream)[0]
            inputs = inputs | {
                name: found[output] if axis is None else np.take(found[output], -1, axis)
                for name, (output, axis) in states.items()
            }
        which = "".join(f", and {name} is the same at every index of its first axis" for name in fixed)
        hint = ": an index off by one in time?" if fixed else ": one in the place of the other, as index -1 does at step 0?"
        yield Condition(f"{said}{which}{hint}", inputs)


def left_out(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say of which input the error falls with the square: what was left out is a small constant beside a variance."""
    here = {name: error for name, (_, error) in slopes(scene, names).items() if 0 < error < SLIGHT}
    for changed_name in scene.point.parts if here else ():
        inputs = scene.inputs | {changed_name: scene.inputs[changed_name] * STRETCH}
        try:
            there = slopes(scene.elsewhere(inputs), list(here))
        except Exception:
            continue
        for name, (_, error) in there.items():
            fall = here[name] / error if error else 0.0
            if STRETCH**2 / FALLS <= fall <= STRETCH**2 * FALLS:
                words = f"an eps left out: the error falls with the square of {changed_name}"
                yield Guess(name, "eps", words, None, "an eps is left out")
