"""Stochastic arithmetic: what rounding inside a function does to its results, measured and not assumed.

An array of this kind rounds at random: of the two floating-point numbers beside the exact result of an operation
either may come out (Vignes, "A stochastic arithmetic for reliable scientific computation", Math. Comput. Simul. 35,
1993). A result that is exact stays, so that a tie stays a tie. What is exact is told by the next wider dtype, and where
that loses something too, as of 1 + 1e-30, by what goes in. Where a
function takes no wider one, as most of scipy.special, its result moves by an ulp; and where it is a routine of linear
algebra its inputs do, whose result is exact for inputs off by so much. What a function does with Python's numbers, or
with arrays that it makes of these, rounds as ever, and less is seen.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RUNS", "Dress", "changed", "dressed", "roundings", "undressed"]

Dress = Callable[[NDArray[Any]], NDArray[Any]]
Array = NDArray[Any]
Again = Callable[[Callable[[Array], Array]], Any]  # repeats a call with every array of its arguments changed

WIDER = {
    np.dtype(narrow): np.dtype(wide)
    for narrow, wide in ((np.float16, np.float64), (np.float32, np.float64), (np.float64, np.longdouble))
    if np.finfo(wide).eps < np.finfo(narrow).eps
}
WHOLE = (np.dot, np.inner, np.vdot, np.einsum, np.interp, np.convolve, np.correlate, np.cumsum, np.cumprod)
SMOOTH = (  # whose results are never exact but at 0, 1 and infinity
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log1p,
    np.tanh,
    np.sinh,
    np.cosh,
    np.sin,
    np.cos,
    np.arctan,
    np.arcsinh,
    np.hypot,
    np.logaddexp,
)
PLAIN = ("numpy.linalg", "numpy.fft")  # work on plain arrays inside
RUNS = 12  # of two operations that hide each other in four of ten runs, ten random ones miss one in 10,000 times
SHORT = 2.0**12  # a number of so few bits may bound what a function returns, which then goes no further


def undressed(array: Array) -> Array:
    """Return an array as it is, in ordinary arithmetic."""
    return array


def roundings(*, absorbed: bool = False) -> list[Dress]:
    """Return ways to round, each for a run of its own.

    All results to the other side; all as far off on their own side, since half an ulp either way is the same to an even
    function; and RUNS - 2 at random. The first two miss nothing that a single operation does.
    """
    shares = [(1.0, 0.0), (1.0, 1.0), *[(0.5, 0.3)] * (RUNS - 2)]
    return [dressed(seed, share=share, away=away, absorbed=absorbed) for seed, (share, away) in enumerate(shares)]


def dressed(seed: int | None, *, share: float = 0.5, away: float = 0.3, absorbed: bool = False) -> Dress:
    """Return what turns floating-point arrays into such that round a share of all results to another number.

    Some of those go ``away`` from what is exact, further. With ``absorbed`` a result is not taken for exact where what
    it lost is too small for any dtype; it moves by a whole ulp then, by far more than it lost. Without a seed all round
    as ever.
    """
    coins = None if seed is None else np.random.default_rng(seed)
    kind = type("Stochastic", (Stochastic,), {"coins": coins, "share": share, "away": away, "absorbed": absorbed})
    return lambda array: array.view(kind) if array.dtype.kind in "fc" else array


class Stochastic(np.ndarray[Any, np.dtype[Any]]):
    """An array whose operations round at random, by the ``coins`` of its class; as ever where there are none."""

    coins: np.random.Generator | None
    share: float
    away: float
    absorbed: bool

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Call a ufunc, or a method of one, in ordinary arithmetic, and round what it returns."""
        out = options.pop("out", ())
        options = changed(options, bare)
        inputs = changed(inputs, np.array if out else bare)  # copies, of what is written to
        call = getattr(ufunc, method)
        found = call(*inputs, **options, **({"out": changed(out, bare)} if out else {}))
        if method == "at" or options.get("where", True) is not True:
            return found
        options.pop("dtype", None)
        again = lambda change: call(*changed(inputs, change), **changed(options, change))  # noqa: E731
        rounded = self.anew(found, again, lost=self.absorbed and lost_in_any(ufunc, method, inputs, found, options))
        for target, result in zip(out, rounded if isinstance(rounded, tuple) else (rounded,), strict=bool(out)):
            np.asarray(target)[...] = result
        return rounded if not out else out if isinstance(rounded, tuple) else out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Call another function of numpy, and round what it returns where it has not been rounded on the way."""
        as_whole = function in WHOLE or function.__module__.startswith(PLAIN)
        args, options = (changed(args, bare), changed(options, bare)) if as_whole else (args, options)
        found = function(*args, **options) if as_whole else super().__array_function__(function, types, args, options)
        if any(isinstance(part, Stochastic) for part in parts_of(found)) or not any(map(is_floating, parts_of(found))):
            return found
        again = lambda change: function(*changed(args, change), **changed(options, change))  # noqa: E731
        return self.anew(found, again, stir=True)

    def anew(self, found: Any, again: Again, *, stir: bool = False, lost: Any = False) -> Any:
        """Return what a call has ``found``, rounded at random.

        Where nothing wider tells, its inputs may be stirred; what is ``lost`` is not exact whatever that tells.
        """
        exact = self.wider(found, again) if self.coins else None
        if exact is None and stir and self.coins:
            found = again(partial(stirred, self.coins))
        wide = [None] * len(parts_of(found)) if exact is None else parts_of(exact)
        rounded = [self.rounded(*pair, lost) for pair in zip(parts_of(found), wide, strict=True)]
        if not isinstance(found, tuple):
            return rounded[0]
        return type(found)(*rounded) if hasattr(found, "_fields") else tuple(rounded)

    def wider(self, found: Any, again: Again) -> Any:
        """Return the same in the next wider dtype; None where that is not to be had."""
        dtype = np.result_type(*(part.real for part in parts_of(found) if is_floating(part)), np.float16)
        wide = WIDER.get(dtype)
        if wide is None:
            return None
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                exact = again(lambda array: array.astype(np.result_type(array.dtype, wide)))
            except Exception:
                return None
        return exact if all(part.real.dtype == wide for part in parts_of(exact) if is_floating(part)) else None

    def rounded(self, result: Any, exact: Any, lost: Any) -> Any:
        """Return one result, rounded to one side of what is exact or the other, as an array of this kind."""
        if not is_floating(result):
            return result
        result = np.asarray(result)
        if self.coins is None:
            return result.view(type(self))
        if result.dtype.kind == "c":
            out = np.empty_like(result)
            out.real = self.rounded(result.real, None if exact is None else exact.real, False)
            out.imag = self.rounded(result.imag, None if exact is None else exact.imag, False)
            return out.view(type(self))
        with np.errstate(all="ignore"):
            other = beside(self.coins, result)
            if exact is not None:
                other = np.where((exact == result) & lost, other, self.across(result, np.asarray(exact)))
        here = (self.coins.random(result.shape) >= self.share) | ~np.isfinite(other) | ~np.isfinite(result)
        return np.where(here, result, other).astype(result.dtype).view(type(self))

    def across(self, result: Array, exact: Array) -> Array:
        """Return the number on the other side of what is exact: as far from it as the result, the next one at least.

        Some lie as far off on this side.
        """
        towards = np.where(exact > result, np.inf, -np.inf).astype(result.dtype)
        next_one = np.nextafter(result, towards)
        mirrored = (2 * exact - result).astype(result.dtype)
        other = np.where(np.abs(mirrored - result) > np.abs(next_one - result), mirrored, next_one)
        away = (self.coins.random(result.shape) < self.away) & ~is_short(result)  # type: ignore[union-attr]
        other = np.where(away, result - (other - result), other)
        return np.where(exact == result, result, other)

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return np.asarray(found).view(type(self)) if isinstance(found, np.inexact) else found

    def dot(self, other: Any, out: Any = None) -> Any:
        """Return the product, as numpy's function."""
        return np.dot(self, other, out)

    def cumsum(self, *given: Any, **options: Any) -> Any:
        """Return the sums, as numpy's function."""
        return np.cumsum(self, *given, **options)


def lost_in_any(ufunc: Any, method: str, inputs: Any, found: Any, options: Any) -> Any:
    """Tell where a result is not exact though no dtype has the digits to show it."""
    if not is_floating(found) or found.dtype.kind == "c":
        return False
    with np.errstate(all="ignore"):
        if method == "__call__" and ufunc in (np.add, np.subtract):
            left, right = inputs[0], inputs[1] if ufunc is np.add else -inputs[1]
            share = found - left  # of the right one in the sum; what is left over of both is its error (Knuth's TwoSum)
            return (left - (found - share)) + (right - share) != 0
        if method in ("reduce", "accumulate", "reduceat") and ufunc is np.add and np.size(inputs[0]):
            size, rest = np.abs(inputs[0]), inputs[1:]
            options = {key: value for key, value in options.items() if key in ("axis", "keepdims")}
            largest = getattr(np.maximum, method)(size, *rest, **options)
            smallest = getattr(np.minimum, method)(np.where(size > 0, size, np.inf), *rest, **options)
            return smallest < np.finfo(WIDER.get(found.dtype, found.dtype)).eps * largest
        if method == "__call__" and ufunc in SMOOTH:
            return np.all([np.isfinite(x) & (x != 0) & (x != 1) for x in np.broadcast_arrays(*inputs)], axis=0)
    return False


def is_short(result: Array) -> Array:
    """Tell which numbers have so few bits that they may bound the range of a function."""
    mantissa = np.frexp(result)[0] * SHORT
    return np.asarray(mantissa == np.round(mantissa))


def beside(coins: np.random.Generator, result: Array) -> Array:
    """Return a number an ulp away from each of some; towards zero where it may be the bound of a range."""
    inwards = (coins.random(result.shape) < 0.5) | is_short(result)
    towards = np.where(inwards, 0, np.copysign(np.inf, result))
    return np.asarray(np.nextafter(result, towards.astype(result.dtype)))


def stirred(coins: np.random.Generator, array: Array) -> Array:
    """Return an array whose numbers are off by up to an ulp."""
    off = coins.uniform(-1, 1, array.shape) * np.finfo(array.dtype).eps
    return np.asarray((array * (1 + off)).astype(array.dtype))


def bare(array: Array) -> Array:
    """Return an array in ordinary arithmetic."""
    return array


def changed(given: Any, change: Dress) -> Any:
    """Return nested values with every floating-point array in them changed; all of this kind are plain ones then.

    Indices may be of this kind too, as those of ``x.argsort()`` are: left so, they would call themselves for ever.
    """
    if is_floating(given):
        return change(np.asarray(given))
    if isinstance(given, Stochastic):
        return np.asarray(given)
    if isinstance(given, list | tuple):
        parts = [changed(part, change) for part in given]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)
    return {key: changed(value, change) for key, value in given.items()} if isinstance(given, dict) else given


def is_floating(given: Any) -> bool:
    """Tell whether something is an array, or a numpy number, of a floating-point dtype."""
    return isinstance(given, np.ndarray | np.generic) and given.dtype.kind in "fc"


def parts_of(found: Any) -> Sequence[Any]:
    """Return what a call returned as a sequence."""
    return found if isinstance(found, tuple) else (found,)
