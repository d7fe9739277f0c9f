"""A pair at one point: phi(theta) = <v, f(theta)>, its noise, and the lines through it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.extended import FEW, Closer, closer_look, closest_look
from rnngrad.check.forward import FlatForward
from rnngrad.numdiff.directional import Direction, direction_lines
from rnngrad.numdiff.noise import FLOOR, lost_in_single, measure_noise
from rnngrad.numdiff.sample import Lines, entry_lines
from rnngrad.numdiff.scale import Lengths, norm, part_of, scale_of
from rnngrad.numdiff.tableau import EPS
from rnngrad.tree import Vector, components, pack, unpack

__all__ = ["Point", "point_of"]


AMPLE = 100  # forward passes with which the noise is measured on as many lines as it deserves


NOISIEST = 2.0**29  # single precision in units of double; outputs that cancel to nearly 0 would seem noisier


@dataclass(frozen=True)
class Point:
    """Everything that the numerical side knows of one point.

    theta joins the differentiated inputs, ``parts`` says where each of them lies in it; v joins the cotangents and f0
    the outputs. sigma is the noise of phi, ``magnitude`` the size of <|v|, |f|>.
    """

    forward: FlatForward
    theta: Vector
    v: Vector
    f0: Vector
    scale: Lengths
    sigma: float
    magnitude: float
    parts: dict[str, slice]

    @property
    def relative_noise(self) -> float:
        """Return sigma in units of what correctly rounded outputs would have; 1 where the outputs are 0."""
        floor = FLOOR * norm(self.v * np.spacing(np.abs(self.f0)))
        return min(self.sigma / floor, NOISIEST) if self.magnitude and floor else 1.0

    @cached_property
    def closer(self) -> Closer:
        """Return what a closer look at the point finds; it is taken where it is first asked for."""
        return closer_look(self.forward, self.theta, self.v, self.f0, self.scale, self.sigma)

    @cached_property
    def closest(self) -> Closer:
        """Return what is found where every operation rounds at random as well: the last word before an accusation."""
        return closest_look(self.closer, self.forward, self.theta, self.v)

    @cached_property
    def glance(self) -> Closer:
        """Return what the first few such runs find."""
        return closest_look(self.closer, self.forward, self.theta, self.v, runs=FEW)

    def lengths(self, part: slice) -> Lengths:
        """Return the length scales of a part of theta."""
        return part_of(self.scale, part)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of one input."""
        return self.forward.inputs[name].shape

    def width(self, name: str) -> int:
        """Return how many entries of theta an entry of one input is: two where it is complex."""
        return 2 if self.forward.inputs[name].dtype.kind == "c" else 1

    def of(self, name: str, joined: Vector) -> NDArray[Any]:
        """Return what belongs to one input in a vector like theta, as an array like that input; a view."""
        return unpack(joined[self.parts[name]], [self.forward.inputs[name]])[0]

    def shortest_axis(self, part: slice) -> int:
        """Return the shortest axis of the input that a part of theta is; 1 where it is no whole input."""
        shapes = [self.shape(name) for name, whole in self.parts.items() if whole == part]
        return max(1, min(shapes[0], default=1)) if shapes else 1

    def tensors(self, run: slice) -> list[slice]:
        """Return the parts of a run of entries that belong to one input each."""
        cut = [slice(max(part.start, run.start), min(part.stop, run.stop)) for part in self.parts.values()]
        return [part for part in cut if part.start < part.stop]

    def entries(self, name: str, some: NDArray[np.intp], at: Closer | None = None) -> Lines:
        """Return the lines along some entries of one input, numbered within it; of a closer look where one is given."""
        where = some + self.parts[name].start
        at = at or self.plain
        return entry_lines(at.f, at.theta, self.v, at.f0, where, self.scale[where], at.sigma, reuse=self.forward.tidy)

    def directions(self, some: Sequence[Direction], claimed: Vector, at: Closer | None = None) -> Lines:
        """Return the lines along some directions; of a closer look where one is given."""
        at = at or self.plain
        return direction_lines(at.f, at.theta, self.v, at.f0, some, claimed, at.sigma, reuse=self.forward.tidy)

    @property
    def plain(self) -> Closer:
        """Return what is known without a closer look."""
        return Closer(self.forward, self.theta, self.f0, self.sigma, EPS, [], [])


def point_of(forward: FlatForward, upstream: dict[str, Vector], outputs: dict[str, Vector]) -> Point:
    """Join inputs, outputs and cotangents, and measure the noise; the inputs become views of theta."""
    inputs = [forward.inputs[name] for name in forward.wrt]
    theta = pack(inputs)
    views = unpack(theta, inputs)
    del inputs
    forward.inputs.update(zip(forward.wrt, views, strict=True))
    v, f0 = pack(list(upstream.values())), pack(list(outputs.values()))
    sizes = [components(array).size for array in views]
    scale = scale_of(theta, sizes)
    parts = {
        name: slice(end - size, end) for name, size, end in zip(forward.wrt, sizes, accumulate(sizes), strict=True)
    }
    sigma = 0.0
    if theta.size:
        lines = None if forward.left >= AMPLE else 1
        measured = measure_noise(forward, theta, scale, v, f0, lines=lines, reuse=forward.tidy)
        sigma = max(measured.sigma, lost_in_single(forward.raw, theta, v, f0))
    return Point(forward, theta, v, f0, scale, sigma, float(np.abs(v) @ np.abs(f0)), parts)
