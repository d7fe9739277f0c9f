"""What rounding allows two tensors to be apart.

Nothing is guessed: both sides are run again at inputs and cotangents that are off by a rounding error, and what each
entry moves then is what its rounding amounts to. What is still beyond that is looked at once more in extended
precision. There a difference that is rounding shrinks with the precision, by 2^11, and one that is not stays. Beside
what was seen, a side may lose what the noise of forward brings into it: 1 - s*s with s close to 1 is all cancellation,
and does not move with its inputs. It is no excuse where the difference comes out in extended precision as in double
and neither side rounds to double, or to less, inside.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.tableau import EPS
from rnngrad.regress.response import follows
from rnngrad.regress.side import Side, apart, coarse

__all__ = ["FEW", "beyond_rounding", "precision_of", "ulp_of"]

FEW = 4.0  # ulp of the largest entry: what two ways to round one and the same sum are apart
FACTOR = 16.0  # of what an entry was seen to move; benchmarks/regress.py counts how far reordered passes go
NOISE = 32.0  # times the noise of <v, f> over the length scale, where extended precision has been asked already
HIDDEN = 128.0  # and where it has not; the same as in `check.question`
SHRUNK = 1 / 16  # of a difference is left in extended precision where it is rounding: 2^-11 of its size, with room
CLEAR = 16.0  # times what is allowed without noise: a difference that noise is no excuse for is far beyond it
NARROW = (np.float16, np.float32)


def precision_of(*arrays: NDArray[Any]) -> float:
    """Return the eps with which tensors were computed: all their numbers may be those of a narrower dtype."""
    for dtype in NARROW:
        with np.errstate(all="ignore"):
            if all(np.array_equal(array, narrowed(array, dtype), equal_nan=True) for array in arrays):
                return float(np.finfo(dtype).eps)
    return EPS


def narrowed(array: NDArray[Any], dtype: type) -> NDArray[Any]:
    """Return an array with its numbers rounded to a dtype, real and imaginary parts alike."""
    if array.dtype.kind != "c":
        return array.astype(dtype)
    return np.asarray(array.real.astype(dtype) + 1j * array.imag.astype(dtype).astype(np.float64))


def ulp_of(arrays: Sequence[NDArray[Any]], eps: float) -> float:
    """Return the unit of rounding of tensors: an ulp of their largest finite entry."""
    sizes = [np.abs(array[np.isfinite(array)]).max(initial=0.0) for array in arrays]
    largest = float(max(sizes))
    return max(float(np.spacing(largest)) * eps / EPS, float(np.finfo(np.float64).smallest_subnormal))


def beyond_rounding(sides: Sequence[Side], name: str, distance: NDArray[Any], moved: NDArray[Any], unit: float) -> Any:
    """Return what rounding allows each entry of a tensor to be off; look closer where that does not seem enough.

    ``sides`` are those that can be run, one where the other is a recording; ``moved`` is what they were seen to move,
    ``unit`` an ulp.
    """
    allowed = FEW * unit + FACTOR * moved
    if (distance <= allowed).all():
        return allowed
    wide = [side.extended[name] for side in sides if name in side.extended]
    both = len(wide) == 2 and wide[0].shape == wide[1].shape == distance.shape
    if both:
        allowed = np.where(apart(wide[0], wide[1]) <= SHRUNK * distance, np.fmax(allowed, distance), allowed)
    allowed = allowed + sum(side.lost(name) for side in sides)
    if (distance <= allowed).all():
        return allowed
    noise = (NOISE if both else HIDDEN) * np.max([side.noise(name, hidden=not both) for side in sides], axis=0)
    if both and (distance <= allowed + noise).all() and not any(coarse(side) for side in sides):
        by_cache = [moved[name] for moved in (side.moved_by_cache for side in sides) if moved is not None]
        if len(by_cache) == len(sides):
            seen = FACTOR * np.max(by_cache, axis=0)
            clear = distance > CLEAR * (allowed + seen)
            noise = np.where(persists(sides, name, clear), np.fmin(seen, noise), noise)
    return np.asarray(allowed + noise)


def persists(sides: Sequence[Side], name: str, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell, of the entries that are asked about, where the difference of two sides is the same in extended precision.

    It may be so too where both round to double precision inside: of these nothing is told.
    """
    double = np.subtract(*(side.tensors[name] for side in sides))
    wide = np.subtract(*(side.extended[name] for side in sides))
    persisting = np.asarray(asked & (np.abs(wide - double) <= SHRUNK * np.abs(double)))
    for side in sides:
        if persisting.any():
            persisting &= follows(side, name)
    return persisting
