"""From a scene to a stage: which entries of which gradients are looked at."""

from collections.abc import Mapping, Sequence

import numpy as np

from rnngrad.check.diagnose.moved import layouts
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Stage
from rnngrad.check.diagnose.truth import Truth, row_limits, true_gradients
from rnngrad.check.diagnose.view import View, named_axes, view_of

__all__ = ["stage_at"]


def stage_at(
    scene: Scene, names: Sequence[str], axes: dict[str, tuple[str, ...]], marked: Mapping[str, Sequence[int]]
) -> Stage | None:
    """Return the stage of some gradients at a scene: the views of those that are wrong there.

    ``marked`` lists entries that are known to be wrong, and must be looked at. None where nothing can be known.
    """
    truth = truth_at(scene, names, marked)
    if truth is None:
        return None
    claims = {name: scene.point.of(name, scene.claims.joined) for name in names}
    views = {name: view_of(scene, truth, name, claims, scene.upstream) for name in names}
    usable = scene.claims.usable
    wrong = {name: view for name, view in views.items() if name in usable and view.wrong.any()}
    return Stage(scene, truth, wrong, axes, {name: view for name, view in views.items() if name not in usable})


def truth_at(scene: Scene, names: Sequence[str], marked: Mapping[str, Sequence[int]]) -> Truth | None:
    """Return the true gradients: of all entries, or of a sample where these are too many."""
    point = scene.point
    every = {name: np.arange(point.parts[name].stop - point.parts[name].start) for name in names}
    wanted = [every] + [sampled(scene, names, rows, marked) for rows in row_limits(point)]
    return next((truth for some in wanted if (truth := true_gradients(point, some)) is not None), None)


def sampled(
    scene: Scene, names: Sequence[str], rows: int, marked: Mapping[str, Sequence[int]]
) -> dict[str, Sequence[int]]:
    """Return a sample of the entries of each gradient, with the entries that a move would bring to their places."""
    rng = np.random.default_rng(0)
    found: dict[str, Sequence[int]] = {}
    for name in names:
        shape, width, share = scene.point.shape(name), scene.point.width(name), rows // len(names)
        places = np.arange(int(np.prod(shape)), dtype=float).reshape(shape)
        view = View(name, "", places, places, 0.0, *named_axes(scene, name))
        moves = [move.ravel() for _, move in layouts(view)]
        some = rng.choice(places.size, min(places.size, share // width // (len(moves) + 1)), replace=False)
        wanted = np.concatenate([[*marked.get(name, ())], some, *(move[some] for move in moves)]).astype(np.intp)
        entries = np.unique(wanted)[: share // width]
        found[name] = [int(entry) * width + part for entry in entries for part in range(width)]
    return found
