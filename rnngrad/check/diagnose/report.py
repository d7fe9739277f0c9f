"""From a report with wrong gradients to one that says what they are consistent with; it changes no verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rnngrad.check.diagnose.conditions import changed, dim_conditions, value_conditions
from rnngrad.check.diagnose.neighbours import neighbours, output_axes
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.search import IN_PART, OF_SHAPE, explain, limited, tried
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.stages import stage_at
from rnngrad.check.diagnose.upstream import carriers
from rnngrad.check.diagnose.wording import pattern, said
from rnngrad.result import Diagnosis, GradientResult, Report, Verdict

__all__ = ["diagnosed"]

NUMBERS = ("spread", "shape")  # kinds of findings that leave numbers to reason about


def diagnosed(report: Report, scene: Scene) -> Report:
    """Return a report with diagnoses of its wrong gradients."""
    wrong = [
        gradient
        for gradient in report.gradients
        if gradient.verdict is Verdict.FAIL and all(finding.kind in NUMBERS for finding in gradient.findings)
    ]
    try:
        found = diagnoses(scene, wrong) if wrong else {}
    except Exception:  # a diagnosis that cannot be made is not worth a report
        return report
    gradients = (
        replace(gradient, diagnoses=tuple(found.get(gradient.name, ()))) if gradient in wrong else gradient
        for gradient in report.gradients
    )
    return replace(report, gradients=tuple(gradients))


def diagnoses(scene: Scene, wrong: Sequence[GradientResult]) -> dict[str, list[Diagnosis]]:
    """Return the diagnoses of each wrong gradient, the best first."""
    names = [gradient.name for gradient in wrong]
    here, beside = stages(scene, {gradient.name: marked(gradient) for gradient in wrong})
    if here is None:
        return {}
    shaped = [name for name in names if name not in scene.claims.usable]
    numbers = [name for name in names if name not in shaped]
    guesses = explain(limited(here, shaped), beside, OF_SHAPE) | explained(limited(here, numbers), beside)
    base = (here if beside is None else beside).scene
    more = [*tried(carriers, limited(here if beside is None else beside, numbers)), *dim_conditions(base, names)]
    left = [name for name in numbers if name not in guesses]
    values: dict[str, Guess] = {}
    for guess in value_conditions(base, left) if left else ():
        values.setdefault(guess.gradient, guess)
    spoken = said(scene, [*guesses.values(), *values.values(), *more])
    unexplained = {name for name in left if name not in values and name in here.views}
    return {name: [pattern(here, name)] * (name in unexplained) + spoken.get(name, []) for name in names}


def stages(scene: Scene, marks: Mapping[str, Sequence[int]]) -> tuple[Stage | None, Stage | None]:
    """Return the stage of some gradients at a scene, and that at the first neighbour where one of them is wrong too."""
    axes: dict[str, tuple[str, ...]] = {}
    beside = None
    for other in neighbours(scene):
        axes = axes or output_axes(other)
        beside = wrong_at(other, list(marks), axes)
        if beside is not None:
            break
    return stage_at(scene, list(marks), axes or output_axes(scene), marks), beside


def explained(here: Stage, beside: Stage | None) -> dict[str, Guess]:
    """Return the best guess for each gradient: one that holds in both cases, else where a dim is 1, else in one case."""
    guesses = explain(here, beside)
    if len(guesses) < len(here.views):
        guesses = at_one(here if beside is None else beside, [name for name in here.views if name not in guesses]) | guesses
    for stage in (here, beside):
        if stage is not None and len(guesses) < len(here.views):
            guesses = {name: guess for name, guess in explain(stage, None).items() if name in here.views} | guesses
    return guesses


def marked(gradient: GradientResult) -> list[int]:
    """Return the places of the wrong entries that were found already."""
    return [int(np.ravel_multi_index(entry.index, gradient.shape)) for entry in gradient.entries]


def wrong_at(scene: Scene, names: Sequence[str], axes: dict[str, tuple[str, ...]]) -> Stage | None:
    """Return the stage at another case, where some of the gradients are wrong there too."""
    try:
        stage = stage_at(scene, names, axes, {})
    except Exception:
        return None
    return stage if stage is not None and stage.views else None


def at_one(base: Stage, names: Sequence[str]) -> dict[str, Guess]:
    """Explain gradients at cases where one dim is 1, such as a single step in time."""
    found: dict[str, Guess] = {}
    scene = base.scene
    for dim, size in scene.dims.items():
        if scene.case is None or size < 2 or not any(dim in axes for axes in base.output_axes.values()):
            continue
        try:
            there = wrong_at(scene.elsewhere(changed(scene.case, **{dim: 1})), names, base.output_axes)
        except Exception:
            continue
        if there is not None:
            for name, guess in explain(there, None, IN_PART).items():
                words = f"{guess.words}, seen at {dim} = 1"
                found.setdefault(name, replace(guess, words=words))
    return found
