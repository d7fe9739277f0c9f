"""Whether backward is right close by as well: else it may remember what its first call saw.

Along a step d from theta, <v, f> changes by the mean of its slopes at both ends, up to the third order of the step.
What backward claims at both ends, <g(theta), d> and <g(theta + d), d>, must give that change. A backward pass that is
right here but goes on with what it saw here misses the curvature, which is of the second order: halve the step, and
what is missing falls fourfold. What is missing for a right one falls eightfold, beside a kink twofold or at once, at a
jump not at all, and noise falls by no rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.large import pieces
from rnngrad.check.protocol.stir import stirred, turned
from rnngrad.check.protocol.subject import Subject, breach
from rnngrad.result import Finding

__all__ = ["close_by", "remembered"]

STEP = 2.0**-9  # relative distance of the point close by
HALVINGS = 4
SEEN = 0.25  # share of the curvature of <v, f> that may be missing before anybody looks closer
NOISE = 2.0**-30  # of the terms of <v, f>: a smaller curvature is not looked at
SQUARE = (3.7, 4.3)  # the factor by which what goes with the square of a step falls when the step is halved


@dataclass(frozen=True)
class Change:
    """The change of <v, f> along a step less the first claimed slope, the part that the slopes miss, and its noise."""

    bend: float
    missing: float
    noise: float

    @property
    def blind(self) -> bool:
        """Tell whether a good part of the curvature is missing."""
        return bool(abs(self.missing) > SEEN * abs(self.bend) and abs(self.bend) > self.noise)


def close_by(subject: Subject, step: float = STEP) -> Arrays:
    """Return inputs close to those of a subject: floating ones moved by a little, whole numbers turned round."""
    return turned(subject.inputs) | stirred({name: subject.inputs[name] for name in subject.claimed}, step)


def remembered(subject: Subject, inputs: Arrays, outputs: Arrays, found: Arrays) -> Iterator[Finding]:
    """Yield the finding for a backward pass that is right here at best, from what is found at inputs close by."""
    if any(array.dtype.kind not in "fc" and array.size > 1 for array in subject.inputs.values()):
        return  # with other labels forward is another function
    change = change_to(subject, inputs, outputs, found)
    for halving in range(1, HALVINGS + 1):
        if not change.blind:
            return
        inputs = close_by(subject, STEP / 2**halving)
        passed = subject.forward(inputs)
        claimed = passed if isinstance(passed, str) else subject.backward(passed.cache)
        if isinstance(passed, str) or isinstance(claimed, str):
            return
        before, change = change, change_to(subject, inputs, passed.outputs, claimed)
        if not SQUARE[0] * abs(change.missing) <= abs(before.missing) <= SQUARE[1] * abs(change.missing):
            return
    if change.blind:
        share = f"{change.missing / change.bend:.0%}"
        yield breach(
            "remembered",
            f"called close by, after the call here, backward misses {share} of how the slope changes: consistent with "
            "going on with what an earlier call saw; if not that, it is right at these very inputs only",
        )


def change_to(subject: Subject, inputs: Arrays, outputs: Arrays, found: Arrays) -> Change:
    """Hold the change of <v, f> on the way to other inputs against the gradients claimed at both ends."""
    change, terms, slopes, bends = 0.0, 0.0, 0.0, 0.0
    for name, v in subject.upstream.items():
        here = subject.outputs[name]
        change += inner(v, outputs[name] - here)
        terms += inner(np.abs(v), np.abs(here))
    for name, claimed in subject.claimed.items():
        for claim, later, there, here in pieces(claimed, found[name], inputs[name], subject.inputs[name]):
            d = there - here
            slope = inner(claim, d)
            slopes += slope
            bends += inner(later, d) - slope
            terms += abs(slope)
    bend = change - slopes
    return Change(bend, bend - bends / 2, NOISE * terms)


def inner(left: NDArray[Any], right: NDArray[Any]) -> float:
    """Return the real inner product of two arrays."""
    return float(np.vdot(left, right).real)
