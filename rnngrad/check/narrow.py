"""The same code in single or half precision, held against its own run in double precision.

Numerical derivatives are taken in float64 whatever the dtype of the arrays: in float32 they would see 1e-5 at best, and
a floor as blunt as that hides real errors. So a narrower backward pass is checked in two steps: its float64 run against
the numbers, and then the run in its own dtype against the float64 run, in units of its own rounding.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import LIMIT
from rnngrad.check.contract import FLOATING, Arrays, at, call, checked_gradient, checked_outputs
from rnngrad.check.point import Point
from rnngrad.check.question import OWN_NOISE, OWN_ROUNDING
from rnngrad.errors import InvalidPair
from rnngrad.numdiff.scale import norm, root_mean_square
from rnngrad.numdiff.tableau import EPS
from rnngrad.pair import Pair
from rnngrad.result import Finding, Verdict
from rnngrad.tree import pack

__all__ = ["NARROW_RUNS", "narrow_findings", "narrower"]

__tracebackhide__ = True

TRIES = 3  # how often the inputs are rounded anew to see what their rounding does to the gradient
NARROW_RUNS = 1 + TRIES  # forward passes


def narrower(pair: Pair, given: Mapping[str, Any]) -> dict[str, np.dtype[Any]]:
    """Return the dtypes of given inputs that are narrower than float64."""
    dtypes = {name: np.asarray(value).dtype for name, value in pair.arrays(given).items()}
    return {name: dtype for name, dtype in dtypes.items() if dtype.kind in FLOATING and dtype != FLOATING[dtype.kind]}


def narrow_findings(
    pair: Pair, point: Point, upstream: Arrays, claims: Mapping[str, NDArray[Any]], dtypes: Mapping[str, np.dtype[Any]]
) -> dict[str, Finding]:
    """Return what is wrong with the gradients of a run in the given dtypes; claims are those of the float64 run."""
    where = "the given arrays in " + ", ".join(sorted({dtype.name for dtype in dtypes.values()}))
    inputs = point.forward.inputs
    own = {name: array.astype(dtypes.get(name, array.dtype)) for name, array in inputs.items()}
    point.forward.evaluations += NARROW_RUNS
    outputs, raw = run(pair, own, upstream, where)
    eps = max(float(np.finfo(dtype).eps) for dtype in dtypes.values())
    spread = rounding_spread(pair, inputs, upstream, claims, eps)
    lost = norm(point.v * (pack(list(outputs.values())) - point.f0))  # what forward itself lost
    sigma = max(point.sigma * eps / EPS, lost)
    kept = len(set(dtypes.values())) == 1 and set(dtypes) >= set(point.parts)  # of mixed dtypes nothing can be said
    found = {}
    for name, wide in claims.items():
        narrow = checked_gradient(pair, name, raw.get(name), wide)
        expected = dtypes.get(name, wide.dtype)
        if isinstance(narrow, Finding):
            found[name] = narrow
        elif kept and "dtype" not in pair.waive and np.asarray(raw[name]).dtype != expected:
            said = f"{name}: {pair.claim(name)} has dtype {np.asarray(raw[name]).dtype}, expected {expected}"
            found[name] = Finding(Verdict.FAIL, "dtype", name, f"{said}, the dtype of {name}", breach=True)
        else:
            size = np.fmax(np.abs(wide), root_mean_square(wide.ravel()))
            lengths = np.reshape(point.scale[point.parts[name]], (*wide.shape, point.width(name))).min(axis=-1)
            noise = OWN_NOISE * sigma / lengths
            allowed = LIMIT * (OWN_ROUNDING * eps * size + noise + spread[name])
            wrong = np.abs(narrow - wide) > allowed
            if wrong.any():
                found[name] = off(name, narrow, wide, allowed, expected)
    return found


def off(name: str, narrow: NDArray[Any], wide: NDArray[Any], allowed: NDArray[Any], dtype: np.dtype[Any]) -> Finding:
    """Return the finding for the entry that is furthest beyond its rounding."""
    worst = np.unravel_index(int(np.argmax(np.abs(narrow - wide) / allowed)), wide.shape)
    index = tuple(int(i) for i in worst)
    values = f"backward {narrow[worst]:.6g} in {dtype.name}, {wide[worst]:.6g} in float64"
    message = f"{at(name, index)}: {values}; rounding explains {allowed[worst]:.0e}"
    return Finding(Verdict.FAIL, "precision", name, message)


def run(pair: Pair, inputs: Arrays, upstream: Arrays, where: str) -> tuple[Arrays, Mapping[str, Any]]:
    """Run forward and backward on copies, the cotangents in the dtypes of the outputs; return outputs and gradients."""
    returned = call("forward", pair, where, pair.forward, {name: array.copy() for name, array in inputs.items()})
    checked_outputs(pair, returned, where)
    outputs = {name: np.asarray(value) for name, value in returned[0].items()}
    cotangents = {name: array.astype(outputs[name].dtype) for name, array in upstream.items()}
    raw = call("backward", pair, where, pair.backward, cotangents, returned[1])
    if not isinstance(raw, Mapping):
        raise InvalidPair(f"backward of {pair.name} returned a {type(raw).__name__}, expected a dict of gradients")
    return outputs, raw


def rounding_spread(
    pair: Pair, inputs: Arrays, upstream: Arrays, claims: Mapping[str, NDArray[Any]], eps: float
) -> dict[str, NDArray[Any]]:
    """Return by how much the float64 gradients move when inputs and cotangents are rounded to an eps."""
    rng = np.random.default_rng(0)
    spread = {name: np.zeros(claim.shape) for name, claim in claims.items()}

    def rounded(arrays: Arrays) -> Arrays:
        return {
            name: array * (1 + eps * rng.uniform(-1, 1, array.shape)) if array.dtype.kind in FLOATING else array
            for name, array in arrays.items()
        }

    for _ in range(TRIES):
        _, raw = run(pair, rounded(inputs), rounded(upstream), "the given arrays, rounded")
        for name, claim in claims.items():
            moved = np.abs(np.asarray(raw[name], dtype=claim.dtype) - claim)
            spread[name] = np.fmax(spread[name], np.where(np.isfinite(moved), moved, 0.0))
    return spread
