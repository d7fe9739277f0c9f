"""The same code in single or half precision, held against its own run in double precision.

Numerical derivatives are taken in float64 whatever the dtype of the arrays: in float32 they would see 1e-5 at best, and
a floor as blunt as that hides real errors. So a narrower backward pass is checked in two steps: its float64 run against
the numbers, and then the run in its own dtype against the float64 run, in units of its own rounding.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import LIMIT
from rnngrad.check.contract import FLOATING, Arrays, at, call, checked_gradient, checked_outputs
from rnngrad.check.point import Point
from rnngrad.check.question import OWN_NOISE, OWN_ROUNDING
from rnngrad.check.stochastic import RUNS, Dress, changed, dressed, roundings, undressed
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
RANDOM_RUNS = 1 + RUNS  # forward passes where a gradient is about to be accused
BLANK = 0.5  # of an entry: where rounding moves so much of it no digit is left, and how far it is off means nothing
SAME = 1e-3  # of the largest entry: a narrow run is the same with other arrays, but for the order of sums


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
    found: dict[str, Finding] = {}
    doubtful: dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = {}
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
            underflow = float(np.finfo(expected).smallest_subnormal)
            allowed = LIMIT * (OWN_ROUNDING * (eps * size + underflow) + noise + spread[name])
            if (np.abs(narrow - wide) > allowed).any():
                doubtful[name] = narrow, wide, allowed
    return found | confirmed(pair, point, own, upstream, doubtful)


def confirmed(
    pair: Pair,
    point: Point,
    own: Arrays,
    upstream: Arrays,
    doubtful: Mapping[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
) -> dict[str, Finding]:
    """Return the findings for gradients beyond what is allowed: those that rounding on the way does not explain.

    What inputs off by a rounding error do to a gradient is not all: where it does not depend on them, since it is all
    cancellation, the rounding of what is computed from them still shows in it.
    """
    if not doubtful:
        return {}
    if point.forward.left + NARROW_RUNS < RANDOM_RUNS:  # those were set aside already
        said = "beyond its rounding in a narrow dtype, as far as that is known, and the budget is spent"
        return {name: Finding(Verdict.INCONCLUSIVE, "budget", name, f"{name}: {said}") for name in doubtful}
    point.forward.evaluations += RANDOM_RUNS
    lost = rounded_at_random(pair, own, upstream, {name: narrow for name, (narrow, _, _) in doubtful.items()})
    found = {}
    for name, (narrow, wide, allowed) in doubtful.items():
        blank = (lost[name] > 0) & (lost[name] >= BLANK * np.abs(narrow))
        allowed = allowed + np.where(blank, np.inf, LIMIT * lost[name])
        if (np.abs(narrow - wide) > allowed).any():
            found[name] = off(name, narrow, wide, allowed, own[name].dtype.name)
    return found


def rounded_at_random(
    pair: Pair, inputs: Arrays, upstream: Arrays, claims: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return by how much gradients move where every operation rounds at random.

    Nothing is told of a pair that does not take such arrays, or says something else with them.
    """
    lost = {name: np.zeros(claim.shape) for name, claim in claims.items()}
    for turn, dress in enumerate([dressed(None), *roundings()]):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                _, raw = run(pair, inputs, upstream, "arrays that round at random", dress)
                moved = {name: np.abs(np.asarray(raw[name]) - claim) for name, claim in claims.items()}
            except (InvalidPair, KeyError, TypeError, ValueError):
                if turn == 0:
                    return lost
                continue
        if turn == 0 and not all((moved[name] <= SAME * np.abs(claim).max()).all() for name, claim in claims.items()):
            return lost
        lost = {name: np.fmax(lost[name], np.nan_to_num(moved[name], nan=np.inf, posinf=np.inf)) for name in lost}
    return lost


def off(name: str, narrow: NDArray[Any], wide: NDArray[Any], allowed: NDArray[Any], dtype: str) -> Finding:
    """Return the finding for the entry that is furthest beyond its rounding."""
    worst = np.unravel_index(int(np.argmax(np.abs(narrow - wide) / allowed)), wide.shape)
    index = tuple(int(i) for i in worst)
    values = f"backward {narrow[worst]:.6g} in {dtype}, {wide[worst]:.6g} in float64"
    message = f"{at(name, index)}: {values}; rounding explains {allowed[worst]:.0e}"
    return Finding(Verdict.FAIL, "precision", name, message)


def run(
    pair: Pair, inputs: Arrays, upstream: Arrays, where: str, dress: Dress = undressed
) -> tuple[Arrays, Mapping[str, Any]]:
    """Run forward and backward on copies, the cotangents in the dtypes of the outputs; return outputs and gradients."""
    returned = call("forward", pair, where, pair.forward, {name: dress(array.copy()) for name, array in inputs.items()})
    checked_outputs(pair, returned, where)
    outputs = {name: np.asarray(value) for name, value in returned[0].items()}
    cotangents = {name: dress(array.astype(outputs[name].dtype)) for name, array in upstream.items()}
    cache = returned[1] if dress is undressed else changed(returned[1], dress)
    raw = call("backward", pair, where, pair.backward, cotangents, cache)
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
