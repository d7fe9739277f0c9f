"""Two tensors held against each other: dtype, shape, places that are not finite, bits, and how far they are apart.

``distance`` is entry by entry, in the tensor's own unit: an ulp of its largest entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import at
from rnngrad.check.protocol.bits import same_bits
from rnngrad.regress.rounding import FEW, precision_of, ulp_of
from rnngrad.regress.side import apart
from rnngrad.result import Compared, Verdict

__all__ = ["Held", "held"]

Allowed = Callable[[NDArray[Any], float, float], NDArray[Any]]  # of distance, eps and ulp


@dataclass(frozen=True)
class Held:
    """What became of two tensors; ``excess`` is their distance over what is allowed, None where that is not asked."""

    compared: Compared
    excess: NDArray[Any] | None = None


def held(
    name: str, left: NDArray[Any], right: NDArray[Any], labels: tuple[str, str], allowed: Allowed, *, bitwise: bool
) -> Held:
    """Hold two tensors against each other; ``allowed`` is asked only where they are more than a few ulp apart."""
    words = unlike(left, right, labels) or elsewhere(name, left, right, labels)
    if words:
        return Held(Compared(name, Verdict.FAIL, words))
    if not left.size or same_bits(left, right):
        return Held(Compared(name, Verdict.PASS))
    distance, eps = apart(left, right), precision_of(left, right)
    unit = ulp_of([left, right], eps)
    if bitwise:
        return Held(numbers(name, left, right, distance, unit, None, Verdict.FAIL), differing(left, right) + distance)
    if (distance <= FEW * unit).all():
        return Held(numbers(name, left, right, distance, unit, None, Verdict.PASS))
    bars = allowed(distance, eps, unit)
    excess = np.asarray(distance / bars)
    verdict = Verdict.FAIL if (excess > 1).any() else Verdict.PASS
    return Held(numbers(name, left, right, excess, unit, bars, verdict), excess)


def numbers(
    name: str,
    left: NDArray[Any],
    right: NDArray[Any],
    order: NDArray[Any],
    unit: float,
    bars: NDArray[Any] | None,
    verdict: Verdict,
) -> Compared:
    """Return the result with the entry that comes first in an order."""
    place = int(np.argmax(order if order.any() else differing(left, right)))
    index = tuple(int(i) for i in np.unravel_index(place, left.shape))
    one, other = left[index], right[index]
    if left.dtype.kind == "c":  # the part that is further off
        parts = max(("real", "imag"), key=lambda part: abs(getattr(one, part) - getattr(other, part)))
        one, other = getattr(one, parts), getattr(other, parts)
    off = float(apart(left, right)[index]) / unit
    room = None if bars is None else float(bars[index]) / unit
    return Compared(name, verdict, "", index, float(one), float(other), off, room)


def differing(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 where the bits of two arrays of one dtype differ, 0 elsewhere."""
    width = left.dtype.itemsize
    bits = (np.frombuffer(array.tobytes(), np.uint8).reshape(-1, width) for array in (left, right))
    return np.asarray(np.not_equal(*bits).any(axis=1).reshape(left.shape), np.float64)


def unlike(left: NDArray[Any], right: NDArray[Any], labels: tuple[str, str]) -> str:
    """Say how two arrays differ in shape or dtype; ``""`` where they do not."""
    old, new = labels
    if left.shape != right.shape:
        return f"{old} has shape {left.shape}, {new} {right.shape}"
    return f"{old} is {left.dtype}, {new} {right.dtype}" if left.dtype != right.dtype else ""


def elsewhere(name: str, left: NDArray[Any], right: NDArray[Any], labels: tuple[str, str]) -> str:
    """Say where one array is not finite and the other is something else; ``""`` where there is no such place."""
    odd = ~(np.isfinite(left) & np.isfinite(right)) & ~((left == right) | (np.isnan(left) & np.isnan(right)))
    if not odd.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(odd)[0])
    return f"{labels[0]} is {left[index]} at {at(name, index)}, {labels[1]} {right[index]}"
