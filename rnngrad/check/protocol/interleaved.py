"""Two forward passes, here and close by, then their two backward passes.

The second forward pass must give the outputs of the first pass, bit by bit, and the backward pass that follows another
forward pass the first gradients.
"""

from collections.abc import Iterator

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.again import blamed
from rnngrad.check.protocol.alias import shared
from rnngrad.check.protocol.first import First
from rnngrad.check.protocol.nearby import close_by, remembered
from rnngrad.check.protocol.subject import PLACED, Forwarded, Subject, beyond, breach
from rnngrad.result import Finding

__all__ = ["interleaved"]


def interleaved(subject: Subject, first: First) -> Iterator[Finding]:
    """Yield what is wrong with two passes at once, and with forward called again."""
    here = subject.forward()
    if isinstance(here, str):
        yield breach("random", f"forward is not deterministic: called again at the same point, {here}")
        return
    moved = list(beyond(here.outputs, subject.outputs, PLACED))
    if moved:
        worst = max(moved, key=lambda excess: excess.apart)
        off = f"{worst.place} is {worst.expected:.6g}, then {worst.got:.6g}, {worst.apart:.0e} apart"
        yield breach("random", f"forward is not deterministic: two calls at the same point differ; {off}")
        return
    yield from buffered(first, here)
    with np.errstate(all="ignore"):
        there = subject.forward(close_by(subject), handing=lambda array: array)
        found = subject.backward(here.cache)
        del here
        if isinstance(found, str):
            lone = subject.rerun()
            kind, said = ("state", lone) if isinstance(lone, str) else ("interleaved", found)
            yield breach(kind, f"after another forward pass {said}")
        elif moved := list(beyond(found, subject.claimed, PLACED)):
            words = "two forward passes before their backward passes disturb each other"
            yield from blamed(subject, moved, lambda: after_another(subject), "interleaved", words)
        elif not isinstance(there, str):
            del found
            yield from second(subject, there)


def after_another(subject: Subject) -> Arrays | str:
    """Run forward here, forward close by, and then backward here."""
    here = subject.forward()
    subject.forward(close_by(subject))
    return here if isinstance(here, str) else subject.backward(here.cache)


def buffered(first: First, here: Forwarded) -> Iterator[Finding]:
    """Yield each output whose array a second call returns again."""
    for name, earlier in first.forward.returned.items():
        if isinstance(earlier, np.ndarray) and earlier.size and shared(earlier, here.outputs[name]):
            said = f"forward returns the same memory for {name} at every call"
            yield breach("buffer", f"{said}: what it returned changes when it is called again; return a new array")


def second(subject: Subject, there: Forwarded) -> Iterator[Finding]:
    """Yield what is wrong with the second one of the two backward passes."""
    found = subject.backward(there.cache)
    if not isinstance(found, str):
        yield from remembered(subject, close_by(subject), there.outputs, found)
    elif not isinstance(subject.rerun(inputs=close_by(subject)), str):
        yield breach("interleaved", f"two forward passes before their backward passes disturb each other: {found}")
