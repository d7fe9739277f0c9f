"""Backward again on one cache: with a one-hot cotangent, with a tiny sum, and with the first cotangents."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.alias import shared
from rnngrad.check.protocol.cotangents import one_hot, summed
from rnngrad.check.protocol.first import First
from rnngrad.check.protocol.linear import additive, not_additive
from rnngrad.check.protocol.subject import PLACED, Excess, Subject, beyond, breach
from rnngrad.result import Finding

__all__ = ["again", "blamed"]

SAME = 2.0**-30  # of a tensor: to this, one result counts as the sum of others


def again(subject: Subject, first: First) -> Iterator[Finding]:
    """Yield what is wrong with more backward passes on the first cache."""
    cache = first.forward.cache
    single = one_hot(subject.upstream, subject.seed)
    spike = subject.backward(cache, single)
    total = subject.backward(cache, summed(subject.upstream, single))
    if isinstance(spike, str) or isinstance(total, str):
        yield from refused(subject, spike if isinstance(spike, str) else str(total), single)
        return
    buffers = list(buffered(subject, first, spike))
    second = subject.backward(cache)
    if isinstance(second, str):
        yield from refused(subject, second, single)
        return
    moved = list(beyond(second, subject.claimed, PLACED))
    if moved:
        yield from blamed(subject, moved, cache)
        return
    yield from buffers
    excesses = [] if buffers else list(not_additive(subject.claimed, spike, total))
    if excesses:
        yield from additive(subject, single, excesses)


def refused(subject: Subject, trouble: str, single: Arrays) -> Iterator[Finding]:
    """Yield the finding for a backward pass that raises when it is called again."""
    fresh = subject.rerun(single)
    if isinstance(fresh, str):
        yield breach("linear", f"{fresh}, for a one-hot cotangent: expected the gradients for any cotangent")
    else:
        yield breach("reuse", f"a second backward pass on one cache fails: {trouble}")


def buffered(subject: Subject, first: First, *later: Arrays) -> Iterator[Finding]:
    """Yield each gradient whose array a later call returns again."""
    for name in subject.claimed:
        earlier = first.raw[name]
        if isinstance(earlier, np.ndarray) and any(shared(earlier, one[name]) for one in later):
            said = f"{name}: backward returns the same memory for {subject.pair.claim(name)} at every call"
            yield breach("buffer", f"{said}: the first result changes with the second; return a new array", name)


def blamed(subject: Subject, moved: list[Excess], cache: Any = None) -> Iterator[Finding]:
    """Yield the finding for a later result that differs from the first one, told by fresh calls."""
    worst = moved[0]
    off = f"{worst.place} is {worst.expected:.6g} the first time, then {worst.got:.6g}"
    fresh, other = copy_of(subject.rerun()), copy_of(subject.rerun())
    if isinstance(fresh, str) or isinstance(other, str):
        trouble = fresh if isinstance(fresh, str) else other
        yield breach("state", f"earlier calls change the result: made again, {trouble}")
    elif not any(beyond(fresh, subject.claimed, PLACED)) and not any(beyond(other, fresh, PLACED)):
        yield from reused(cache, off)
    elif not any(beyond(other, fresh, PLACED)):
        yield breach("state", f"earlier calls change the result: {off}")
    elif accumulated(fresh, other, subject.rerun()):
        yield breach("state", f"earlier calls change the result, backward adds to what it returned before: {off}")
    else:
        apart = f"{worst.apart:.0e} apart"
        yield breach("random", f"backward is not deterministic: two calls at the same point differ; {off}, {apart}")


def reused(cache: Any, off: str) -> Iterator[Finding]:
    """Yield the finding for a pair whose forward and backward pass, made afresh, give the first result."""
    if cache is None:
        yield breach("interleaved", f"two forward passes before their backward passes disturb each other: {off}")
    else:
        yield breach("reuse", f"a second backward pass on one cache gives other gradients: {off}")


def copy_of(found: Arrays | str) -> Arrays | str:
    """Return copies of gradients, which later calls may overwrite."""
    return found if isinstance(found, str) else {name: array.copy() for name, array in found.items()}


def accumulated(first: Arrays, second: Arrays, third: Arrays | str) -> bool:
    """Tell whether the same call, made three times, adds the same each time."""
    if isinstance(third, str):
        return False
    step = {name: second[name] - before for name, before in first.items()}
    return not any(beyond({name: third[name] - before for name, before in second.items()}, step, SAME))
