"""Which part of a cotangent is made use of: its indices along an axis, one by one, and above all its steps in time.

An axis is time where what comes in at its first index reaches later outputs, and what comes in at its last one reaches
no earlier output. Then the cotangent at step t must flow back to all steps s <= t.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.partly import place
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View

__all__ = ["recurrence", "unused"]

MANY = 16  # indices along an axis that are tried one by one
MOVED = 1e-3  # relative change of an input whose effect is looked for


@dataclass(frozen=True)
class Sliced:
    """The views for the cotangent of one output at each index along one of its axes."""

    output: str
    dim: str
    views: list[dict[str, View]]

    def of(self, name: str) -> list[View]:
        """Return the views of one gradient."""
        return [views[name] for views in self.views]


def sliced(stage: Stage) -> Iterator[tuple[Sliced, int]]:
    """Yield each output that carries an error, cut along each of its axes that has a name, and the axis."""
    for output, views in stage.by_output.items():
        if not any(view.wrong.any() for view in views.values()):
            continue
        for axis, dim in enumerate(stage.output_axes.get(output, ())):
            size = stage.scene.upstream[output].shape[axis]
            if dim and 1 < size <= MANY:
                found = []
                for index in range(size):
                    alone = stage.scene.only(output, (slice(None),) * axis + (index,))
                    found.append(stage.seen(stage.claimed(output, alone[output]), alone))
                yield Sliced(output, dim, found), axis


def unused(stage: Stage) -> Iterator[Guess]:
    """Guess that nothing comes from the cotangent at some indices along an axis; the others are made use of."""
    for cut, _ in sliced(stage):
        for name in stage.views:
            views = cut.of(name)
            wrong = np.array([view.wrong.any() for view in views])
            gone = np.array([not view.claimed.any() for view in views])
            if wrong.any() and not wrong.all() and (gone | ~wrong).all():
                for where in place(wrong, cut.dim):
                    words = f"nothing coming from the cotangent of {cut.output} {where}"
                    yield Guess(name, "unused", words, 0.0, f"nothing comes from {cut.output} {where}")


def recurrence(stage: Stage) -> Iterator[Guess]:
    """Guess how far the cotangent flows back in time, where that is not far enough, or wrong."""
    for cut, axis in sliced(stage):
        if not is_time(stage.scene, cut.output, cut.dim, axis):
            continue
        back = {name: reach(name, cut) for name in stage.views}
        steps = [gone for gone, _ in back.values() if gone is not None]
        for name, (gone, right) in back.items():
            lag = right if gone is None else gone
            if gone is not None or lag in steps:
                kind = "truncated" if lag else "recurrence"
                yield Guess(name, kind, flow(lag, cut.dim), 0.0, short(lag))
            elif 0 <= lag < len(cut.views) - 1:
                first = f"first {lag + 1} steps" if lag else "first step"
                words = (
                    f"a gradient that is right for the cotangent of {cut.output} at the {first} along {cut.dim} and "
                    f"wrong for later ones: an error in what these take from earlier ones, such as a recurrent term?"
                )
                yield Guess(name, "recurrence", words, None, f"wrong from step {lag + 1} along {cut.dim} on")


def flow(lag: int, dim: str) -> str:
    """Say how far back the cotangent flows."""
    if lag == 0:
        return f"nothing flowing back along {dim} from one step to the one before: the recurrent term is missing"
    return f"what flows back along {dim} being truncated after {lag} step{'s' if lag > 1 else ''}"


def short(lag: int) -> str:
    """Say it in a headline."""
    return f"truncated after {lag}" if lag else "the recurrent term is missing"


def reach(name: str, cut: Sliced) -> tuple[int | None, int]:
    """Return how many steps back the claim is right and zero beyond, and up to which step it is right at all.

    The first is None where it is not zero beyond, or right throughout.
    """
    views = cut.of(name)
    last = len(views) - 1
    right = next((t - 1 for t, view in enumerate(views) if view.wrong.any()), last)
    if not any(view.largest > view.slack for view in views[: right + 1]):
        return None, -1  # what is zero there is right for no reason
    axes = views[0].axes
    if cut.dim in axes and views[0].claimed.shape[axes.index(cut.dim)] == len(views):
        along = axes.index(cut.dim)
        lags = [(t - s, part(views[t], along, s)) for t in range(len(views)) for s in range(len(views))]
        for k in range(last):
            if all(gone if lag > k else fine for lag, (fine, gone) in lags) and any(
                not fine for lag, (fine, _) in lags if lag > k
            ):
                return k, right
        return None, right
    gone_beyond = right < last and all(not view.claimed.any() for view in views[right + 1 :])
    return (right if gone_beyond and right >= 0 else None), right


def part(view: View, axis: int, index: int) -> tuple[bool, bool]:
    """Tell of one slice of a gradient whether it is right, and whether it is zero."""
    wrong = np.take(view.wrong, index, axis)
    return not wrong.any(), not np.take(view.claimed, index, axis).any()


def is_time(scene: Scene, output: str, dim: str, axis: int) -> bool:
    """Tell whether the outputs along an axis depend on the inputs along it as later steps do on earlier ones."""
    still = np.moveaxis(scene.outputs()[output], axis, 0)
    for name, shape in scene.pair.shapes.items():
        texts = [one.text for one in shape.axes]
        if dim not in texts or name not in scene.point.parts or scene.inputs[name].ndim != len(texts):
            continue
        early = np.moveaxis(touched(scene, name, texts.index(dim), 0)[output], axis, 0)
        late = np.moveaxis(touched(scene, name, texts.index(dim), -1)[output], axis, 0)
        if not np.array_equal(early[1:], still[1:]) and np.array_equal(late[:-1], still[:-1]):
            return True
    return False


def touched(scene: Scene, name: str, axis: int, index: int) -> dict[str, NDArray[Any]]:
    """Return the outputs with an input changed at one index along an axis."""
    inputs = {key: array.copy() for key, array in scene.inputs.items()}
    np.moveaxis(inputs[name], axis, 0)[index] += MOVED * (1 + np.abs(inputs[name]).max())
    return scene.run(inputs, scene.upstream)[0]
