"""What is asked of the numbers: a claimed gradient along entries or along directions, with what it may lose.

What a right backward pass loses to its own rounding is reckoned for each entry and added in quadrature along a
direction, whose signs are independent of it. Where a claim is in doubt the same is asked once more, closer: in extended
precision where forward runs in it, and with what backward was seen to lose.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import Question
from rnngrad.check.extended import Closer
from rnngrad.check.point import Point
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.sample import Lines
from rnngrad.numdiff.scale import norm, root_mean_square
from rnngrad.numdiff.tableau import EPS
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["direction_question", "entry_question"]

OWN_ROUNDING = 64.0  # eps of the tensor that backward may lose; with 32 times less, 24 of 80,480 right ones failed
OWN_NOISE = 128.0  # times the noise of forward over the length scale, for the same reason
TINIEST = float(np.finfo(np.float64).smallest_subnormal)  # what rounding is at least
ALONG = 32.0  # the same along a direction, for one axis of a tensor: see direction_question
VISIBLE = 1e-6  # below this share of the magnitude over the length scale no dependence can be seen


@dataclass(frozen=True)
class Asked:
    """What a question is made of, line by line, whatever the estimate.

    ``lines`` are those along which it is asked, of a closer look where one is given; ``sizes`` returns, for the
    estimated slopes, what backward's rounding is and what a bar is held against; ``noise`` is what noise
    enters backward with; ``inverse`` one over the length scale; ``along`` the slope along each line of a vector like
    theta.
    """

    point: Point
    lines: Callable[[Closer | None], Lines]
    claimed: Vector
    sizes: Callable[[Vector], tuple[Vector, Vector]]
    noise: Vector
    inverse: Vector
    floor: Vector
    along: Callable[[Vector], Vector]

    def own(self, values: Vector, sigma: float, eps: float) -> Vector:
        """Return what rounding to an eps, of which forward shows the noise sigma, does to a right claim.

        An output that stays the same has no rounding to judge by: it may be log(1 + 1e-30), whose gradient is not 0. It
        is then taken for the difference of numbers of order one.
        """
        unseen = np.where(values == 0, eps * norm(self.point.v), 0.0)
        return self.noise * sigma + self.inverse * unseen

    def question(self, values: Vector, *, exact: bool = False) -> Question:
        """Ask, the slopes having been estimated as ``values``; the complex step (``exact``) hides no small ones."""
        rounding, size = self.sizes(values)
        return Question(
            self.lines(None),
            self.claimed,
            allowed=rounding + self.own(values, self.point.sigma, 0.0 if exact else EPS),
            excused=np.zeros(len(values)),
            size=size,
            floor=self.floor,
            visible=VISIBLE,
            closer=lambda values: self.closer_question(values, self.point.closer),
            closest=lambda values: self.closer_question(values, self.point.closest),
            glance=lambda values: self.closer_question(values, self.point.glance),
        )

    def closer_question(self, values: Vector, closer: Closer) -> Question:
        """Ask again after a closer look.

        What backward was seen to lose in another precision replaces what it might lose, as far as that, or inputs off
        by a rounding error, explain it. All of these together excuse a claim: beyond them it is wrong.
        """
        lost, stirred = (
            np.max([np.zeros(len(values)), *(np.abs(self.along(change)) for change in changes)], axis=0)
            for changes in (closer.lost, closer.stirred)
        )
        might = self.own(values, max(self.point.sigma, closer.unseen), EPS)
        seen = self.own(values, closer.sigma, closer.eps) + np.fmin(lost, might + stirred)
        return replace(
            self.question(values),
            lines=self.lines(closer),
            allowed=self.sizes(values)[0] + seen,
            excused=might + lost + stirred,
        )


def entry_question(point: Point, name: str, some: NDArray[np.intp], claimed: Vector, estimate: Estimate) -> Question:
    """Ask about some entries of one input; claimed is its whole gradient, flat."""
    where = point.parts[name].start + some
    inverse = 1 / point.scale[where]

    def sizes(values: Vector) -> tuple[Vector, Vector]:
        whole = values if len(some) == len(claimed) else claimed
        size = np.fmax(np.abs(values), root_mean_square(whole[np.isfinite(whole)]))
        return own_rounding(size), size

    asked = Asked(
        point,
        lambda closer: point.entries(name, some, closer),
        claimed[some],
        sizes,
        noise=OWN_NOISE * inverse,
        inverse=inverse,
        floor=VISIBLE * point.magnitude * inverse,
        along=lambda change: change[where],
    )
    return asked.question(estimate.value)


def direction_question(
    point: Point, directions: Sequence[Direction], lines: Lines, claimed: Vector, estimate: Estimate, *, exact: bool
) -> Question:
    """Ask about directions, along which there are lines; claimed is the gradient of all inputs, joined.

    The noise of forward enters backward once for each output, and with it a whole row or column of the gradient (in
    dW = da h^T the error of da_i enters row i). So along a direction through a tensor it counts as often as the tensor
    has entries, over its shortest axis.
    """
    runs = {(one.start, one.stop): one for one in directions}
    tensors = {run: tensors_of(point, claimed, one) for run, one in runs.items()}
    rows = [sizes(point, claimed, one, tensors[one.start, one.stop]) for one in directions]
    slopes, rounding, relative, each, largest = np.array(rows).T
    asked = Asked(
        point,
        lambda closer: lines if closer is None else point.directions(directions, claimed, closer),
        slopes,
        lambda _: (own_rounding(rounding), np.abs(slopes)),
        noise=ALONG * each,
        inverse=relative,
        floor=VISIBLE * point.magnitude * largest,
        along=lambda change: np.array([direction.slope(change) for direction in directions]),
    )
    return asked.question(estimate.value, exact=exact)


class Tensor(NamedTuple):
    """A tensor, or what of it a direction goes through: root mean square of its claimed gradient, shortest axis."""

    part: slice
    least: float
    axis: int


def own_rounding(size: Vector) -> Vector:
    """Return what backward may lose to rounding, relative to numbers of some size."""
    return np.asarray(OWN_ROUNDING * (EPS * size + TINIEST))


def tensors_of(point: Point, claimed: Vector, direction: Direction) -> list[Tensor]:
    """Return the tensors that a direction goes through."""
    parts = point.tensors(direction.run)
    return [Tensor(part, root_mean_square(claimed[part]), point.shortest_axis(part)) for part in parts]


def sizes(point: Point, claimed: Vector, direction: Direction, tensors: Sequence[Tensor]) -> tuple[float, ...]:
    """Return the claimed slope along a direction, and what the tensors that it goes through add to its sizes.

    They are the norm of the terms of the slope, none of them counted as less than the root mean square of its tensor
    times its value; the norm of the values in units of the length scales, and the same with every tensor over the root
    of its shortest axis; and the largest of these values.
    """
    rows = []
    for block, values in direction.blocks():
        here = [one for one in tensors if one.part.start < block.stop and block.start < one.part.stop]
        cuts = [max(one.part.start - block.start, 0) for one in here]
        runs = [slice(*ends) for ends in pairwise([*cuts, len(values)])]
        relative = np.abs(values)
        relative /= point.scale[block]
        largest = float(relative.max())
        lengths = np.array([norm(relative[run]) for run in runs])
        each = lengths / np.array([one.axis for one in here]) ** 0.5
        terms = np.abs(claimed[block], out=relative)
        for run, one in zip(runs, here, strict=True):
            np.fmax(terms[run], one.least, out=terms[run])
        terms *= values
        rows.append((float(claimed[block] @ values), norm(terms), norm(lengths), norm(each), largest))
    if len(rows) == 1:
        return rows[0]
    slopes, rounding, whole, every, most = np.array(rows).T
    return slopes.sum(), norm(rounding), norm(whole), norm(every), most.max()
