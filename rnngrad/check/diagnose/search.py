"""The table of hypotheses, the simplest explanation first, and the search for those that hold.

A guess counts where it holds within the bars at the given case and, where there is one, at a neighbour with other
sizes. One that speaks of places must hold with other values there too: of a few entries those that are wrong for their
values may be the first ones by chance. An experiment that raises is no evidence of anything.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rnngrad.check.diagnose.calls import nonlinear
from rnngrad.check.diagnose.moved import of_another, permuted, reduced, swapped, transposed, within_axis
from rnngrad.check.diagnose.partly import located, masked, part
from rnngrad.check.diagnose.partner import partnered, scaled
from rnngrad.check.diagnose.products import product_wrong
from rnngrad.check.diagnose.shapes import exchanged, reshaped
from rnngrad.check.diagnose.spanned import missing_term
from rnngrad.check.diagnose.stage import Guess, Hypothesis, Stage
from rnngrad.check.diagnose.steps import recurrence, unused
from rnngrad.check.diagnose.sums import missummed, summed
from rnngrad.check.diagnose.upstream import corrected, handed_on, ignored, turned
from rnngrad.check.diagnose.whole import added, added_cotangent, clipped, factor, multiple, rounded, varying, zero

__all__ = ["HYPOTHESES", "IN_PART", "LAST", "OF_SHAPE", "explain", "limited", "misshapen", "tried"]

HYPOTHESES: tuple[Hypothesis, ...] = (
    zero,
    clipped,
    rounded,
    nonlinear,
    factor,
    multiple,
    transposed,
    within_axis,
    of_another,
    reduced,
    summed,
    ignored,
    part,
    recurrence,
    unused,
    turned,
    corrected,
    partnered,
    scaled,
    masked,
    permuted,
    added,
    added_cotangent,
    product_wrong,
    varying,
    missing_term,
    located,
)
IN_PART: tuple[Hypothesis, ...] = (
    factor,
    transposed,
    swapped,
    ignored,
    part,
    corrected,
)  # what may still hold at a dim of 1
OF_SHAPE: tuple[Hypothesis, ...] = (reshaped, exchanged, missummed)
LAST: tuple[Hypothesis, ...] = (handed_on,)  # what a gradient is, where nothing tells why
OF_PLACES: tuple[Hypothesis, ...] = (within_axis, swapped, part, unused, recurrence, permuted, located)

Key = tuple[str, str]


def tried(hypothesis: Hypothesis, stage: Stage) -> list[Guess]:
    """Return the guesses of one hypothesis up to where an experiment raises."""
    found: list[Guess] = []
    try:
        with np.errstate(all="ignore"):
            found.extend(hypothesis(stage))
    except Exception:
        return found
    return found


def explain(
    here: Stage,
    beside: Stage | None,
    table: Iterable[Hypothesis] = HYPOTHESES,
    further: Callable[[], Sequence[Stage]] | None = None,
) -> dict[str, Guess]:
    """Return the best guess for each wrong gradient that one can be found for.

    That is the one which explains the most gradients, and of these the simplest; what only says where an error is, and
    explains nothing, stands back. ``further`` makes stages with the sizes of the neighbour and other values.
    """
    both = set(here.views) & set(beside.views) if beside is not None else set()
    explained: dict[Key, dict[str, Guess]] = {}
    order = list(here.views)
    stages = [
        (limited(here, [name for name in order if name in both], supported=True), beside),
        (limited(here, [name for name in order if name not in both]), None),
    ]
    open_names = set(here.views)
    for hypothesis in table:
        for stage, other in stages:
            if not open_names & set(stage.views):
                continue
            there = [] if other is None else tried(hypothesis, other)
            if other is not None:
                stage = replace(stage, wanted=frozenset(guess.words for guess in there))
            guesses = tried(hypothesis, stage) if there or other is None else []
            agreed = set(map(same, there))
            guesses = [guess for guess in guesses if other is None or same(guess) in agreed]
            if guesses and further is not None and hypothesis in OF_PLACES:
                guesses = [guess for guess in guesses if holds(hypothesis, guess, further())]
            for guess in guesses:
                explained.setdefault(key(guess), {}).setdefault(guess.gradient, guess)
                if not guess.vague:
                    open_names.discard(guess.gradient)
    best: dict[str, Guess] = {}
    for group in sorted(explained.values(), key=weight, reverse=True):  # stable: of equals the simplest comes first
        best = group | best
    return best


def holds(hypothesis: Hypothesis, guess: Guess, stages: Sequence[Stage]) -> bool:
    """Tell whether a guess holds at each of some stages where its gradient is wrong; there must be one."""
    asked = [stage for stage in stages if guess.gradient in stage.views]
    return bool(asked) and all(
        same(guess) in map(same, stage.once(hypothesis, partial(tried, hypothesis, stage))) for stage in asked
    )


def weight(group: dict[str, Guess]) -> tuple[bool, int]:
    """Return what guesses that say the same count for: whether they explain anything, and in how many gradients."""
    return not any(guess.vague for guess in group.values()), len(group)


def key(guess: Guess) -> Key:
    """Return what two guesses have in common that say the same."""
    return guess.kind, guess.words


def same(guess: Guess) -> tuple[str, Key]:
    """Return what two guesses have in common that say the same of the same gradient."""
    return guess.gradient, key(guess)


def limited(stage: Stage, names: Iterable[str], *, supported: bool = False) -> Stage:
    """Return a stage with some of its views."""
    kept = {name: stage.views[name] for name in names if name in stage.views}
    return replace(stage, views=kept, supported=supported)


def misshapen(stage: Stage) -> Stage:
    """Return a stage with the views of the gradients that have no right shape in the place of the others."""
    return replace(stage, views=stage.shaped)
