"""One of two sides at a point: what it computes there, and what it loses to rounding, measured where asked for."""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import FLOATING, Arrays
from rnngrad.check.extended import EXTENDED, FINER
from rnngrad.check.point import Point
from rnngrad.check.prepare import prepared
from rnngrad.check.protocol.stir import stirred
from rnngrad.errors import InvalidPair
from rnngrad.numdiff.scale import norm
from rnngrad.numdiff.tableau import EPS
from rnngrad.pair import Pair
from rnngrad.regress.run import Run, run

__all__ = ["Side", "tensors_of"]

NOISY = 2.0**20  # times the noise of double precision; that of single is 2^29, and part of it may be the rest
TRIES = 3  # how often inputs and cotangents are rounded anew; the same number as in `check.extended`


def tensors_of(found: Run) -> Arrays:
    """Return every tensor of a run: outputs as ``output NAME``, gradients by the name of their input."""
    return {f"output {name}": array for name, array in found.outputs.items()} | found.gradients


@dataclass(frozen=True)
class Side:
    """A pair at inputs and cotangents; ``found`` is what it computed there."""

    pair: Pair
    inputs: Arrays
    upstream: Arrays
    found: Run

    @cached_property
    def tensors(self) -> Arrays:
        """Return every tensor that was computed."""
        return tensors_of(self.found)

    def moved(self, eps: float) -> dict[str, NDArray[Any]]:
        """Return how far each entry moves, at most, when inputs and cotangents are off by a rounding error."""
        places = [(stirred(self.inputs, eps, turn), stirred(self.upstream, eps, turn + TRIES)) for turn in range(TRIES)]
        return self.furthest([run(self.pair, *place) for place in places])

    @cached_property
    def moved_by_cache(self) -> dict[str, NDArray[Any]] | None:
        """Return how far each entry moves when what forward hands to backward is off by a rounding error.

        None where that cannot be seen.
        """
        runs = [
            run(self.pair, self.inputs, self.upstream, partial(stirred, relative=EPS, turn=turn))
            for turn in range(TRIES)
        ]
        return None if any(one.raised for one in runs) else self.furthest(runs)

    def furthest(self, runs: list[Run]) -> dict[str, NDArray[Any]]:
        """Return how far from each entry it is, at most, in other runs."""
        largest = {name: np.zeros(array.shape) for name, array in self.tensors.items()}
        for found in runs:
            for name, array in tensors_of(found).items():
                if name in largest and array.shape == largest[name].shape:
                    largest[name] = np.fmax(largest[name], apart(array, self.tensors[name]))
        return largest

    @cached_property
    def extended(self) -> Arrays:
        """Return the tensors as they come out in extended precision; those that do not are left out."""
        if FINER == 1:  # pragma: no cover  (machines whose long double is double)
            return {}
        wide = (EXTENDED, np.result_type(EXTENDED, np.complex64))
        try:
            found = run(self.pair, widened(self.inputs), widened(self.upstream))
        except InvalidPair:
            return {}
        return {name: array for name, array in tensors_of(found).items() if array.dtype in wide}

    def lost(self, name: str) -> NDArray[Any]:
        """Return what a tensor loses in double precision, as far as extended precision tells."""
        here = self.tensors[name]
        wide = self.extended.get(name)
        return np.zeros(here.shape) if wide is None or wide.shape != here.shape else apart(here, wide)

    @cached_property
    def point(self) -> Point | None:
        """Return the point for numerical derivatives; None where there can be none."""
        try:
            cotangents: Arrays = {
                name: array.astype(FLOATING[array.dtype.kind]) for name, array in self.upstream.items()
            }
            return prepared(self.pair, self.inputs, cotangents=cotangents).point
        except InvalidPair:
            return None

    def noise(self, name: str, *, hidden: bool) -> NDArray[Any]:
        """Return the noise of <v, f> over the length scale of each entry of a gradient; 0 for an output.

        Where it may be ``hidden``, outputs that do not change all around, it is taken for that of numbers of order one.
        """
        point = self.point
        if point is None or name not in point.parts or not self.tensors[name].size:
            return np.zeros(self.tensors[name].shape)
        part = point.parts[name]
        sigma = max(point.sigma, EPS * norm(point.v)) if hidden else point.sigma
        rows = np.asarray(sigma / point.lengths(part)[:])
        width = point.width(name)
        return np.asarray(rows.reshape(-1, width).max(axis=1).reshape(point.shape(name)))


def coarse(side: Side) -> bool:
    """Tell whether forward is as noisy as if it computed in less than double precision, or nothing is known of that."""
    return side.point is None or side.point.relative_noise > NOISY


def widened(arrays: Arrays) -> Arrays:
    """Return floating-point arrays in extended precision."""
    return {
        name: array.astype(np.result_type(array.dtype, EXTENDED)) if array.dtype.kind in FLOATING else array
        for name, array in arrays.items()
    }


def apart(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return how far two arrays are apart, entry by entry; 0 where that is not finite."""
    with np.errstate(all="ignore"):
        distance = np.abs(left - right).astype(np.float64)
    return np.where(np.isfinite(distance), distance, 0.0)
