"""The gradient is right, but at another point: an input is reversed, transposed, shifted or negated in backward."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.conditions import RIGHT, STEPS, drawn, slope_along
from rnngrad.check.diagnose.moved import layouts
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View, named_axes

__all__ = ["elsewhere"]

LINES = 3  # directions along which a gradient must be right: along one alone it is by chance once in 1 / RIGHT
PLAIN = STEPS[-1:]  # one difference, and
NEAR = 1e-2  # relative error up to which a plain difference makes a closer look worth its passes


def elsewhere(stage: Stage, names: Sequence[str], _guesses: Mapping[str, Guess]) -> Iterator[Guess]:
    """Guess that a gradient is that at a point where one input is another."""
    scene = stage.scene
    for name in names:
        claim = scene.point.of(name, scene.claims.joined)
        for other, words, moved in points(scene):
            scene.spend()
            if right_beside(scene, name, claim, scene.inputs | {other: moved}):
                said = f"the true gradient at {other} {words}: is {other} the same in forward and in backward?"
                yield Guess(name, "elsewhere", said, None, f"as if {other} were {words}")
                break


def points(scene: Scene) -> Iterator[tuple[str, str, NDArray[Any]]]:
    """Yield inputs that are no scalars, each with its entries elsewhere or their signs turned, in words."""
    for other, array in scene.inputs.items():
        if array.dtype.kind != "f" or other not in scene.point.parts or not array.ndim:
            continue
        view = View(other, "", array, array, 0.0, *named_axes(scene, other))
        yield other, "with its sign turned", -array
        for words, moved in layouts(view):
            yield other, words, moved


def right_beside(scene: Scene, name: str, claim: NDArray[Any], inputs: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether a gradient that was claimed at one point is right at another one, where it is not zero."""
    for line in range(LINES):
        direction = drawn(np.random.default_rng(line), scene.inputs[name])
        claimed = float(np.vdot(claim, direction).real)
        size = float(np.linalg.norm(claim * direction))
        for steps, bound in (PLAIN, NEAR), (STEPS, RIGHT):
            try:
                numeric, _ = slope_along(scene, dict(inputs), scene.upstream, name, direction, steps)
            except Exception:
                return False
            if not size or not abs(claimed - numeric) <= bound * max(size, abs(numeric)):
                return False
    return True
