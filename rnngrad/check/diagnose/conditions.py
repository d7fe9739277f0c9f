"""Whether a wrong gradient is right at other points: a single run of backward, and one slope for each gradient, each.

What is said of all points under some condition is borne out at several of them first, and holds at every one tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case, draw_cotangents, draw_inputs
from rnngrad.check.contract import Arrays
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess

__all__ = [
    "RIGHT",
    "TRIES",
    "borne_out",
    "changed",
    "drawn",
    "judged",
    "left_out",
    "right_at",
    "slope_along",
    "wrong_here",
]

TRIES = 12  # points at which a condition is tried before anything is said of it: an even chance holds at one in 4096,
ENOUGH = 4  # and at which it must be decided: elsewhere a kink lies on the line, or a gradient is zero
STEPS = (2.0**-8, 2.0**-9, 2.0**-10)  # relative to the size of an input; extrapolated, they truncate by some 1e-14
RIGHT = 1e-8  # relative error up to which a slope counts as right, and
WRONG = 1e-6  # from which on it counts as wrong: what lies between says nothing
STRETCH = 16.0  # by which an input is multiplied, twice, to see the error fall
AGAIN = 2  # other draws at which it must do so
FALLS = 1.25  # factor within which it must fall as the square does


def slope_errors(scene: Scene, inputs: Arrays, upstream: Arrays, names: Sequence[str]) -> dict[str, float]:
    """Return the relative error of each gradient along a direction; of those that are not zero, and finite."""
    return {name: slope.error for name, slope in slopes_at(scene, inputs, upstream, names).items()}


class Slope(NamedTuple):
    """The error of a gradient along a direction, relative to its size there, and how well the slope is known."""

    error: float
    known: float
    size: float


NO_SLOPE = Slope(0.0, 0.0, 0.0)


def slopes_at(scene: Scene, inputs: Arrays, upstream: Arrays, names: Sequence[str]) -> dict[str, Slope]:
    """Return the error of each gradient along a direction of the size of its input."""
    claims = scene.run(inputs, upstream)[2]
    found = {}
    for place, name in enumerate(names):
        array, claim = inputs[name], claims.get(name)
        if claim is None or claim.shape != array.shape or not np.isfinite(claim).all() or not claim.any():
            continue
        rng = np.random.default_rng(place)
        direction = drawn(rng, array)
        numeric, off = slope_along(scene, inputs, upstream, name, direction)
        size = max(float(np.linalg.norm(claim * direction)), abs(numeric))
        error = abs(float(np.vdot(claim, direction).real) - numeric)
        found[name] = Slope(error / size, off / size, size)
    return found


def drawn(rng: np.random.Generator, array: NDArray[Any]) -> NDArray[Any]:
    """Draw a direction of the size of an input."""
    size = float(np.abs(array).max(initial=0.0)) or 1.0
    return size * rng.choice([-1.0, 1.0], array.shape) * rng.uniform(0.5, 1.5, array.shape)


def slope_along(
    scene: Scene,
    inputs: Arrays,
    upstream: Arrays,
    name: str,
    direction: NDArray[Any],
    steps: Sequence[float] = STEPS,
) -> tuple[float, float]:
    """Return the derivative along a direction of one input, extrapolated, and by how much the last one changed it."""
    slopes = []
    for step in steps:
        moved = [inputs | {name: inputs[name] + sign * step * direction} for sign in (1, -1)]
        ahead, behind = (scene.pair.forward({key: a.copy() for key, a in one.items()})[0] for one in moved)
        slopes.append(sum(float(np.vdot(upstream[o], ahead[o] - behind[o]).real) for o in ahead) / 2 / step)
    best = slopes
    for order in range(2, 2 * len(slopes), 2):
        slopes, best = best, [b + (b - a) / (2**order - 1) for a, b in pairwise(best)]
    return best[-1], abs(best[-1] - slopes[-1])


def right_at(scene: Scene, given: Case | Arrays, names: Sequence[str]) -> list[str]:
    """Return the gradients that are right at another point; none where the pair cannot be run there."""
    try:
        with np.errstate(all="ignore"):
            errors = slope_errors(scene, *arrays_at(scene, given), names)
    except Exception:
        return []
    return [name for name, error in errors.items() if error <= RIGHT]


def judged(scene: Scene, given: Case | Arrays, names: Sequence[str]) -> dict[str, bool]:
    """Tell of each gradient whether it is right at another point; what cannot be decided there is left out."""
    try:
        with np.errstate(all="ignore"):
            found = slopes_at(scene, *arrays_at(scene, given), names)
    except Exception:
        return {}
    return {
        name: slope.error <= RIGHT
        for name, slope in found.items()
        if slope.error <= RIGHT or slope.error > WRONG + slope.known
    }


def borne_out(found: Sequence[Mapping[str, bool]], names: Sequence[str]) -> list[str]:
    """Return the gradients that are right at several points, and wrong at none."""
    told = {name: [one[name] for one in found if name in one] for name in names}
    return [name for name, seen in told.items() if all(seen) and len(seen) >= ENOUGH]


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
    found = judged(scene, scene.inputs, names)
    plain = [name for name in scene.claims.usable if scene.point.of(name, scene.claims.joined).any()]
    return [name for name in names if not found.get(name, name in plain)]  # no slope is taken of zeros and wrong shapes


def changed(case: Case, **dims: int) -> Case:
    """Return a case with some dims changed."""
    return Case(fills=case.fills, scale=case.scale, seed=case.seed, **(case.dims | dims))


def left_out(scene: Scene, names: Sequence[str]) -> Iterator[Guess]:
    """Say of which input the error falls with the square: what was left out is a small constant beside a variance.

    It must do so at other draws as well: where units saturate, it may fall like anything.
    """
    for stretched in scene.point.parts:
        found = falling(scene, scene.inputs, stretched, names)
        for k in range(1, AGAIN + 1) if scene.pair.shapes and found else ():
            found &= falling(scene, scene.redrawn(k), stretched, names)
        for name in (name for name in names if name in found):
            words = f"an eps left out: the error falls with the square of {stretched}"
            yield Guess(name, "eps", words, None, "an eps is left out")


def falling(scene: Scene, given: Case | Arrays, stretched: str, names: Sequence[str]) -> set[str]:
    """Return the gradients whose error falls with the square of an input, in itself and beside the gradient."""
    try:
        inputs, upstream = arrays_at(scene, given)
        slopes = [
            slopes_at(scene, inputs | {stretched: inputs[stretched] * by}, upstream, names)
            for by in (1.0, STRETCH, STRETCH**2)
        ]
    except Exception:
        return set()
    found = set()
    for name in slopes[0]:
        seen = [one.get(name, NO_SLOPE) for one in slopes]
        falls = [before.error / after.error if after.error else 0.0 for before, after in pairwise(seen)]
        itself = seen[0].error * seen[0].size > 2 * seen[-1].error * seen[-1].size
        if itself and falls[0] >= STRETCH**2 / FALLS and STRETCH**2 / FALLS <= falls[1] <= STRETCH**2 * FALLS:
            found.add(name)
    return found
