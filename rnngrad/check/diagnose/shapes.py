"""A gradient of the wrong shape: what would make it right."""

from collections.abc import Iterator
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View

__all__ = ["exchanged", "reshaped"]


def reshaped(stage: Stage) -> Iterator[Guess]:
    """Guess how a gradient of another shape than its input is related to the true one."""
    scene = stage.scene
    raw = scene.run(scene.inputs, scene.upstream)[2]
    for name, view in stage.views.items():
        for words, brief, made in candidates(stage, view, raw.get(name, np.empty(0))):
            apart = np.abs(made - view.true)[view.known]
            if apart.size and apart.max() <= view.slack:
                yield Guess(name, "shape", words, float(apart.max()) / (view.largest or 1.0), brief)


def exchanged(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient of another shape than its input is that of another input."""
    scene = stage.scene
    raw = scene.run(scene.inputs, scene.upstream)[2]
    for name, other in permutations(stage.views, 2):
        view = stage.views[other]
        if name in raw and raw[name].shape == view.true.shape:
            apart = np.abs(raw[name] - view.true)[view.known]
            if apart.size and apart.max() <= view.slack:
                words, left = f"the true gradient of {other}: results swapped?", float(apart.max())
                yield Guess(name, "another", words, left / (view.largest or 1.0), f"the gradient of {other}")


def candidates(stage: Stage, view: View, claimed: NDArray[Any]) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield what a gradient could be, in words, and what it would be if that were mended."""
    shape, size = view.true.shape, view.true.size
    for count in range(1, claimed.ndim + 1):
        for axes in combinations(range(claimed.ndim), count):
            summed = claimed.sum(axis=axes)
            if summed.size != size or (all(claimed.shape[axis] == 1 for axis in axes) and not stage.supported):
                continue
            for names in product(*(named(stage, claimed.shape[axis], axis) for axis in axes)):
                over = " and ".join(names)
                words = f"the true gradient not summed over {over}, over which its input is broadcast"
                yield words, f"not summed over {over}", summed.reshape(shape)
                if claimed.ndim - count > 1:
                    yield f"{words}, and transposed", f"not summed over {over}", summed.T.reshape(shape)
    if claimed.size == size:
        flat = "flattened" if claimed.ndim == 1 else "laid out in another shape"
        yield f"the true gradient {flat}: the numbers are right", f"it is {flat}", claimed.reshape(shape)
        if claimed.ndim > 1:
            turned = claimed.T.reshape(shape)
            yield "the transpose of the true gradient", "the transpose of the true gradient", turned


def named(stage: Stage, size: int, axis: int) -> list[str]:
    """Return the dim that has a size, or the number of the axis where several have; all of them where one will do."""
    names = [name for name, other in stage.scene.dims.items() if other == size]
    if stage.supported:
        return [*names, f"axis {axis}"]
    return names if len(names) == 1 else [f"axis {axis}"]
