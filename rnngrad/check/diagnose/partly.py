"""Right in a part and wrong outside: at one index, in one block, on the diagonal, in one entry."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import LEFT, View, largest, likeness
from rnngrad.check.diagnose.whole import fitted, named_multiple, telling

__all__ = ["located", "masked", "part", "place"]

Mask = NDArray[np.bool_]
VAGUE = "some of the indices"
FEW = 3  # entries that must be the same multiple where there is one case alone


def places(stage: Stage, view: View) -> list[tuple[str, Mask]]:
    """Return the parts in which all wrong entries lie, by name, the most telling first; outside all are right."""
    wrong, known = view.wrong, view.known
    off = np.where(known, np.abs(view.claimed - view.true), 0.0)
    if largest(off[~wrong]) > LEFT * largest(off):
        return []  # what lies within the bars may be wrong as well
    found: list[tuple[str, Mask]] = []
    for axis in range(wrong.ndim):
        size, blocks = wrong.shape[axis], view.blocks[axis]
        bad = np.moveaxis(wrong, axis, 0).reshape(size, -1).any(axis=1)
        if (bad.all() or size < 2) and not (stage.supported and size == 1):
            continue
        if not np.moveaxis(known, axis, 0).reshape(size, -1).any(axis=1).all():
            continue
        words = list(place(np.asarray(bad), view.axes[axis]))
        some = bad.reshape(blocks, -1).any(axis=1) if size % blocks == 0 else np.ones(blocks, bool)
        if not some.all():
            named = f"block{'s' if some.sum() > 1 else ''} {', '.join(map(str, np.flatnonzero(some)))}"
            words.insert(0, f"in {named} of the {blocks} along {view.axes[axis]}")
            bad = np.repeat(some, size // blocks)
        shape = (-1,) + (1,) * (wrong.ndim - 1 - axis)
        found += [(one, np.broadcast_to(bad.reshape(shape), wrong.shape)) for one in words]
    if wrong.ndim == 2 and (stage.supported or min(wrong.shape) > 1):
        row, column = np.indices(wrong.shape)
        square = wrong.shape[0] == wrong.shape[1]
        found += [(words, mask) for words, mask in triangles(row, column, square) if not (wrong & ~mask).any()]
    if wrong.sum() == 1 < view.true.size:
        found.append(("in a single entry", wrong))
    there = known & (np.abs(view.true) > view.slack)
    told = [(words, mask) for words, mask in found if (there & ~mask).any() or mask.all()]  # else nothing else is there
    return sorted(told, key=lambda part: VAGUE in part[0])  # stable


def triangles(row: Any, column: Any, square: bool) -> list[tuple[str, Mask]]:
    """Return the parts that the diagonal makes of a matrix, by name."""
    found = [("below the diagonal", row > column), ("above the diagonal", row < column)]
    return [*found, ("on the diagonal", row == column), ("off the diagonal", row != column)] if square else found


def place(bad: NDArray[np.bool_], axis: str) -> Iterator[str]:
    """Yield the names of some of the indices along an axis."""
    if bad[0] and not bad[1:].any():
        yield f"at the first index along {axis}"
    if bad[-1] and not bad[:-1].any():
        yield f"at the last index along {axis}"
    if not bad[0] and bad[1:].all():
        yield f"at all but the first index along {axis}"
    if not bad[-1] and bad[:-1].all():
        yield f"at all but the last index along {axis}"
    yield f"at {VAGUE} along {axis}"


def part(stage: Stage) -> Iterator[Guess]:
    """Guess what a gradient is in the part where it is wrong; it is right elsewhere."""
    for name, view in stage.views.items():
        found = [(where, mask & view.known) for where, mask in places(stage, view) if VAGUE not in where]
        if stage.supported or not view.wrong.all():
            found.append(("in some entries", view.wrong))
        for where, mask in found:
            for what, left in explained(stage, view, mask):
                words = f"the true gradient but {where}, where it is {what}"
                yield Guess(name, "part", words, left, f"{what} {where}")


def located(stage: Stage) -> Iterator[Guess]:
    """Say in which part a gradient is wrong, where nothing explains what it is there."""
    for name, view in stage.views.items():
        for where, _ in places(stage, view):
            yield Guess(name, "part", f"a gradient that is right but {where}", None, f"wrong {where}", likeness(view))


def masked(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is right but where the true one is zero: a mask is missing, or another one."""
    for name, view in stage.views.items():
        zero = view.known & (view.true == 0)
        if view.wrong.any() and not (view.wrong & ~zero).any() and (stage.supported or not zero[view.known].all()):
            words = "the true gradient but where that is zero: a mask, or what else makes it zero, is missing?"
            yield Guess(name, "part", words, None, "wrong where the true gradient is zero", likeness(view))


def explained(stage: Stage, view: View, mask: Mask) -> Iterator[tuple[str, float]]:
    """Yield what explains the entries of a part, in words, and what that leaves."""
    if not view.claimed[mask].any():
        yield "zero", 0.0
    named = list(named_multiple(stage.scene, view, mask))
    for called, _, left in named:
        yield ("of the other sign" if called == "minus" else f"{called} what it should be"), left
    by = fitted(view, mask)
    if by and not named and telling(view, mask) >= stage.least(FEW):
        left = view.misfit(by * view.true, mask)
        if np.isfinite(left):
            yield f"{by:.6g} times what it should be", left
