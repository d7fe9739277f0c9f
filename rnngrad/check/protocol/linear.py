"""Linear in the cotangent: sums add, multiples scale, zero gives zero.

By a power of two every linear step scales exactly, so multiples are held to the last bits, at scales that show what is
clipped or rounded. Sums round, and where a gradient is all cancellation they round to anything; there it takes a
difference that counts in a tensor's largest entry and that rounding, measured, does not explain.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays, at
from rnngrad.check.protocol.cotangents import HUGE, TINY, multiple, summed
from rnngrad.check.protocol.large import largest
from rnngrad.check.protocol.rounding import COARSE, seen, unexplained
from rnngrad.check.protocol.subject import PLACED, Excess, Handing, Subject, beyond, breach, first_place
from rnngrad.result import Finding

__all__ = ["additive", "not_additive", "scaled", "scales"]

EXACT = 2.0**-30  # of a tensor: a multiple that is off by more was not just scaled
RANGE = 2.0**90  # larger and smaller tensors are not scaled: what they are made of could overflow in single precision
NOT = "backward is not linear in its cotangent"


def not_additive(one: Arrays, other: Arrays, total: Arrays, sizes: Mapping[str, float]) -> Iterator[Excess]:
    """Yield where the gradients for two cotangents, one of given sizes, do not add to that for their tiny sum."""
    for name, left in one.items():
        apart = largest(missing, left, other[name], total[name])
        first = sizes[name]
        if apart <= COARSE * first < np.inf:
            continue
        three = [first, largest(np.asarray, other[name]), largest(np.asarray, total[name]) / TINY]
        size = max(size for size in three if np.isfinite(size))
        off = in_range(size) and apart > COARSE * size
        yield from beyond({name: total[name] / TINY}, {name: left + other[name]}, COARSE, {name: size}) if off else ()


def missing(one: NDArray[Any], other: NDArray[Any], total: NDArray[Any]) -> NDArray[Any]:
    """Return by how much the gradients for two cotangents miss that for their sum, which is tiny."""
    apart = np.asarray(total * (1 / TINY))
    apart -= one
    apart -= other
    return apart


def in_range(size: float) -> bool:
    """Tell whether a tensor whose largest entry has some size can be scaled without loss."""
    return size <= RANGE and not 0 < size < 1 / RANGE


def additive(subject: Subject, single: Arrays, found: list[Excess]) -> Iterator[Finding]:
    """Yield the findings for gradients that did not add on one cache, told by caches of their own."""
    found = seen(subject, found)
    if not found:
        return
    runs = [subject.rerun(cotangents) for cotangents in (None, single, summed(subject.upstream, single))]
    one, other, total = (None if isinstance(run, str) else run for run in runs)
    if one is None or other is None or total is None:
        return
    still = {excess.name for excess in not_additive(one, other, total, subject.largest)}
    for excess in (excess for excess in found if excess.name not in still):
        said = f"{excess.place}: with another cotangent a second backward pass on one cache gives another gradient"
        yield breach("reuse", f"{said} than on a new cache", excess.name)
    for excess in unexplained(subject, [excess for excess in found if excess.name in still], inputs=False):
        said = f"for 1/{1 / TINY:.0f} of the sum of two cotangents it gives {excess.got * TINY:.6g}"
        expected = f"expected as much of {excess.expected:.6g}, what it gives for one and the other"
        yield breach("linear", f"{excess.place}: {NOT}: {said}, {expected}", excess.name)


def scales(subject: Subject, cache: Any, handing: Handing) -> bool:
    """Tell whether backward on a cache gives zeros for zeros, and for a huge multiple that of the first gradients."""
    if not_zero(subject.backward(cache, multiple(subject.upstream, 0.0), handing)):
        return False
    return not not_scaled(subject, subject.backward(cache, multiple(subject.upstream, HUGE), handing))


def scaled(subject: Subject) -> Iterator[Finding]:
    """Yield the gradients that are not zero for a zero cotangent, or do not scale with it."""
    passed = subject.forward()
    if isinstance(passed, str):
        return
    nothing, huge = multiple(subject.upstream, 0.0), multiple(subject.upstream, HUGE)
    constant = not_zero(subject.backward(passed.cache, nothing))
    if constant:  # once more, on a cache of its own: whether one serves twice is asked elsewhere
        constant = not_zero(subject.rerun(nothing))
    yield from constant.values()
    if "" in constant:
        return
    found = not_scaled(subject, subject.backward(passed.cache, huge))
    if found:
        found = not_scaled(subject, subject.rerun(huge))
    if isinstance(found, str):
        yield breach("linear", f"{found}, for {HUGE:.0f} times the cotangents")
        return
    found = [excess for excess in found if excess.name not in constant]
    if found:
        yield from unscaled(subject, found)


def not_zero(zero: Arrays | str) -> dict[str, Finding]:
    """Return, by gradient, the findings for those that are not zero for a zero cotangent; under "" an exception."""
    if isinstance(zero, str):
        return {"": breach("linear", f"{zero}, for a cotangent of zeros; expected zeros")}
    found = {}
    for name, array in zero.items():
        if array.any():
            index = first_place(np.abs(array))
            said = f"{at(name, index)}: {NOT}: a cotangent of zeros gives {array[index]:.6g}, expected 0"
            found[name] = breach("linear", said, name)
    return found


def not_scaled(subject: Subject, huge: Arrays | str) -> list[Excess] | str:
    """Return where the gradient for the huge multiple of the cotangents is not that multiple of theirs."""
    if isinstance(huge, str):
        return huge
    found: list[Excess] = []
    for name, array in subject.claimed.items():
        size = subject.largest[name]
        if in_range(size) and largest(lambda a, b: a * (1 / HUGE) - b, huge[name], array) > EXACT * size:
            found += beyond({name: huge[name] / HUGE}, {name: array}, EXACT, {name: size})
    return found


def unscaled(subject: Subject, found: list[Excess]) -> Iterator[Finding]:
    """Yield the findings for gradients that do not scale: those of earlier calls may be in the way instead."""
    fresh = subject.rerun()
    if isinstance(fresh, str) or (changed := list(beyond(fresh, subject.claimed, PLACED))):
        place = changed[0].place if not isinstance(fresh, str) else fresh
        yield breach("state", f"earlier calls change the result: {place}")
        return
    for excess in unexplained(subject, found, inputs=False):
        said = f"for {HUGE:.0f} times the cotangents it gives {excess.got * HUGE:.6g}"
        expected = f"expected {HUGE:.0f} times {excess.expected:.6g}"
        yield breach("linear", f"{excess.place}: {NOT}: {said}, {expected}", excess.name)
