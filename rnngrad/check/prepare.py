"""From a pair and a case, or given arrays, to a point and what is claimed there: the first pass, and the contract."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.case import Case, draw_cotangents, draw_inputs
from rnngrad.check.claims import Claims, claims_of
from rnngrad.check.contract import (
    FLOATING,
    Arrays,
    call,
    checked_gradient,
    checked_inputs,
    checked_outputs,
    described,
    differentiated,
    finite_array,
)
from rnngrad.check.forward import FlatForward
from rnngrad.check.plan import limit_of
from rnngrad.check.point import Point, point_of
from rnngrad.check.protocol.bits import same_bits
from rnngrad.check.protocol.first import First, Forward, kept_of
from rnngrad.check.protocol.rows import Contract, contract_of, passes_of
from rnngrad.check.protocol.subject import Subject
from rnngrad.errors import InvalidPair
from rnngrad.malloc import hold
from rnngrad.pair import Pair
from rnngrad.result import Finding
from rnngrad.spec import bind
from rnngrad.tree import components, unpack

__all__ = ["Prepared", "prepared", "seed_of", "where_of"]

__tracebackhide__ = True

REAL = np.empty(0)


@dataclass(frozen=True)
class Prepared:
    """A pair at a point: what backward claims there, the cotangents, the dims, and what was found of the contract."""

    point: Point
    claims: Claims
    upstream: Arrays
    sizes: dict[str, Any]
    contract: Contract
    notes: tuple[str, ...]


def seed_of(given: Case | Mapping[str, Any]) -> int:
    """Return the seed from which cotangents and directions are drawn; that of given arrays is 0."""
    return given.seed if isinstance(given, Case) else 0


def where_of(given: Case | Mapping[str, Any]) -> str:
    """Say where a pair is looked at."""
    return repr(given) if isinstance(given, Case) else "the given arrays"


def prepared(
    pair: Pair,
    given: Case | Mapping[str, Any],
    *,
    cotangents: Mapping[str, Any] | None = None,
    contract: bool = False,
    budget: int | None = None,
) -> Prepared:
    """Run the pair at a case or at given arrays, and hold it to the contract there where that is asked for."""
    hold()
    inputs, sizes = concrete(pair, given)
    wrt = differentiated(pair, inputs)
    limit = limit_of(pair, given, len(wrt), budget, contract=contract)
    outputs, upstream, first = ran(pair, inputs, cotangents, seed_of(given), where_of(given))
    changed, returned = first.forward.changed, [str(key) for key in first.raw]
    notes = remarks(inputs, first.raw, [] if contract else changed)
    checked = {name: checked_gradient(pair, name, first.raw[name], inputs[name]) for name in wrt if name in first.raw}
    checked = {name: claim if isinstance(claim, Finding) else claim.copy() for name, claim in checked.items()}
    asked = Contract()
    if contract:
        claimed = {name: claim for name, claim in checked.items() if not isinstance(claim, Finding)}
        asked = contract_of(Subject(pair, inputs, upstream, outputs, claimed, sizes, seed_of(given)), first)
        limit -= max(0, asked.passes - passes_of(pair))
    del first
    point = point_of(FlatForward(pair, inputs, wrt, outputs, not changed, limit), upstream, outputs)
    return Prepared(point, claims_of(point, checked, returned), upstream, dict(sizes), asked, (*notes, *asked.notes))


def ran(
    pair: Pair, inputs: Arrays, cotangents: Mapping[str, Any] | None, seed: int, where: str
) -> tuple[Arrays, Arrays, First]:
    """Run forward and backward once; return outputs, cotangents, and what came back with what had been handed out."""
    handed = copies(inputs)
    returned = call("forward", pair, where, pair.forward, dict(handed))
    changed = [name for name, array in inputs.items() if not same_bits(array, handed[name])]
    outputs = checked_outputs(pair, returned, where)
    upstream = checked_cotangents(pair, outputs, cotangents, seed, len(inputs))
    forward = Forward(handed, returned[0], returned[1], changed)
    kept, handed_on = kept_of(forward), copies(upstream)
    claims = call("backward", pair, where, pair.backward, dict(handed_on), returned[1])
    if not isinstance(claims, Mapping):
        raise InvalidPair(f"backward of {pair.name} returned a {type(claims).__name__}, expected a dict of gradients")
    return outputs, upstream, First(forward, kept, handed_on, dict(claims))


def remarks(inputs: Arrays, raw: Mapping[Any, Any], changed: list[str]) -> list[str]:
    """Return what is worth a word but changes no verdict."""
    extra = [str(key) for key in raw if key not in inputs]
    notes = [f"backward also returned {', '.join(extra)}, which names no input; not judged"] if extra else []
    for name, array in inputs.items():
        if array.dtype.kind not in FLOATING and isinstance(raw.get(name), np.ndarray) and raw[name].any():
            notes.append(f"{name} holds {array.dtype}, so its gradient is not judged; pass floats to have it checked")
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
