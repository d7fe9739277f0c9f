"""From a report with wrong gradients to one that says what they are consistent with; it changes no verdict."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnngrad.check.breached import NO_NUMBERS
from rnngrad.check.diagnose.calls import remembering
from rnngrad.check.diagnose.conditions import changed, left_out
from rnngrad.check.diagnose.elsewhere import elsewhere
from rnngrad.check.diagnose.following import following
from rnngrad.check.diagnose.others import both, redraws, value_stages, wrong_at
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.search import IN_PART, LAST, OF_SHAPE, explain, limited, misshapen, tried
from rnngrad.check.diagnose.sizes import dim_conditions
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.stages import stage_at
from rnngrad.check.diagnose.upstream import carriers
from rnngrad.check.diagnose.values import refuted, value_conditions
from rnngrad.check.diagnose.wording import pattern, said
from rnngrad.result import Diagnosis, GradientResult, Report, Verdict

__all__ = ["diagnosed"]

Search = Callable[[Stage, Sequence[str], Mapping[str, Guess]], Iterator[Guess]]

VAGUE = (
    "recurrence",
    "part",
    "nonlinear",
)  # kinds that tell where an error is and not what, where nothing is left over
RUNS = 3000  # of forward and backward, at most; most diagnoses take some hundred
FEWEST = 100  # and at least
WORK = 2**26  # numbers that may come in and out of them altogether before it is fewer than RUNS
NUMBERS = ("spread", "shape")  # kinds of findings that leave numbers to reason about


def diagnosed(report: Report, scene: Scene) -> Report:
    """Return a report with diagnoses of its wrong gradients; where numbers say nothing, none is made."""
    if any(finding.kind in NO_NUMBERS for finding in report.findings):
        return report
    wrong = [gradient for gradient in report.gradients if wrong_in_numbers(gradient)]
    try:
        size = len(scene.point.theta) + len(scene.point.f0)
        budget = min(RUNS, max(FEWEST, WORK // max(size, 1)))
        found = diagnoses(replace(scene, budget=[budget]), wrong) if wrong else {}
    except Exception:  # a diagnosis that cannot be made is not worth a report
        return report
    gradients = (
        replace(gradient, diagnoses=tuple(found.get(gradient.name, ()))) if gradient in wrong else gradient
        for gradient in report.gradients
    )
    return replace(report, gradients=tuple(gradients))


def wrong_in_numbers(gradient: GradientResult) -> bool:
    """Tell whether a gradient fails for its numbers, whatever of the contract it breaks beside."""
    kinds = {finding.kind for finding in gradient.findings if finding.kind in NUMBERS or not finding.breach}
    failed = gradient.verdict is Verdict.FAIL and kinds <= set(NUMBERS)
    return failed and bool(gradient.wrong or kinds)


def diagnoses(scene: Scene, wrong: Sequence[GradientResult]) -> dict[str, list[Diagnosis]]:
    """Return the diagnoses of each wrong gradient, the best first."""
    marks = {gradient.name: marked(gradient) for gradient in wrong}
    here = stage_at(scene, list(marks), {}, marks)
    if here is None:
        return {}
    numbers = [name for name in marks if name in scene.claims.usable]
    kept = {guess.gradient: guess for guess in tried(remembering, limited(here, numbers))}  # before anything else runs
    here, beside = both(here, list(marks))
    others = [name for name in numbers if name not in kept]
    base = here if beside is None else beside
    shaped = misshapen(here)
    mended = explain(shaped, None, OF_SHAPE) | explain(shaped, misshapen(beside) if beside else None, OF_SHAPE)
    guesses = kept | mended | explained(limited(here, others), beside, others)
    vague = [name for name, guess in guesses.items() if guess.kind in VAGUE and guess.residual is None]
    vague += [name for name, guess in guesses.items() if guess.kind in ("turned", "unused", "scaled")]
    steady = [name for name in (*shaped.views, *others) if name not in guesses or guesses[name].kind != "cotangent"]
    extra = [
        *(valued(here, beside, vague, guesses) if vague else ()),
        *tried(carriers, limited(base, others)),
        *tried(lambda _: dim_conditions([here] if beside is None else [here, beside], steady), base),
    ]
    telling_first = sorted([*guesses.values(), *extra], key=lambda guess: 2 if guess.kind == "dims" else guess.vague)
    spoken = said(scene, telling_first)
    for name in others:
        where = next((stage for stage in (here, beside) if stage is not None and name in stage.views), None)
        if name not in guesses and where is not None:
            spoken[name] = [pattern(where, name), *spoken.get(name, [])]
    return spoken


def eps(stage: Stage, names: Sequence[str], _guesses: Mapping[str, Guess]) -> Iterator[Guess]:
    """Say of which gradients an eps is left out."""
    yield from left_out(stage.scene, names)


def values(stage: Stage, names: Sequence[str], _guesses: Mapping[str, Guess]) -> Iterator[Guess]:
    """Say for which values of the inputs gradients are right."""
    yield from value_conditions(stage, names)


def attempted(search: Search, stage: Stage, names: Sequence[str], guesses: Mapping[str, Guess]) -> list[Guess]:
    """Return what a search finds up to where an experiment raises."""
    return tried(lambda there: search(there, names, dict(guesses)), stage)


def borne_out_elsewhere(
    here: Stage, beside: Stage | None, names: Sequence[str], guesses: Mapping[str, Guess]
) -> list[Guess]:
    """Return the other values of inputs for which gradients are right in both cases, and at other draws."""
    base = here if beside is None else beside
    found = attempted(elsewhere, base, names, guesses)
    further = redraws(base) if found else None
    for stage in ([here] if beside is not None else []) + list(further() if further is not None else []):
        asked = [guess.gradient for guess in found if guess.gradient in stage.views]
        held = {(guess.gradient, guess.words) for guess in attempted(elsewhere, stage, asked, guesses)}
        found = [guess for guess in found if guess.gradient not in asked or (guess.gradient, guess.words) in held]
    return found


def valued(here: Stage, beside: Stage | None, names: Sequence[str], guesses: Mapping[str, Guess]) -> list[Guess]:
    """Return for which values gradients are right, as the first of some cases tells it that can."""
    found: dict[str, Guess] = {}
    for stage in value_stages(here, beside, names):
        left = [name for name in names if name not in found]
        if not left:
            break
        some = attempted(values, stage, left, guesses)
        against = [] if stage is here else tried(partial(refuted, guesses=some), here)
        found |= {guess.gradient: guess for guess in some if guess not in against}
    return list(found.values())


def explained(here: Stage, beside: Stage | None, names: Sequence[str]) -> dict[str, Guess]:
    """Return the best guess for each gradient: one that holds in both cases, else the next best of the searches."""
    base = here if beside is None else beside
    further = redraws(base)
    guesses = explain(here, beside, further=further)
    if beside is not None:  # of the two cases the other one may be that with enough numbers to tell
        left = [name for name in here.views if name not in guesses and name in beside.views]
        guesses = explain(limited(beside, left), limited(here, left), further=further) | guesses if left else guesses
    late = {name: guess for name, guess in guesses.items() if guess.vague and guess.kind == "recurrence"}
    guesses = {name: guess for name, guess in guesses.items() if name not in late}
    for more in SEARCHES:
        left = [name for name in here.views if name not in guesses]
        for guess in attempted(more, base, left, guesses) if left else ():
            guesses.setdefault(guess.gradient, guess)
    left = [name for name in here.views if name not in guesses or guesses[name].vague]
    guesses |= {guess.gradient: guess for guess in borne_out_elsewhere(here, beside, left, guesses)}
    guesses = late | guesses
    if beside is not None:  # what is zero at this point may tell more at another one
        left = [name for name in names if name not in guesses]
        guesses = alone(beside, left, f"seen at {beside.scene.case}") | guesses
    left = [name for name in here.views if name not in guesses]
    guesses = {guess.gradient: guess for guess in reversed(valued(here, beside, left, guesses))} | guesses
    left = [name for name in names if name not in guesses]
    guesses = explain(limited(here, left), beside, LAST) | guesses
    if beside is not None:  # what does not hold at another case where it is wrong as well explains nothing
        left = [name for name in names if name not in guesses and name not in beside.views]
        guesses = alone(here, left, f"though not at {beside.scene.case}") | guesses
    return guesses


def alone(stage: Stage, names: Sequence[str], where: str) -> dict[str, Guess]:
    """Explain gradients in one of two cases, and say so."""
    found = explain(limited(stage, names), None, further=redraws(stage))
    return {name: replace(guess, words=f"{guess.words}, {where}") for name, guess in found.items()}


def marked(gradient: GradientResult) -> list[int]:
    """Return the places of the wrong entries that were found already."""
    return [int(np.ravel_multi_index(entry.index, gradient.shape)) for entry in gradient.entries]


def at_one(base: Stage, names: Sequence[str], _guesses: Mapping[str, Guess]) -> Iterator[Guess]:
    """Explain gradients at cases where one dim is 1, such as a single step in time."""
    scene = base.scene
    for dim, size in scene.dims.items():
        if scene.case is None or size < 2 or not any(dim in axes for axes in base.output_axes.values()):
            continue
        try:
            there = wrong_at(scene.at(changed(scene.case, **{dim: 1})), names, base.output_axes)
        except Exception:
            continue
        if there is None:
            continue
        telling = [name for name, view in there.views.items() if view.largest > view.slack]
        found = explain(limited(there, telling), None, IN_PART, redraws(there))
        left = [name for name in telling if name not in found]
        seen = f"seen at {dim} = 1"
        for guess in attempted(following, there, left, found):
            yield replace(guess, words=f"{guess.words}, both {seen}")
        for guess in found.values():
            yield replace(guess, words=f"{guess.words}, {seen}")


SEARCHES: tuple[Search, ...] = (following, eps, at_one)
