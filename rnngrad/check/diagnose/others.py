"""Stages at other cases: the neighbour that bears a guess out, the same sizes with other values, room for integers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain, islice

from rnngrad.check.diagnose.conditions import TRIES
from rnngrad.check.diagnose.neighbours import neighbours, output_axes, roomy
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Stage
from rnngrad.check.diagnose.stages import stage_at

__all__ = ["both", "redraws", "value_stages", "wrong_at"]

SEEDS = 2  # further draws where a gradient is wrong, at which what is said of places must hold


def both(here: Stage, names: Sequence[str]) -> tuple[Stage, Stage | None]:
    """Return a stage, and one at the first neighbour where one of the gradients is wrong too; both know their axes."""
    near = list(islice(neighbours(here.scene), 1))
    axes = output_axes(near[0] if near else here.scene)
    best: Stage | None = None
    for other in chain(near, islice(neighbours(here.scene), 1, None)):
        there = wrong_at(other, names, axes)
        if there is not None and (best is None or agreement(here, there) > agreement(here, best)):
            best = there
        if best is not None and agreement(here, best) == len(names):
            break
    return replace(here, output_axes=axes), best


def agreement(here: Stage, there: Stage) -> int:
    """Return how many gradients are wrong in the same way, by their numbers or by their shape."""
    return len(set(here.views) & set(there.views)) + len(set(here.shaped) & set(there.shaped))


def value_stages(here: Stage, beside: Stage | None, names: Sequence[str]) -> Iterator[Stage]:
    """Yield the neighbour, or the given case where there is none, and one where integers have room to differ."""
    base = here if beside is None else beside
    yield base
    for scene in roomy(base.scene):
        there = wrong_at(scene, names, base.output_axes)
        if there is not None:
            yield there


def redraws(stage: Stage) -> Callable[[], Sequence[Stage]] | None:
    """Return what makes stages like one; None where nothing is drawn, or where not all entries are looked at."""
    entries = ((stage.truth.entries[name], view.true) for name, view in stage.views.items())
    if not stage.scene.pair.shapes or any(len(looked_at) < true.size for looked_at, true in entries):
        return None
    return cache(lambda: list(islice(redrawn_stages(stage), SEEDS)))


def redrawn_stages(stage: Stage) -> Iterator[Stage]:
    """Yield stages with the sizes of one and other values, where some of its gradients are wrong too."""
    scene = stage.scene
    for k in range(1, TRIES):
        try:
            there = wrong_at(scene.at(scene.redrawn(k)), list(stage.views), stage.output_axes)
        except Exception:
            continue
        if there is not None:
            yield replace(there, supported=True)


def wrong_at(scene: Scene, names: Sequence[str], axes: dict[str, tuple[str, ...]]) -> Stage | None:
    """Return the stage at another case, where some of the gradients are wrong there too."""
    stage = stage_at(scene, names, axes, {})
    return stage if stage is not None and (stage.views or stage.shaped) else None
