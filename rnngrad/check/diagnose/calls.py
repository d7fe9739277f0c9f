"""Backward is no linear function of the cotangent, or remembers earlier calls."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import likeness

__all__ = ["nonlinear", "remembering"]

SAME = 1e-9  # of the largest entry: what rounding may change where a cotangent is scaled by a power of two
TINY = 2.0**-30  # small enough that nobody clips it


def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Tell whether two arrays agree but for rounding."""
    return bool(np.allclose(a, b, rtol=0, atol=SAME * float(np.abs(b).max(initial=0.0))))


def remembering(stage: Stage) -> Iterator[Guess]:
    """Guess that gradients add up over calls, or stay what they were at an earlier call."""
    scene = stage.scene
    first, second, third = (scene.backward(scene.upstream) for _ in range(3))
    for name in stage.views:
        step = second[name] - first[name]
        if step.any() and alike(third[name] - second[name], step):
            yield Guess(name, "accumulated", "adding up over calls: each call adds to what the last one left", 0.0)
    if scene.case is None:
        return
    other = scene.at(scene.redrawn(1))
    ones = {name: np.ones_like(array) for name, array in scene.upstream.items()}
    constant = stage.seen(scene.backward(ones), ones)
    tiny = scene.backward(scaled(scene.upstream, TINY))
    for name in stage.views:
        if not constant[name].wrong.any() or not np.array_equal(tiny[name], first[name]):
            continue  # it takes all cotangents for ones, or is clipped
        there = other.point.of(name, other.claims.joined)
        if name in other.claims.usable and there.any() and np.array_equal(there, first[name]):
            words = "a stale value: it stays what it was at an earlier call, whatever the inputs"
            yield Guess(name, "stale", words, 0.0, "stale: the same for other inputs")


def scaled(cotangents: Arrays, by: float) -> Arrays:
    """Return cotangents times a factor."""
    return {name: by * array for name, array in cotangents.items()}


def nonlinear(stage: Stage) -> Iterator[Guess]:
    """Guess how a gradient fails to be linear in the cotangent."""
    scene = stage.scene
    once, twice = scene.backward(scene.upstream), scene.backward(scaled(scene.upstream, 2.0))
    turned = scene.backward(scaled(scene.upstream, -1.0))
    wrong = [
        name
        for name in stage.views
        if name in twice and not (alike(twice[name], 2 * once[name]) and alike(-turned[name], once[name]))
    ]
    if not wrong:
        return
    nothing, tiny = scene.backward(scaled(scene.upstream, 0.0)), scene.backward(scaled(scene.upstream, TINY))
    ones = {name: np.ones_like(array) for name, array in scene.upstream.items()}
    hot = {name: np.zeros_like(array) for name, array in scene.upstream.items()}
    for array in hot.values():
        array.flat[:1] = 1.0
    special = {
        "of ones": stage.seen(scene.backward(ones), ones),
        "that is one-hot": stage.seen(scene.backward(hot), hot),
    }
    for name in wrong:
        view = stage.views[name]
        fits = [what for what, views in special.items() if name in views and not views[name].wrong.any()]
        right = f"right for a cotangent {fits[0]}" if fits else ""
        small = tiny[name] / TINY
        left = float(np.abs(small - view.true)[view.known].max()) if view.known.any() else np.inf
        if left <= view.slack and view.wrong.any():
            words = "clipping: it is right for small cotangents"
            yield Guess(name, "clipped", words, left / view.size, "it is clipped", likeness(view))
        elif alike(twice[name], once[name]):
            words = "ignoring its cotangent: it stays the same when that is doubled"
            yield Guess(name, "cotangent", words, None, "it ignores its cotangent", right)
        elif nothing[name].any():
            words = "a term that does not vanish where the cotangent is zero"
            yield Guess(name, "affine", words, None, "it does not vanish with the cotangent", right)
        else:
            words = "a backward pass that is not linear in the cotangent"
            yield Guess(name, "nonlinear", words, None, "it is not linear in the cotangent", right)
