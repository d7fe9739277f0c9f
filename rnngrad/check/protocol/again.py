"""Backward again on one cache: with a one-hot cotangent, with a tiny sum, and with the first cotangents."""

from collections.abc import Callable, Iterator

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.alias import shared
from rnngrad.check.protocol.cotangents import one_hot, summed
from rnngrad.check.protocol.first import First
from rnngrad.check.protocol.linear import additive, not_additive
from rnngrad.check.protocol.subject import PLACED, Excess, Subject, beyond, breach
from rnngrad.result import Finding

__all__ = ["again", "blamed"]

REPEATS = 6  # of a call that differs: where chance is at work, one of them gives the first result
SAME = 2.0**-30  # of a tensor: to this, one result counts as the sum of others


def again(subject: Subject, first: First) -> Iterator[Finding]:
    """Yield what is wrong with more backward passes on the first cache."""
    single = one_hot(subject.upstream, subject.seed)
    spike = subject.backward(first.cache(), single)
    buffers = [] if isinstance(spike, str) else list(buffered(subject, first, spike))
    first.raw.clear()
    total = subject.backward(first.cache(), summed(subject.upstream, single))
    if isinstance(spike, str) or isinstance(total, str):
        yield from refused(subject, spike if isinstance(spike, str) else str(total), single)
        return
    excesses = [] if buffers else list(not_additive(subject.claimed, spike, total, subject.largest))
    del spike, total
    second = subject.backward(first.cache())
    if isinstance(second, str):
        yield from refused(subject, second, single)
        return
    if moved := list(beyond(second, subject.claimed, PLACED)):
        words = "a second backward pass on one cache gives other gradients"
        yield from blamed(subject, moved, lambda: subject.backward(first.cache()), "reuse", words)
        return
    yield from buffers
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


def blamed(
    subject: Subject, moved: list[Excess], repeat: Callable[[], Arrays | str], kind: str, words: str
) -> Iterator[Finding]:
    """Yield the finding for a later call whose result differs from the first one.

    It is of the given kind where fresh calls give the first result and the same later call, repeated, never does.
    """
    worst = moved[0]
    off = f"{worst.place} is {worst.expected:.6g} the first time, then {worst.got:.6g}"
    fresh, other = copy_of(subject.rerun()), copy_of(subject.rerun())
    if isinstance(fresh, str) or isinstance(other, str):
        trouble = fresh if isinstance(fresh, str) else other
        yield breach("state", f"earlier calls change the result: made again, {trouble}")
    elif not any(beyond(other, fresh, PLACED)):
        if any(beyond(fresh, subject.claimed, PLACED)):
            yield breach("state", f"earlier calls change the result: {off}")
        elif all(differs(subject, repeat()) for _ in range(REPEATS)):
            yield breach(kind, f"{words}: {off}")
        else:
            yield by_chance(off, worst)
    elif accumulated(fresh, other, subject.rerun()):
        yield breach("state", f"earlier calls change the result, backward adds to what it returned before: {off}")
    else:
        yield by_chance(off, worst)


def differs(subject: Subject, found: Arrays | str) -> bool:
    """Tell whether a later call raises, or gives another result than the first one."""
    return isinstance(found, str) or any(beyond(found, subject.claimed, PLACED))


def by_chance(off: str, worst: Excess) -> Finding:
    """Return the finding for results that differ without a rule."""
    said = f"backward is not deterministic: two calls at the same point differ; {off}"
    return breach("random", f"{said}, {worst.apart:.0e} apart")


def copy_of(found: Arrays | str) -> Arrays | str:
    """Return copies of gradients, which later calls may overwrite."""
    return found if isinstance(found, str) else {name: array.copy() for name, array in found.items()}


def accumulated(first: Arrays, second: Arrays, third: Arrays | str) -> bool:
    """Tell whether the same call, made three times, adds the same each time."""
    if isinstance(third, str):
        return False
    step = {name: second[name] - before for name, before in first.items()}
    return not any(beyond({name: third[name] - before for name, before in second.items()}, step, SAME))
