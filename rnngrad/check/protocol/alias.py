"""Memory that a gradient shares with something else.

Whoever gets gradients adds to them, clips them and scales them in place; what shares their memory changes with them. So
a gradient shares none with an input, with the cache, or with another gradient. An output may: it may be a view of an
input, and stand in the cache as well, since nobody writes into these. A gradient may be the cotangent itself, or a view
of it, as additions, biases and reshapes hand it on: the cotangent was given away to be used up, and nothing that is
used again changes with it. Two gradients that are one cotangent are a breach like any two that are one array.
``np.shares_memory`` decides, so disjoint parts of one buffer share nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.protocol.bits import arrays_of, owner
from rnngrad.check.protocol.first import First, unwrapped
from rnngrad.check.protocol.subject import Subject, breach
from rnngrad.result import Finding

__all__ = ["aliased", "shared"]

WORK = 100_000  # what the exact answer may cost; beyond, in exotic strides, two arrays count as apart

Named = tuple[str, NDArray[Any]]


def shared(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Tell whether two arrays have an entry in common."""
    if owner(left) != owner(right) and (is_own(left) or is_own(right)):
        return False
    try:
        return bool(np.shares_memory(left, right, max_work=WORK))  # type: ignore[arg-type]  # any count
    except np.exceptions.TooHardError:
        return False


def is_own(array: NDArray[Any]) -> bool:
    """Tell whether the memory of an array is numpy's own, so that another owner has none of it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None


def aliased(subject: Subject, first: First) -> Iterator[Finding]:
    """Yield each gradient that shares memory with an input, an output, the cache or an earlier gradient."""
    gradients = own_arrays(first.raw, subject)
    held = by_owner(first) if gradients else {}
    groups: dict[int, list[Named]] = {}
    for name, array in gradients:
        key, where = subject.pair.claim(name), owner(array)
        others = held.get(where, []) if is_own(array) else [one for some in held.values() for one in some]
        before = groups.setdefault(where if is_own(array) else 0, [])
        found = next((what for what, other in [*others, *before] if shared(array, other)), None)
        before.append((f"{key}, the gradient of {name}", array))
        if found is not None:
            said = f"{name}: {key} shares memory with {found}: who changes one in place changes the other"
            yield breach("alias", f"{said}; return a copy", name)


def own_arrays(raw: Mapping[str, Any], subject: Subject) -> list[Named]:
    """Return the gradients that are arrays, not numbers, and not empty."""
    found = [(name, raw[name]) for name in subject.claimed]
    return [(name, array) for name, array in found if isinstance(array, np.ndarray) and array.size]


def by_owner(first: First) -> dict[int, list[Named]]:
    """Return what a gradient must not share memory with, by the owner of the memory."""
    found: dict[int, list[Named]] = {}
    for name, array in first.forward.handed.items():
        found.setdefault(owner(array), []).append((f"the input {name}", array))
    for name, value in first.forward.returned.items():
        if isinstance(value, np.ndarray):
            found.setdefault(owner(value), []).append((f"the output {name}", value))
    for where, array in arrays_of(unwrapped(first.forward.cache), "cache"):
        found.setdefault(owner(array), []).append((f"{where}", array))
    return found
