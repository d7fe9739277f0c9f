"""The same pair once more, in extended precision and at inputs rounded anew: asked only where something is in doubt.

Rounding can hide from every difference. 1 + tanh(-30) is one and the same number all around, far from exact, and its
derivative comes out as a multiple of 1e-16; forward does not change there and backward is not 0, yet both are right.
In numpy's long double, 80 bits wide on most machines, the same code keeps 11 more bits. Run there, forward shows slopes
that were hidden, and backward shows what it lost in double precision. Code that takes no long double, and every machine
that has none, is run in single precision instead, whose loss is scaled; and in any case at inputs that are off by a
rounding error, which shows how ill-conditioned the gradient is.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.forward import FlatForward
from rnngrad.check.stochastic import RUNS, Dress, changed, dressed, roundings, undressed
from rnngrad.errors import Exhausted
from rnngrad.numdiff.noise import measure_noise
from rnngrad.numdiff.scale import Lengths, norm
from rnngrad.numdiff.tableau import EPS
from rnngrad.tree import Vector, components, pack, unpack

__all__ = ["FEW", "Closer", "closer_look", "closest_look"]

EXTENDED = np.longdouble
FINER = float(np.finfo(EXTENDED).eps) / EPS  # 2^-11 on x86, 1 where long double is double
COARSER = float(np.finfo(np.float32).eps) / EPS
TRIES = 3  # how often the inputs are rounded anew; the largest of three changes is rarely less than half of the typical
FEW = 3  # runs that tell what forward loses in any precision, and what backward does: an order of magnitude
SAME = 1e3  # eps of the largest entry by which a gradient may change from call to call: memory layout changes sums


@dataclass(frozen=True)
class Closer:
    """What a closer look at a point found.

    ``f`` is forward in extended precision, ``theta`` and ``f0`` the point and its value in it, ``sigma`` the noise of
    <v, f>, ``eps`` the precision; all as they were where forward does not run so. ``lost`` and ``stirred`` hold changes
    of the whole gradient: what backward loses to rounding, told by another precision, and what it loses when inputs and
    cotangents are off by a rounding error. ``unseen`` is the noise of <v, f> that random rounding shows, 0 before that
    is asked.
    """

    f: Callable[[Any], NDArray[Any]]
    theta: NDArray[Any]
    f0: NDArray[Any]
    sigma: float
    eps: float
    lost: list[Vector]
    stirred: list[Vector]
    unseen: float = 0.0


def closer_look(forward: FlatForward, theta: Vector, v: Vector, f0: Vector, scale: Lengths, sigma: float) -> Closer:
    """Look at a point again in extended precision, sigma being the noise of <v, f> in double precision."""

    def f(point: NDArray[Any]) -> NDArray[Any]:
        try:
            return forward.raw(point.astype(EXTENDED, copy=False))
        except (Exhausted, MemoryError):
            raise
        except Exception:
            return np.full(forward.size, np.nan, EXTENDED)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        lost, stirred = losses(forward, theta, v)
        wide = f(theta)
        if FINER == 1 or wide.dtype != EXTENDED or not np.isfinite(wide).all():
            return Closer(forward, theta, f0, sigma, EPS, lost, stirred)
        noise = measure_noise(lambda point: (f(point) - wide).astype(np.float64), theta, scale, v, 0 * f0).sigma
        hidden = norm(v * (wide - f0).astype(np.float64))
    return Closer(
        f, theta.astype(EXTENDED), wide, max(noise, FINER * sigma, FINER * hidden), FINER * EPS, lost, stirred
    )


def losses(forward: FlatForward, theta: Vector, v: Vector) -> tuple[list[Vector], list[Vector]]:
    """Return changes of the gradient in another precision, scaled to double precision, and at stirred inputs.

    Of a backward pass that says something else at every call nothing is told.
    """
    rng = np.random.default_rng(0)
    first = gradient_at(forward, theta, v)
    wide = gradient_at(forward, theta.astype(EXTENDED), v) if FINER < 1 else None
    narrow = gradient_at(forward, theta.astype(np.float32), v) if wide is None else None
    rounded = [gradient_at(forward, stirred(theta, rng), stirred(v, rng)) for _ in range(TRIES)]
    again = gradient_at(forward, theta, v)
    if first is None or not same(first, again):
        return [], []
    lost = [] if wide is None else [difference(first, wide)]
    lost += [] if narrow is None else [difference(first, narrow) / COARSER]
    return lost, [difference(first, other) for other in rounded if other is not None]


def closest_look(closer: Closer, forward: FlatForward, theta: Vector, v: Vector, *, runs: int = RUNS) -> Closer:
    """Add to a closer look what forward and backward lose where every operation rounds at random.

    Where a gradient hardly depends on the last bits of the inputs, nor runs in another precision, only this shows that
    it is all cancellation: digamma(x) - digamma(x + 1e-9). So it is with outputs: with x much larger than y,
    x - log(exp(x) + exp(y)) is 0 all around, in any precision. Nothing is added for a pair that does not take such
    arrays, or says something else with them.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        first = gradient_at(forward, theta, v)
        if first is None or not same(first, gradient_at(forward, theta, v, dressed(None))):
            return closer
        rounded = [gradient_at(forward, theta, v, dress) for dress in roundings()[:runs]]
        outputs = [outputs_at(forward, theta, dress) for dress in (undressed, *roundings(absorbed=True)[:FEW])]
        unseen = max(norm(v * difference(outputs[0], f)) for f in outputs)
    moved = [difference(first, other) for other in rounded if other is not None]
    return replace(closer, stirred=closer.stirred + moved, unseen=unseen)


def same(first: NDArray[Any], again: NDArray[Any] | None) -> bool:
    """Tell whether a gradient came out once more, but for the order of sums."""
    return again is not None and bool(np.abs(first - again).max() <= SAME * EPS * np.abs(first).max())


def stirred(values: Vector, rng: np.random.Generator) -> Vector:
    """Return numbers that are off by a rounding error."""
    return np.asarray(values * (1 + EPS * rng.uniform(-1, 1, len(values))))


def difference(one: NDArray[Any], other: NDArray[Any]) -> Vector:
    """Return the difference of two gradients, 0 where it is not finite."""
    apart = (other - one).astype(np.float64)
    return np.where(np.isfinite(apart), apart, 0.0)


def gradient_at(forward: FlatForward, theta: NDArray[Any], v: Vector, dress: Dress = undressed) -> NDArray[Any] | None:
    """Return the gradient that backward claims at a point, joined like theta and in its precision; None if it fails.

    What is not returned, or has another shape than its input, is 0.
    """
    try:
        arrays, _, cache = passed(forward, theta, dress)
        cotangents = [dress(part) for part in unpack(v.astype(theta.dtype), list(forward.outputs.values()))]
        cache = cache if dress is undressed else changed(cache, dress)
        raw = forward.pair.backward(dict(zip(forward.outputs, cotangents, strict=True)), cache)
        parts = []
        for name in forward.wrt:
            like = arrays[name]
            claim = np.asarray(raw[name]) if name in raw else np.zeros_like(like)
            parts.append(components((claim if claim.shape == like.shape else 0 * like).astype(like.dtype)))
        return np.concatenate(parts)
    except (Exhausted, MemoryError):
        raise
    except Exception:
        return None


def outputs_at(forward: FlatForward, theta: Vector, dress: Dress) -> Vector:
    """Return the outputs at a point, nan where forward fails."""
    try:
        return pack([np.asarray(passed(forward, theta, dress)[1][name]) for name in forward.outputs])
    except (Exhausted, MemoryError):
        raise
    except Exception:
        return np.full(forward.size, np.nan)


def passed(forward: FlatForward, theta: NDArray[Any], dress: Dress) -> tuple[dict[str, NDArray[Any]], Any, Any]:
    """Return the arrays that a forward pass was given, its outputs and its cache."""
    if forward.left < 1:
        raise Exhausted
    forward.evaluations += 1
    arrays = {name: dress(array.copy()) for name, array in forward.arrays(theta).items()}
    return arrays, *forward.pair.forward(dict(arrays))
