"""From a pair and a case to a report: contract, estimates, comparison, in that order and never back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.case import Case, draw_cotangents, draw_inputs
from rnngrad.check.claims import Claims, claims_of
from rnngrad.check.compare import worst_verdict
from rnngrad.check.contract import (
    Arrays,
    call,
    checked_inputs,
    checked_outputs,
    described,
    differentiated,
    finite_array,
)
from rnngrad.check.diagnose.report import diagnosed
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.forward import FlatForward
from rnngrad.check.narrow import narrow_findings, narrower
from rnngrad.check.point import Point, point_of
from rnngrad.check.replay import replay
from rnngrad.check.sweep import nothing_claimed, sweep, sweep_entries
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.result import GradientResult, Report, Verdict
from rnngrad.spec import bind
from rnngrad.tree import components, unpack

__all__ = ["Examined", "check", "examined"]

__tracebackhide__ = True

REAL = np.empty(0)
EFFORTS = {"auto": sweep, "entries": sweep_entries}
METHODS = {
    ("auto", True): "complex step along directions",
    ("auto", False): "central differences along directions",
    ("entries", False): "central differences, entry by entry",
}


def check(
    pair: Pair,
    given: Case | Mapping[str, Any],
    *,
    cotangents: Mapping[str, Any] | None = None,
    effort: str = "auto",
) -> Report:
    """Check every gradient of a pair at one point and report what was found.

    given: a Case, or the input arrays by name, nested as forward takes them or flat.
    cotangents: the upstream gradient of each output, of its shape; drawn from the case's seed by default.
    effort: ``"auto"`` checks along directions, at a few dozen forward passes at any size, and looks at entries where
        these disagree; ``"entries"`` asks for every entry.

    Numerical derivatives are taken in float64; given arrays of a narrower dtype are checked in float64 first, and then
    the run in their own dtype against that. Raises InvalidPair where the pair or the arrays cannot be checked at all.
    """
    return examined(pair, given, cotangents=cotangents, effort=effort).diagnosed()


@dataclass(frozen=True)
class Examined:
    """A report without diagnoses, and the scene that they can be made from."""

    report: Report
    scene: Scene

    def diagnosed(self) -> Report:
        """Return the report with what its wrong gradients are consistent with."""
        return diagnosed(self.report, self.scene)


def examined(
    pair: Pair,
    given: Case | Mapping[str, Any],
    *,
    cotangents: Mapping[str, Any] | None = None,
    effort: str = "auto",
) -> Examined:
    """Check a pair as `check` does, and leave the diagnosis for later."""
    if not isinstance(pair, Pair):
        raise InvalidPair(f"check takes a pair, built by rg.pair or rg.Pair; got {pair!r}")
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise InvalidPair(f"effort={effort!r}; expected one of {list(EFFORTS)}")
    case = given if isinstance(given, Case) else None
    seed = case.seed if case else 0
    where = repr(case) if case is not None else "the given arrays"
    point, claimed, upstream, sizes, notes = prepared(pair, given, cotangents, seed, where)
    gradients, more, method = judged(pair, point, claimed, seed, effort, where)
    if not isinstance(given, Case):
        gradients = held_to_dtype(pair, point, upstream, claimed, gradients, narrower(pair, given))
    # a report in which nothing was judged is no pass
    verdict = worst_verdict([gradient.verdict for gradient in gradients]) if gradients else Verdict.INCONCLUSIVE
    report = Report(
        pair=str(pair.name),
        case=repr(case) if case is not None else None,
        sizes=sizes,
        verdict=verdict,
        lead=next((gradient.name for gradient in gradients if gradient.verdict is verdict), None),
        gradients=tuple(gradients),
        evaluations=point.forward.evaluations + 1,
        method=method,
        replay=replay(pair, case),
        notes=(*more, *notes, *([f"near this point {trouble}"] if (trouble := point.forward.trouble) else [])),
    )
    return Examined(report, scene_of(pair, case, point, claimed, upstream, sizes))


def scene_of(
    pair: Pair, case: Case | None, point: Point, claimed: Claims, upstream: Arrays, sizes: Mapping[str, Any]
) -> Scene:
    """Return what a diagnosis starts from: this point, and the way to others."""

    def elsewhere(other: Case | Mapping[str, Any]) -> Scene:
        drawn = other if isinstance(other, Case) else None
        there = prepared(pair, other, None, drawn.seed if drawn else 0, "another point")
        return scene_of(pair, drawn, *there[:4])

    return Scene(pair, case, dict(sizes), point, claimed, upstream, elsewhere)


def prepared(
    pair: Pair, given: Case | Mapping[str, Any], cotangents: Mapping[str, Any] | None, seed: int, where: str
) -> tuple[Point, Claims, Arrays, dict[str, Any], list[str]]:
    """Run the pair once; return the point, what backward claims there, the cotangents, the dims, and remarks."""
    inputs, sizes = concrete(pair, given)
    wrt = differentiated(pair, inputs)
    outputs, upstream, returned, changed = ran(pair, inputs, cotangents, seed, where)
    notes = remarks(inputs, returned, changed)
    flat = FlatForward(pair, inputs, wrt, outputs, not changed)
    point = point_of(flat, upstream, outputs)
    return point, claims_of(pair, point, returned), upstream, dict(sizes), notes


def ran(
    pair: Pair, inputs: Arrays, cotangents: Mapping[str, Any] | None, seed: int, where: str
) -> tuple[Arrays, Arrays, Mapping[str, Any], list[str]]:
    """Run forward and backward once; return outputs, cotangents, claimed gradients, and the inputs that changed."""
    handed = copies(inputs)
    returned = call("forward", pair, where, pair.forward, handed)
    changed = [name for name, array in inputs.items() if not np.array_equal(array, handed[name], equal_nan=True)]
    outputs = checked_outputs(pair, returned, where)
    upstream = checked_cotangents(pair, outputs, cotangents, seed, len(inputs))
    claims = call("backward", pair, where, pair.backward, copies(upstream), returned[1])
    if not isinstance(claims, Mapping):
        raise InvalidPair(f"backward of {pair.name} returned a {type(claims).__name__}, expected a dict of gradients")
    return outputs, upstream, claims, changed


def held_to_dtype(
    pair: Pair,
    point: Point,
    upstream: Arrays,
    claimed: Claims,
    gradients: list[GradientResult],
    dtypes: Mapping[str, np.dtype[Any]],
) -> list[GradientResult]:
    """Hold the run in the dtypes of the given arrays against the float64 run, where these are narrower."""
    if not dtypes:
        return gradients
    sound = [gradient.name for gradient in gradients if gradient.verdict is not Verdict.FAIL]
    wide = {name: point.of(name, claimed.joined) for name in sound}
    found = narrow_findings(pair, point, upstream, wide, dtypes)
    return [
        GradientResult(g.name, Verdict.FAIL, g.shape, (found[g.name],)) if g.name in found else g for g in gradients
    ]


def remarks(inputs: Arrays, claims: Mapping[str, Any], changed: list[str]) -> list[str]:
    """Return what is worth a word but changes no verdict."""
    extra = [str(key) for key in claims if key not in inputs]
    notes = [f"backward also returned {', '.join(extra)}, which names no input; not judged"] if extra else []
    if changed:
        notes.append(f"forward changes its inputs {changed}; it was given copies")
    return notes


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
        sizes = {name: (components(array).size,) for name, array in outputs.items()}
        drawn = draw_cotangents(sizes, seed, first_stream)
        return {name: unpack(drawn[name], [array])[0] for name, array in outputs.items()}
    if not isinstance(given, Mapping):
        raise InvalidPair(f"cotangents is a dict from output to array, got {described(given)}")
    arrays = {
        name: finite_array(f"the cotangent of {name}", value, outputs.get(name, REAL)) for name, value in given.items()
    }
    actual = {name: array.shape for name, array in arrays.items()}
    if actual != shapes:
        raise InvalidPair(f"the cotangents of {pair.name} have shapes {actual}, expected {shapes}")
    return {name: arrays[name] for name in shapes}


def judged(
    pair: Pair, point: Point, claimed: Claims, seed: int, effort: str, where: str
) -> tuple[list[GradientResult], list[str], str]:
    """Judge every claimed gradient; return the results, remarks on gradients that are not there, and the method."""
    swept, exact = EFFORTS[effort](point, claimed.usable, claimed.joined, seed)
    found = {result.name: result for result in swept}
    results, notes = [], []
    for name in point.parts:
        if name in claimed.breaches:
            results.append(GradientResult(name, Verdict.FAIL, point.shape(name), (claimed.breaches[name],)))
        elif name in found:
            results.append(found[name])
        elif (undecided := missing(pair, point, name, claimed, seed, where)) is not None:
            results.append(undecided)
        else:
            notes.append(
                f"no gradient was returned for {name} ({pair.claim(name)}); the outputs do not depend on it here"
            )
    return results, notes, METHODS[effort, exact]


def missing(pair: Pair, point: Point, name: str, claimed: Claims, seed: int, where: str) -> GradientResult | None:
    """Say what it means that no gradient was returned for an input.

    None where none is needed, since the outputs do not depend on it here; a result where that cannot be told; and
    InvalidPair is raised where one is needed.
    """
    key = pair.claim(name)
    result = nothing_claimed(point, name, seed)
    if result.verdict is Verdict.FAIL:
        raise InvalidPair(
            f"backward of {pair.name} returned no gradient for {name}: expected the key {key!r}, got "
            f"{[pair.claim(other) for other in claimed.returned]}\n    return it, map its key with gradients=, or "
            f"leave {name} out of wrt\n    with {where}"
        )
    return result if result.verdict is Verdict.INCONCLUSIVE else None
