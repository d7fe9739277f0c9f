"""What rounding may do to a gradient: measured where a check looks broken, and only there.

Two results that agree in exact arithmetic need not agree in floating point: in saturated units a gradient may be all
cancellation, at a tie another order of a sum takes another branch. So what differs is held against how far the pair's
own results move when its inputs and cotangents move in their last bits, and against what can be lost of <v, f> over the
size of the input: p (dp - <dp, p>) with p close to one-hot always loses the same part. And it has to differ at points
close by too: a breach is there as well, a tie is not.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rnngrad.check.protocol.stir import stirred
from rnngrad.check.protocol.subject import Excess, Subject

__all__ = ["COARSE", "confirmed", "seen", "unexplained"]

COARSE = 2.0**-10  # of a tensor's largest entry: a breach of a rule is no matter of digits
TRIES = 3  # at each of the sizes
SIZES: tuple[float, ...] = (
    2.0**-46,
    2.0**-22,
)  # of the last bits in double and in single precision, which code may use inside
LOST = 2.0**-30  # of <|v|, |f|>, far more than rounding: whose gradients are smaller is no place to look for breaches
FACTOR = 64.0  # a difference counts beyond so many times what such moves do
NEARBY = 2.0**-12  # relative distance of the points at which a breach must be there as well
POINTS = 2

Compare = Callable[[Subject], Iterator[Excess]]


def seen(subject: Subject, found: list[Excess]) -> list[Excess]:
    """Return what of some differences is large enough to be looked at; takes no calls."""
    terms = sum(
        float(np.abs(v).ravel() @ np.abs(subject.outputs[name]).ravel()) for name, v in subject.upstream.items()
    )
    sizes = {name: float(np.abs(subject.inputs[name]).max(initial=0.0)) for name in subject.claimed}
    slopes = {name: float(np.abs(claim).max(initial=0.0)) * sizes[name] for name, claim in subject.claimed.items()}
    whole = max([terms, *slopes.values()])
    return [excess for excess in found if not excess.apart <= LOST * whole / (sizes[excess.name] or 1.0)]


def unexplained(subject: Subject, found: list[Excess], *, inputs: bool = True) -> list[Excess]:
    """Return what of some differences rounding of cotangents (and inputs) does not explain."""
    moved = moves(subject, inputs=inputs) if found else {}
    return [excess for excess in found if not excess.apart <= FACTOR * moved[excess.name]]


def moves(subject: Subject, *, inputs: bool) -> dict[str, float]:
    """Return how far each gradient moves, at most, when cotangents (and inputs) move in their last bits."""
    moved: dict[str, float] = dict.fromkeys(subject.claimed, 0.0)
    sizes = SIZES[:1] if inputs else SIZES
    for size in sizes:
        for turn in range(TRIES):
            place = stirred(subject.inputs, size, turn) if inputs else None
            found = subject.rerun(stirred(subject.upstream, size, turn + TRIES), place)
            if isinstance(found, str):
                continue
            for name, array in found.items():
                apart = float(np.abs(array - subject.claimed[name]).max(initial=0.0))
                moved[name] = max(moved[name], apart if np.isfinite(apart) else 0.0)
    return moved


def nearby_points(subject: Subject) -> Iterator[Subject]:
    """Yield the same pair at points close by, with what it computes there."""
    for turn in range(1, POINTS + 1):
        inputs = stirred(subject.inputs, NEARBY, turn)
        passed = subject.forward(inputs)
        claimed = passed if isinstance(passed, str) else subject.backward(passed.cache)
        if not (isinstance(passed, str) or isinstance(claimed, str)):
            kept = {name: array.copy() for name, array in claimed.items()}
            yield replace(subject, inputs=inputs, outputs=passed.outputs, claimed=kept)


def confirmed(subject: Subject, compare: Compare, found: list[Excess]) -> list[Excess]:
    """Return what of the differences found is no matter of rounding, and there at all points close by."""
    kept = unexplained(subject, seen(subject, found))
    for point in nearby_points(subject) if kept else ():
        again = {excess.name for excess in compare(point)}
        kept = [excess for excess in kept if excess.name in again]
    return kept
