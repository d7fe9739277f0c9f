"""Right in a part and wrong outside: at one index, in one block, on the diagonal, in one entry."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View, likeness
from rnngrad.check.diagnose.whole import named_multiple

__all__ = ["located", "part", "place"]

VAGUE = "some of the indices"


def places(stage: Stage, view: View) -> list[str]:
    """Return the names of the part in which all wrong entries lie, the most telling first; all others are right."""
    wrong, known = view.wrong, view.known
    found: list[str] = []
    for axis in range(wrong.ndim):
        size, blocks = wrong.shape[axis], view.blocks[axis]
        bad = np.moveaxis(wrong, axis, 0).reshape(size, -1).any(axis=1)
        if (bad.all() or size < 2) and not (stage.supported and size == 1):
            continue
        if not np.moveaxis(known, axis, 0).reshape(size, -1).any(axis=1).all():
            continue
        some = np.flatnonzero(bad.reshape(blocks, -1).any(axis=1)) if size % blocks == 0 else bad
        if len(some) < blocks:
            word = "block" if len(some) == 1 else "blocks"
            found.append(f"in {word} {', '.join(map(str, some))} of the {blocks} along {view.axes[axis]}")
        found += place(bad, view.axes[axis])
    if wrong.ndim == 2 and wrong.shape[0] == wrong.shape[1] > 1:
        diagonal = np.eye(len(wrong), dtype=bool)
        found += ["on the diagonal"] * (not (wrong & ~diagonal).any())
        found += ["off the diagonal"] * (not (wrong & diagonal).any())
    if wrong.sum() == 1 < view.true.size or (stage.supported and view.true.size == 1):
        found.append("in a single entry")
    return sorted(found, key=lambda where: VAGUE in where)  # stable


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
        inside = list(explained(stage, view))
        for where in places(stage, view):
            for what, left in inside:
                words = f"the true gradient but {where}, where it is {what}"
                yield Guess(name, "part", words, left, f"{what} {where}")
        if not view.wrong.all():
            for what, left in inside:
                yield Guess(name, "part", f"the true gradient but in some entries, where it is {what}", left)


def located(stage: Stage) -> Iterator[Guess]:
    """Say in which part a gradient is wrong, where nothing explains what it is there."""
    for name, view in stage.views.items():
        for where in places(stage, view):
            yield Guess(name, "part", f"a gradient that is right but {where}", None, f"wrong {where}", likeness(view))


def explained(stage: Stage, view: View) -> Iterator[tuple[str, Any]]:
    """Yield what explains the wrong entries, in words, and what that leaves."""
    if not view.claimed[view.wrong].any():
        yield "zero", 0.0
    if view.wrong.sum() > 0:
        for called, _, left in named_multiple(stage.scene, view, view.wrong):
            yield ("of the other sign" if called == "minus" else f"{called} what it should be"), left
