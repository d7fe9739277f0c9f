"""Outputs that do not change at all close by: how large a slope may hide on such a plateau.

A forward pass that rounds somewhere inside, to a float16, to six decimals, or 1 + 1e-14 to double precision, moves in
stairs. Between two of them every difference is exactly zero, and so are all ladders, however independent. The height of
the first stair over the distance to it is a slope that nothing excludes. A unit that is dead, such as a ReLU below
zero, is as flat as that up to its kink; but from there it starts at zero, so the closer one looks the lower is the
stair; so it is looked at as closely as the claim asks for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.sample import Lines

__all__ = ["hidden_slope", "independent"]

COARSE = 4.0  # from one step to the next on the way up
HALVINGS = 64  # of the way to the first stairs at one step: kinks in a few places then leave 1e-4 of their slopes
SHARE = 0.25  # of what may still be hidden: as much as kinks may leave that are met at one step
FAR = (
    2.0**-5,
    4.0,
    2.0**20,
    2.0**40,
)  # times the scale of the line: an output that is flat, or not finite, there too does not depend on it


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a line in which some outputs leave their plateau: the last flat step, and their heights beyond it."""

    flat: float
    risen: float
    outputs: NDArray[np.bool_]
    heights: NDArray[np.float64]

    @property
    def middle(self) -> float:
        """Return the step that halves the span in octaves."""
        return float(np.sqrt(self.flat) * np.sqrt(self.risen))

    def slope(self, lines: Lines) -> float:
        """Return the slope of <v, f> to the stairs."""
        return float(np.abs(lines.v[self.outputs]) @ self.heights[self.outputs]) / self.risen


def hidden_slope(lines: Lines, line: int, step: float, enough: float) -> float:
    """Return the slope of <v, f> that the outputs may have which are flat up to a step, in steps beyond it.

    The search ends where it is clear whether that is ``enough``.
    """
    if not 0 < step < np.inf:  # of the complex step, which sees what rounding hides
        return 0.0
    flat = (lines.v != 0) & (stairs(lines, line, step) == 0)
    if flat.any():
        flat &= np.any([stairs(lines, line, far * float(lines.scale[line])) > 0 for far in FAR], axis=0)
    hidden, last = 0.0, step
    while flat.any() and hidden < enough and (step := COARSE * last) <= COARSE * FAR[-1] * lines.scale[line]:
        if (risen := flat & (stairs(lines, line, step) > 0)).any():
            hidden += first_stairs(lines, line, last, step, risen, SHARE * (enough - hidden))
            flat &= ~risen
        last = step
    return hidden


def independent(lines: Lines, line: int) -> bool:
    """Tell whether the outputs do not depend on a line: they are the very same however far one goes along it."""
    steps = [sign * far * float(lines.scale[line]) for far in FAR for sign in (1, -1)]
    with np.errstate(all="ignore"):
        return all(np.array_equal(lines.f(lines.move(line, step)[0]), lines.f0) for step in steps)


def first_stairs(lines: Lines, line: int, last: float, step: float, risen: NDArray[np.bool_], enough: float) -> float:
    """Return the slope to the first stairs of some outputs, which are flat up to one step and risen at another.

    The distance to those that count most is halved, until all leave less than ``enough``: a stair keeps its height,
    and what starts at a kink loses it.
    """
    spans = [Span(last, step, risen, stairs(lines, line, step))]
    for _ in range(HALVINGS):
        worst = max(spans, key=lambda span: span.slope(lines))
        if sum(span.slope(lines) for span in spans) < enough or not worst.flat < worst.middle < worst.risen:
            break
        heights = stairs(lines, line, worst.middle)
        near, far = worst.outputs & (heights > 0), worst.outputs & (heights == 0)
        spans.remove(worst)
        spans += [Span(worst.flat, worst.middle, near, heights)] if near.any() else []
        spans += [Span(worst.middle, worst.risen, far, worst.heights)] if far.any() else []
    return sum(span.slope(lines) for span in spans)


def stairs(lines: Lines, line: int, step: float) -> NDArray[np.float64]:
    """Return by how much each output changes within a step to one side or the other, not finite ones left out."""
    with np.errstate(all="ignore"):
        sides = [np.abs(lines.f(lines.move(line, t)[0]) - lines.f0).astype(np.float64) for t in (step, -step)]
        return np.maximum(*(np.nan_to_num(side, nan=0.0, posinf=0.0) for side in sides))
