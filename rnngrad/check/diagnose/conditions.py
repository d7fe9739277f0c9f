"""Under which conditions a wrong gradient is right: a dim of 1, two equal dims, an input that is constant or zero.

Each is an experiment at another point: a single run of backward, and one slope for each gradient.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case, draw_cotangents, draw_inputs
from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage

__all__ = ["changed", "dim_conditions", "left_out", "slope_errors", "value_conditions"]

SMALL = 2.0**-4  # what inputs are scaled by so that most cells are contractions
GONE = 1e-6  # a state that small has died away
SETTLING = 100  # steps in which a contraction forgets where it came from
STEP = 2.0**-8  # relative to the size of an input; extrapolated twice, what it truncates is some 1e-14
RIGHT = 1e-8  # relative error up to which a slope counts as right, and
WRONG = 1e-6  # from which on it counts as wrong: what lies between says nothing
STRETCH = 16.0  # by which an input is multiplied, twice, to see the error fall
FALLS = 1.25  # factor within which it must fall as the square does


def slope_errors(scene: Scene, inputs: Arrays, upstream: Arrays, names: Sequence[str]) -> dict[str, float]:
    """Return the relative error of each gradient along a direction; of those that are not zero, and finite."""
    outputs, _, claims = scene.run(inputs, upstream)
    found = {}
    for place, name in enumerate(names):
        array, claim = inputs[name], claims.get(name)
        if claim is None or claim.shape != array.shape or not np.isfinite(claim).all() or not claim.any():
            continue
        rng = np.random.default_rng(place)
        size = float(np.abs(array).max(initial=0.0)) or 1.0
        direction = size * rng.choice([-1.0, 1.0], array.shape) * rng.uniform(0.5, 1.5, array.shape)
        slopes = []
        for step in (STEP, STEP / 2, STEP / 4):
            sides = [
                scene.pair.forward(
                    {key: other.copy() for key, other in (inputs | {name: array + sign * step * direction}).items()}
                )[0]
                for sign in (1, -1)
            ]
            slopes.append(sum(float(np.vdot(upstream[o], sides[0][o] - sides[1][o]).real) for o in outputs) / 2 / step)
        first = [b + (b - a) / 3 for a, b in pairwise(slopes)]
        numeric = first[1] + (first[1] - first[0]) / 15
        norms = float(np.linalg.norm(claim * direction))
        found[name] = abs(float(np.vdot(claim, direction).real) - numeric) / max(norms, abs(numeric))
    return found


def right_at(scene: Scene, given: Case | Arrays, names: Sequence[str]) -> list[str]:
    """Return the gradients that are right at another point; none where the pair cannot be run there."""
    try:
        with np.errstate(all="ignore"):
            errors = slope_errors(scene, *arrays_at(scene, given), names)
    except Exception:
        return []
    return [name for name, error in errors.items() if error <= RIGHT]


def arrays_at(scene: Scene, given: Case | Arrays) -> tuple[Arrays, Arrays]:
    """Return inputs and cotangents at another point."""
    inputs = dict(draw_inputs(scene.pair.shapes, given)) if isinstance(given, Case) else given
    outputs = scene.pair.forward({name: array.copy() for name, array in inputs.items()})[0]
    shapes = {name: np.shape(array) for name, array in outputs.items()}
    if shapes == {name: array.shape for name, array in scene.upstream.items()}:
        return inputs, scene.upstream
    return inputs, dict(draw_cotangents(shapes, 1, len(inputs)))


def wrong_here(scene: Scene, names: Sequence[str]) -> list[str]:
    """Return the gradients that are so wrong at this point that their being right elsewhere says something."""
    return [name for name, error in slope_errors(scene, scene.inputs, scene.upstream, names).items() if error > WRONG]


def changed(case: Case, **dims: int) -> Case:
    """Return a case with some dims changed."""
    return Case(fills=case.fills, scale=case.scale, seed=case.seed, **(case.dims | dims))


def dim_conditions(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say for which sizes of the dims wrong gradients are right."""
    case, dims = scene.case, scene.dims
    if case is None:
        return
    tied = yield from only_equal(scene, case, names)
    alone = yield from smallest(scene, case, names, tied)
    for a, b in combinations(dims, 2):
        if dims[a] != dims[b]:
            for name in right_at(scene, changed(case, **{b: dims[a]}), names):
                if not (tied | alone) & {(name, a), (name, b)}:
                    yield Guess(name, "dims", f"right whenever {a} = {b}", None)


Dims = set[tuple[str, str]]  # of gradients, and dims that explain them


def only_equal(scene: Scene, case: Case, names: Sequence[str]) -> Generator[Guess, None, Dims]:
    """Say which gradients are right as soon as one of two equal dims is changed; return them with their dims."""
    dims, tied = scene.dims, set()
    for a, b in combinations(dims, 2):
        if dims[a] == dims[b] > 1:
            one, other = (right_at(scene, changed(case, **{dim: dims[dim] + 1}), names) for dim in (a, b))
            for name in one:
                if name in other:
                    tied |= {(name, a), (name, b)}
                    yield Guess(name, "dims", f"wrong only where {a} = {b}: one in the place of the other?", None)
    return tied


def smallest(scene: Scene, case: Case, names: Sequence[str], tied: Dims) -> Generator[Guess, None, Dims]:
    """Say which gradients are right where a dim is 1, or up to 2; return them with the dim."""
    alone = set()
    for dim, size in scene.dims.items():
        ones = right_at(scene, changed(case, **{dim: 1}), names) if size > 1 else []
        ones = [name for name in ones if (name, dim) not in tied]
        twos = right_at(scene, changed(case, **{dim: 2}), names) if ones and size > 2 else []
        for name in ones:
            alone.add((name, dim))
            words = f"wrong only for {dim} >= 3" if name in twos else f"right whenever {dim} = 1"
            yield Guess(name, "dims", words, None)
    return alone


@dataclass(frozen=True)
class Condition:
    """Inputs changed so that something holds, in words."""

    words: str
    inputs: dict[str, Any]


def value_conditions(stage: Stage, names: Sequence[str]) -> Iterator[Guess]:
    """Say for which values of the inputs wrong gradients are right, the first that is found for each."""
    scene = stage.scene
    left = wrong_here(scene, names)
    for condition in conditions(stage):
        for name in right_at(scene, condition.inputs, left):
            left = [other for other in left if other != name]
            words = f"right while {condition.words}"
            yield Guess(name, "values", words, None, words.partition(":")[0])


def conditions(stage: Stage) -> Iterator[Condition]:
    """Yield the points that are tried, the most telling first."""
    scene = stage.scene
    floating = {name: scene.inputs[name] for name in scene.point.parts}

    def given(words: str, **changes: Any) -> Condition:
        return Condition(words, scene.inputs | changes)

    for name, array in floating.items():
        for words, changed_to in special(array):
            yield given(f"{name} is {words}", **{name: changed_to})
    for a, b in combinations(floating, 2):
        if floating[a].shape == floating[b].shape:
            yield given(f"{a} equals {b}: one in the place of the other?", **{b: floating[a]})
    yield from settled(stage)
    for name, array in floating.items():
        if array.size > 1:
            yield given(f"{name} is constant", **{name: np.full_like(array, array.mean())})
    for name, array in floating.items():
        yield given(f"{name} is zero: a term in it is wrong or missing?", **{name: np.zeros_like(array)})


def special(array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield arrays with a property that hides an error in the linear algebra."""
    if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
        yield "symmetric: transposed where it should not be, or the reverse?", (array + array.T) / 2
    if array.dtype.kind == "c":
        yield "real: a conjugate missing, or too many?", array.real + 0j


def settled(stage: Stage) -> Iterator[Condition]:
    """Yield points where an input equals an output, or its last step: a state that has come full circle.

    Then the same again with all that comes in over time held constant, so that the state is the same at every step.
    """
    scene = stage.scene
    small = {name: array * SMALL for name, array in scene.inputs.items()}
    states: dict[str, tuple[str, int | None]] = {}
    for name in scene.point.parts:
        for output, array in scene.outputs().items():
            axis = dropped(array.shape, small[name].shape)
            if axis is not None and output not in [taken for taken, _ in states.values()]:
                states[name] = (output, axis if axis >= 0 else None)
                break
    if not states:
        return
    said = ", ".join(
        f"{name} equals {output if axis is None else f'the last of {output}'}"
        for name, (output, axis) in states.items()
    )
    circle = circled(scene, small, states)
    if any(np.abs(circle[name]).max(initial=0.0) < GONE for name in states):
        return  # where a state dies away everything equals everything
    yield Condition(f"{said}: one in the place of the other, as index -1 does at step 0?", circle)
    times = {stage.output_axes[output][axis] for output, axis in states.values() if axis is not None} - {""}
    held = {
        name: (place, np.take(small[name], [0], place))
        for name, shape in scene.pair.shapes.items()
        for place, one in enumerate(shape.axes)
        if one.text in times and name in scene.point.parts
    }
    if held:
        fixed = {name: np.repeat(first, small[name].shape[place], place) for name, (place, first) in held.items()}
        words = f"nothing changes over {' and '.join(sorted(times))}: an index off by one in time?"
        yield Condition(words, circled(scene, small | fixed, states))


def dropped(longer: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
    """Return the axis without which a shape is another one, -1 where both are the same; None where there is none."""
    if longer == shape:
        return -1 if shape else None
    axes = [axis for axis in range(len(longer)) if longer[:axis] + longer[axis + 1 :] == shape]
    return axes[0] if axes else None


def circled(scene: Scene, inputs: Arrays, states: Mapping[str, tuple[str, int | None]]) -> Arrays:
    """Return inputs after the states have been fed back until they no longer change."""
    for _ in range(SETTLING):
        found = scene.pair.forward({name: array.copy() for name, array in inputs.items()})[0]
        inputs = inputs | {
            name: found[output] if axis is None else np.take(found[output], -1, axis)
            for name, (output, axis) in states.items()
        }
    return inputs


def left_out(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say of which input the error falls with the square: what was left out is a small constant beside a variance."""
    here = slope_errors(scene, scene.inputs, scene.upstream, names)
    for stretched in scene.point.parts if here else ():
        try:
            there = [
                slope_errors(scene, scene.inputs | {stretched: scene.inputs[stretched] * by}, scene.upstream, names)
                for by in (STRETCH, STRETCH**2)
            ]
        except Exception:
            continue
        for name in here:
            errors = [here[name], *(one.get(name, 0.0) for one in there)]
            falls = [before / after if after else 0.0 for before, after in pairwise(errors)]
            if falls[0] >= STRETCH**2 / FALLS and STRETCH**2 / FALLS <= falls[1] <= STRETCH**2 * FALLS:
                words = f"an eps left out: the error falls with the square of {stretched}"
                yield Guess(name, "eps", words, None, "an eps is left out")
