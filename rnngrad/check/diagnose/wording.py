"""Guesses in full sentences."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import likeness
from rnngrad.check.diagnose.words import listed
from rnngrad.result import Diagnosis

__all__ = ["pattern", "said"]

STATED = ("dims", "values")  # kinds that say what was seen, not what it is consistent with
WORDS = re.compile(r"[A-Za-z_]\w*")


def said(scene: Scene, guesses: Sequence[Guess]) -> dict[str, list[Diagnosis]]:
    """Return each guess as a diagnosis of its gradient, in one sentence for all gradients that share it."""
    shared: dict[tuple[str, str], list[Guess]] = {}
    for guess in guesses:
        shared.setdefault((guess.kind, guess.words), []).append(guess)
    found: dict[str, list[Diagnosis]] = {}
    for (kind, words), group in shared.items():
        keys = listed([scene.pair.claim(guess.gradient) for guess in group])
        verb = "is" if len(group) == 1 else "are"
        message = f"{keys} {verb} {words}" if kind in STATED else f"{keys} {verb} consistent with {words}"
        message += facts(scene.dims, words, group)
        for guess in group:
            found.setdefault(guess.gradient, []).append(
                Diagnosis(kind, guess.gradient, message, guess.residual, guess.brief)
            )
    return found


def facts(dims: Mapping[str, int], words: str, group: Sequence[Guess]) -> str:
    """Return the sizes of the dims that are spoken of, what is left unexplained, and the first note, in brackets."""
    spoken = set(WORDS.findall(re.sub(r"Case\(.*\)", "", words))) - {"a"}
    parts = [f"{name} = {size}" for name, size in dims.items() if name in spoken and not stated(name, words)]
    parts += [guess.note for guess in group[:1] if guess.note]
    residuals = [guess.residual for guess in group if guess.residual is not None]
    if residuals:
        parts.append(f"residual {max(residuals):.0e}" if max(residuals) else "residual 0")
    return f" ({', '.join(parts)})" if parts else ""


def stated(name: str, words: str) -> bool:
    """Tell whether words state a size of a dim already."""
    return bool(re.search(rf"\b{re.escape(name)} (=|>=) ", words) or re.search(rf" = {re.escape(name)}\b", words))


def pattern(stage: Stage, name: str) -> Diagnosis:
    """Say of a gradient that nothing explains how it differs from the true one."""
    view = stage.views[name]
    off = float(np.max(np.abs(view.claimed - view.true), initial=0.0, where=view.known)) / (view.size or 1.0)
    share = f"{int(view.wrong.sum())} of {int(view.known.sum())} entries are wrong, by up to {off:.0e} of the largest"
    return Diagnosis(
        "unexplained", name, f"nothing that was tried explains {view.key}: {likeness(view)}; {share}", None
    )
