"""For which values of the inputs a wrong gradient is right: symmetric, real, constant, small, zero, no index twice.

It must be right at several points where that holds, and wrong at some where inputs are as large and it does not hold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import draw_inputs
from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.conditions import TRIES, borne_out, judged, right_at, wrong_here
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage

__all__ = ["refuted", "value_conditions"]

SMALL = 2.0**-4  # what inputs are scaled by so that most cells are contractions
GONE = 1e-6  # a state that small has died away
SETTLING = 100  # steps in which a contraction forgets where it came from


@dataclass(frozen=True)
class Condition:
    """Inputs changed so that something holds, in words; ``small`` are words for when their size alone makes it so."""

    words: str
    inputs: dict[str, Any]
    small: str = ""


def value_conditions(stage: Stage, names: Sequence[str]) -> Iterator[Guess]:
    """Say for which values of the inputs wrong gradients are right, the first that is found for each."""
    scene = stage.scene
    left = wrong_here(scene, names)
    for place, condition in enumerate(conditions(stage, scene.inputs)):
        some = right_at(scene, condition.inputs, left)
        for name, words in held(stage, place, condition, some) if some else ():
            left = [other for other in left if other != name]
            yield Guess(name, "values", f"right while {words}", None, f"right while {words}".partition(":")[0])


def held(stage: Stage, place: int, condition: Condition, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the gradients that are right at several points where a condition holds, and what makes them right."""
    tried, beside = [], []
    for inputs in [stage.scene.inputs, *elsewhere(stage.scene)]:
        here = islice(conditions(stage, inputs), place, place + 1)
        for there in (one for one in here if one.words == condition.words):
            tried.append(judged(stage.scene, there.inputs, names))
            beside.append(judged(stage.scene, as_large(inputs, there.inputs), names))
    for name in borne_out(tried, names):
        without = [one[name] for one in beside if name in one]
        if sum(without) * 2 <= len(without) and without:
            yield name, condition.words
        elif all(without) and without and condition.small:
            yield name, condition.small


def refuted(stage: Stage, guesses: Sequence[Guess]) -> Iterator[Guess]:
    """Yield what is said of values at one case and does not hold at another one."""
    for condition in conditions(stage, stage.scene.inputs):
        words = {f"right while {condition.words}", f"right while {condition.small}"}
        said = [guess for guess in guesses if guess.words in words]
        right = judged(stage.scene, condition.inputs, [guess.gradient for guess in said])
        yield from (guess for guess in said if not right.get(guess.gradient, True))


def elsewhere(scene: Scene) -> Iterator[Arrays]:
    """Yield inputs of the same shapes and about the same size."""
    for k in range(1, TRIES):
        if scene.case is not None:
            yield dict(draw_inputs(scene.pair.shapes, scene.redrawn(k)))
        else:
            rng = np.random.default_rng(k)
            moved = {
                name: scene.inputs[name] * rng.uniform(0.5, 1.5, scene.inputs[name].shape) for name in scene.point.parts
            }
            yield scene.inputs | moved


def as_large(inputs: Arrays, others: Arrays) -> Arrays:
    """Return inputs scaled to the size of others, or to a small one where these are zero."""
    found = dict(inputs)
    for name, array in inputs.items():
        size, other = (
            float(np.abs(one).max(initial=0.0)) if one.dtype.kind in "fc" else 0.0 for one in (array, others[name])
        )
        if size and size != other:
            found[name] = array * (other / size or SMALL)
    return found


def conditions(stage: Stage, inputs: Arrays) -> Iterator[Condition]:
    """Yield the points near some inputs that are tried, the most telling first."""
    floating = {name: inputs[name] for name in stage.scene.point.parts}

    def given(words: str, changes: Arrays, small: str = "") -> Condition:
        return Condition(words, inputs | changes, small)

    for name, array in floating.items():
        for words, changed_to in special(array):
            yield given(f"{name} is {words}", {name: changed_to})
    yield from once_each(inputs)
    for a, b in combinations(floating, 2):
        if floating[a].shape == floating[b].shape:
            yield given(f"{a} equals {b}: one in the place of the other?", {b: floating[a]})
    yield from settled(stage, inputs)
    for name, array in floating.items():
        if array.size > 1:
            yield given(f"{name} is constant", {name: np.full_like(array, array.mean())})
    for name, array in floating.items():
        zero = f"{name} is zero: a term in it is wrong or missing?"
        yield given(zero, {name: np.zeros_like(array)}, f"{name} is small: wrong for large values alone?")


def special(array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield arrays with a property that hides an error in the linear algebra."""
    if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
        yield "symmetric: transposed where it should not be, or the reverse?", (array + array.T) / 2
    if array.dtype.kind == "c":
        yield "real: a conjugate missing, or too many?", array.real + 0j


def once_each(inputs: Arrays) -> Iterator[Condition]:
    """Yield points where no number in an input of integers comes twice, as they may where gradients add up."""
    for name, array in inputs.items():
        if array.dtype.kind in "iu" and array.size > 1:
            words = f"no number in {name} comes twice: is what comes back to one place added up?"
            yield Condition(words, inputs | {name: array.argsort(axis=None).argsort().reshape(array.shape)})


def settled(stage: Stage, inputs: Arrays) -> Iterator[Condition]:
    """Yield points where an input equals an output, or its last step: a state that has come full circle.

    Then the same again with all that comes in over time held constant, so that the state is the same at every step.
    """
    scene = stage.scene
    small = {name: array * SMALL for name, array in inputs.items()}
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
    if any(level(circle[name]) and not level(small[name]) for name in states):
        return  # and where it comes to be the same all along an axis, that is what hides an error
    timed = any(axis is not None for _, axis in states.values())
    hint = ", as index -1 does at step 0?" if timed else ", or a term in their difference?"
    yield Condition(f"{said}: one in the place of the other{hint}", circle)
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


def level(state: NDArray[Any]) -> bool:
    """Tell whether a state is the same at all indices along one of its axes."""
    spans = (np.abs(state - state.take([0], axis)) for axis, size in enumerate(state.shape) if size > 1)
    return any(span.max(initial=0.0) < GONE for span in spans)


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
