"""From a pair and a case to a report: contract, estimates, comparison, in that order and never back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rnngrad.case import Case, draw_cotangents, draw_inputs
from rnngrad.check.compare import Setting, compare, influences, size_seen, worst_verdict
from rnngrad.check.contract import (
    Arrays,
    call,
    checked_gradient,
    checked_inputs,
    checked_outputs,
    differentiated,
)
from rnngrad.check.forward import FlatForward
from rnngrad.check.replay import replay
from rnngrad.errors import InvalidPair
from rnngrad.numdiff.gradient import climb_all, length_scale
from rnngrad.numdiff.noise import measure_noise
from rnngrad.numdiff.sample import entry_lines
from rnngrad.pair import Pair
from rnngrad.result import Estimate, Finding, GradientResult, Report, Verdict
from rnngrad.spec import bind
from rnngrad.tree import pack

__all__ = ["check"]

__tracebackhide__ = True

METHOD = "central differences, entry by entry"


def check(pair: Pair, given: Case | Mapping[str, Any], *, cotangents: Mapping[str, Any] | None = None) -> Report:
    """Check every gradient of a pair at one point and report what was found.

    given: a Case, or the input arrays by name, nested as forward takes them or flat.
    cotangents: the upstream gradient of each output, of its shape; drawn from the case's seed by default.

    Forward and backward run in float64. Raises InvalidPair where the pair or the arrays cannot be checked at all.
    """
    if not isinstance(pair, Pair):
        raise InvalidPair(f"check takes a pair, built by rg.pair or rg.Pair; got {pair!r}")
    case = given if isinstance(given, Case) else None
    inputs, sizes = concrete(pair, given)
    where = repr(case) if case is not None else "the given arrays"
    wrt = differentiated(pair, inputs)
    returned = call("forward", pair, where, pair.forward, copies(inputs))
    outputs = checked_outputs(pair, returned, where)
    upstream = checked_cotangents(pair, outputs, cotangents, case.seed if case else 0, len(inputs))
    claims = call("backward", pair, where, pair.backward, copies(upstream), returned[1])
    if not isinstance(claims, Mapping):
        raise InvalidPair(f"backward of {pair.name} returned a {type(claims).__name__}, expected a dict of gradients")
    settings, flat = settings_of(pair, inputs, outputs, upstream, wrt)
    gradients, notes = judged(pair, settings, claims, where)
    extra = [str(key) for key in claims if key not in inputs]
    if extra:
        notes.append(f"backward also returned {', '.join(extra)}, which names no input; not judged")
    if flat.trouble:
        notes.append(f"near this point {flat.trouble}")
    verdict = worst_verdict([gradient.verdict for gradient in gradients])
    return Report(
        pair=str(pair.name),
        case=repr(case) if case is not None else None,
        sizes=dict(sizes),
        verdict=verdict,
        lead=next((gradient.name for gradient in gradients if gradient.verdict is verdict), None),
        gradients=tuple(gradients),
        evaluations=flat.evaluations + 1,
        method=METHOD,
        replay=replay(pair, case),
        notes=tuple(notes),
    )


def concrete(pair: Pair, given: Case | Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Return the input arrays of a case, or the given ones held to their shapes; and the sizes of the dims."""
    if not isinstance(given, Case):
        inputs = checked_inputs(pair, given)
        return inputs, bind(pair.shapes, {name: inputs[name].shape for name in pair.shapes})
    if not pair.shapes:
        raise InvalidPair(
            f"{pair.name} declares no inputs, so no case can be drawn; pass arrays, or inputs= to the pair"
        )
    return dict(draw_inputs(pair.shapes, given)), given.dims


def copies(arrays: Arrays) -> Arrays:
    """Return arrays that the callee may change as it likes."""
    return {name: array.copy() for name, array in arrays.items()}


def checked_cotangents(
    pair: Pair, outputs: Arrays, given: Mapping[str, Any] | None, seed: int, first_stream: int
) -> Arrays:
    """Return the cotangent of every output: drawn, or the given ones held to the outputs' shapes."""
    shapes = {name: array.shape for name, array in outputs.items()}
    if given is None:
        return dict(draw_cotangents(shapes, seed, first_stream))
    arrays = {name: np.asarray(value, dtype=np.float64) for name, value in given.items()}
    actual = {name: array.shape for name, array in arrays.items()}
    if actual != shapes:
        raise InvalidPair(f"the cotangents of {pair.name} have shapes {actual}, expected {shapes}")
    return {name: arrays[name] for name in shapes}


def settings_of(
    pair: Pair, inputs: Arrays, outputs: Arrays, upstream: Arrays, wrt: list[str]
) -> tuple[list[Setting], FlatForward]:
    """Set up the comparison of every differentiated input: its lines through the point, and the measured noise."""
    shapes = {name: array.shape for name, array in outputs.items()}
    flat = FlatForward(pair, inputs, wrt, shapes)
    theta = pack([inputs[name] for name in wrt])
    v, f0 = pack([upstream[name] for name in shapes]), pack([outputs[name] for name in shapes])
    scale = np.concatenate([length_scale(inputs[name].ravel()) for name in wrt])
    sigma = measure_noise(flat, theta, scale, v, f0).sigma if theta.size else 0.0
    magnitude = float(np.abs(v) @ np.abs(f0))
    settings = []
    start = 0
    for name in wrt:
        entries = np.arange(start, start + inputs[name].size)
        start += len(entries)
        lines = entry_lines(flat, theta, v, f0, entries, scale[entries], np.zeros(len(entries), np.intp))
        settings.append(Setting(name, inputs[name].shape, lines, sigma, magnitude))
    return settings, flat


def judged(
    pair: Pair, settings: list[Setting], claims: Mapping[str, Any], where: str
) -> tuple[list[GradientResult], list[str]]:
    """Judge every claimed gradient; return the results, and remarks on gradients that are not there."""
    claimed = {s.name: checked_gradient(pair, s.name, claims[s.name], s.shape) for s in settings if s.name in claims}
    estimates = {s.name: climb_all(s.lines, s.sigma) for s in settings if not isinstance(claimed.get(s.name), Finding)}
    visible = max([size_seen(s, estimates[s.name]) for s in settings if s.name in estimates], default=0.0)
    results, notes = [], []
    for setting in settings:
        claim = claimed.get(setting.name)
        if claim is None:
            notes.append(missing(pair, setting, estimates[setting.name], claims, where))
        elif isinstance(claim, Finding):
            results.append(GradientResult(setting.name, Verdict.FAIL, setting.shape, (claim,)))
        else:
            seen = replace(setting, magnitude=max(setting.magnitude, visible))
            results.append(compare(seen, claim.ravel(), estimates[setting.name]))
    return results, notes


def missing(pair: Pair, setting: Setting, estimate: Estimate, claims: Mapping[str, Any], where: str) -> str:
    """Return the remark that no gradient was returned where none is needed; raise InvalidPair where one is."""
    key = pair.claim(setting.name)
    if influences(setting, estimate):
        raise InvalidPair(
            f"backward of {pair.name} returned no gradient for {setting.name}: expected the key {key!r}, got "
            f"{[str(pair.claim(name)) for name in claims]}\n    return it, map its key with gradients=, or leave "
            f"{setting.name} out of wrt\n    with {where}"
        )
    return f"no gradient was returned for {setting.name} ({key}); the outputs do not depend on it here"
