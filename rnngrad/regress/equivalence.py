"""Two pairs that should compute the same: outputs and every gradient, at the same inputs and cotangents."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case
from rnngrad.check.contract import Arrays
from rnngrad.check.prepare import concrete, prepared, seed_of, where_of
from rnngrad.check.protocol.cotangents import one_hot
from rnngrad.check.tally import count
from rnngrad.errors import InvalidPair, moved_of
from rnngrad.pair import Pair
from rnngrad.regress.arbiter import ruling
from rnngrad.regress.naming import under_old_names
from rnngrad.regress.rounding import beyond_rounding
from rnngrad.regress.run import Run, drawn_cotangents, forward_of, run
from rnngrad.regress.side import Side
from rnngrad.regress.tensors import Held, held
from rnngrad.result import Compared, Equivalence, Finding, GradientResult, Report, Verdict
from rnngrad.spec import bind

__all__ = ["assert_equivalent", "equivalence"]

__tracebackhide__ = True

LABELS = ("old", "new")


@dataclass(frozen=True)
class Met:
    """Two sides with one cotangent, and what became of their tensors."""

    sides: tuple[Side, Side]
    cotangent: str
    tensors: dict[str, Held]


@dataclass(frozen=True)
class Question:
    """What is compared: two pairs under the names of the old one, at inputs, and how strictly."""

    old: Pair
    new: Pair
    inputs: Arrays
    case: str
    seed: int
    bitwise: bool
    contract: bool


def equivalence(
    old: Pair,
    new: Pair,
    given: Case | Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    bitwise: bool = False,
    contract: bool = True,
) -> Equivalence:
    """Compare two pairs at a case, or at given arrays: outputs, every gradient, and the contract around them.

    names, outputs: for inputs and outputs that the new pair calls otherwise, from the old name to the new one.
    bitwise: ask for the same bits, in the same memory layout, as a pure reordering of code has them. By default a
        difference is held to what rounding allows, measured on both sides.
    contract: whether the new pair may break no rule of the contract that the old one keeps.

    Where gradients differ the numerical derivative says which of the two is right. Raises InvalidPair where the two
    cannot be compared.
    """
    question = asked(old, new, given, names, outputs, bitwise, contract)
    found, met = answered(question)
    return ruled(found, met)


def assert_equivalent(
    old: Pair,
    new: Pair,
    given: Case | Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    bitwise: bool = False,
    contract: bool = True,
) -> None:
    """Raise NotEquivalent, with the whole comparison as its message, where two pairs do not compute the same.

    Takes what `equivalence` takes.
    """
    found, met = answered(asked(old, new, given, names, outputs, bitwise, contract))
    count(tallied(found, old, {} if not isinstance(given, Case) else given.dims))
    wrong = [one.name for one in found.tensors if one.verdict is Verdict.FAIL]
    if found.verdict is Verdict.FAIL:
        first = wrong[0] if wrong else found.findings[0].kind
        raise moved_of(first)(lambda: ruled(found, met))


def asked(
    old: Pair,
    new: Pair,
    given: Case | Mapping[str, Any],
    names: Mapping[str, str] | None,
    outputs: Mapping[str, str] | None,
    bitwise: bool,
    contract: bool,
) -> Question:
    """Return what is compared, the new pair under the names of the old one; raise InvalidPair where that cannot be."""
    for pair in (old, new):
        if not isinstance(pair, Pair):
            raise InvalidPair(f"two pairs are compared, built by rg.pair or rg.Pair; got {pair!r}")
    inputs, _ = concrete(old, given)
    if not isinstance(given, Case):  # in the dtypes in which they were given
        inputs = {name: np.asarray(array) for name, array in old.arrays(given).items()}
    first = forward_of(old, inputs)
    if not first.raised:
        new = under_old_names(old, new, names, outputs, first.outputs)
        if new.shapes:
            bind(new.shapes, {name: inputs[name].shape for name in new.shapes})
    return Question(old, new, inputs, where_of(given), seed_of(given), bitwise, contract)


def answered(question: Question) -> tuple[Equivalence, list[Met]]:
    """Compare, and leave open which side is right where they differ."""
    old, new, inputs = question.old, question.new, question.inputs
    title = f"{old.name} against {new.name}"
    raised = forward_of(old, inputs), forward_of(new, inputs)
    met: list[Met] = []
    if not any(side.raised for side in raised):
        dense = drawn_cotangents(old, raised[0].outputs, question.seed, len(inputs))
        for kind, upstream in (("dense", dense), ("one-hot", hot(dense, question.seed))):
            raised = run(old, inputs, upstream), run(new, inputs, upstream)
            if any(side.raised for side in raised):
                break
            sides = (Side(old, inputs, upstream, raised[0]), Side(new, inputs, upstream, raised[1]))
            met.append(Met(sides, kind, compared(sides, question.bitwise)))
    findings, notes = exceptions(*raised)
    if met and not findings:
        notes += differences_of_layout(met[0])
        findings += [] if not question.contract else worse(question)
        if question.bitwise:
            findings += [Finding(Verdict.FAIL, "layout", "", note) for note in notes]
    tensors = tuple(worst_of(name, met) for name in (met[0].tensors if met else ()))
    verdicts = [one.verdict for one in tensors] + [one.verdict for one in findings]
    verdict = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.PASS if met else Verdict.INCONCLUSIVE
    return Equivalence(title, LABELS, question.case, verdict, tensors, tuple(findings), tuple(notes)), met


def hot(dense: Arrays, seed: int) -> Arrays:
    """Return a cotangent with a single entry."""
    return {name: array.astype(dense[name].dtype) for name, array in one_hot(dense, seed).items()}


def compared(sides: tuple[Side, Side], bitwise: bool) -> dict[str, Held]:
    """Hold all tensors of two sides against each other."""
    left, right = sides
    moved: dict[float, list[dict[str, NDArray[Any]]]] = {}

    def allowed(name: str) -> Callable[[NDArray[Any], float, float], NDArray[Any]]:
        def bars(distance: NDArray[Any], eps: float, unit: float) -> NDArray[Any]:
            if eps not in moved:
                moved[eps] = [side.moved(eps) for side in sides]
            most = np.fmax(*(found[name] for found in moved[eps]))
            return np.asarray(beyond_rounding(sides, name, distance, most, unit))

        return bars

    found = {name: Held(Compared(name, Verdict.FAIL, words)) for name, words in unmatched(left.found, right.found)}
    for name, array in left.tensors.items():
        if name in right.tensors:
            found[name] = held(name, array, right.tensors[name], LABELS, allowed(name), bitwise=bitwise)
    return found


def unmatched(old: Run, new: Run) -> Iterator[tuple[str, str]]:
    """Yield what is an array of numbers on one side only, and is not 0."""
    for name in dict.fromkeys([*old.odd, *new.odd]):
        if old.odd.get(name) != new.odd.get(name):
            kinds = [
                f"{label} returns {side.odd.get(name, 'an array')}"
                for label, side in zip(LABELS, (old, new), strict=True)
            ]
            yield name, ", ".join(kinds)
    for name in old.gradients:
        if name not in new.gradients and name not in new.odd:
            yield name, "new returns no gradient, old does"
    for name, array in new.gradients.items():
        if name not in old.gradients and name not in old.odd and array.any():
            yield name, "old returns no gradient, new one that is not 0"


def exceptions(old: Run, new: Run) -> tuple[list[Finding], list[str]]:
    """Say what is raised on one side only, or otherwise on the other."""
    if old.raised is None and new.raised is None:
        return [], []
    if old.raised and new.raised and old.raised[0] == new.raised[0]:
        return [], [f"both raise: {old.raised[1]}"]
    said = [
        f"{label} {side.raised[1] if side.raised else 'does not raise'}"
        for label, side in zip(LABELS, (old, new), strict=True)
    ]
    return [Finding(Verdict.FAIL, "raises", "", ", ".join(said))], []


def differences_of_layout(met: Met) -> list[str]:
    """Say which tensors lie otherwise in memory than before."""
    left, right = (side.found.layouts for side in met.sides)
    return [
        f"{name} lies otherwise in memory: old {before}, new {right[name]}"
        for name, before in left.items()
        if right.get(name, before) != before and met.sides[0].tensors[name].shape == met.sides[1].tensors[name].shape
    ]


def worse(question: Question) -> list[Finding]:
    """Return the breaches of the contract that only the new pair commits; none where it cannot be asked."""
    found = []
    for pair in (question.old, question.new):
        try:
            found.append(prepared(pair, question.inputs, contract=True).contract.findings)
        except InvalidPair:
            return []
    before = {(one.kind, one.gradient) for one in found[0]}
    return [
        replace(one, message=f"contract worse than before: {one.message}")
        for one in found[1]
        if (one.kind, one.gradient) not in before
    ]


def worst_of(name: str, met: list[Met]) -> Compared:
    """Return what became of a tensor with that cotangent with which it is furthest off."""
    every = [replace(one.tensors[name].compared, cotangent=one.cotangent) for one in met if name in one.tensors]
    return max(every, key=lambda one: (one.verdict is Verdict.FAIL, one.ulps / (one.allowed or 1.0)))


def ruled(found: Equivalence, met: list[Met]) -> Equivalence:
    """Say which side is right, for each gradient that differs in numbers."""
    forward = any(one.name.startswith("output ") and one.verdict is Verdict.FAIL for one in found.tensors)
    tensors = []
    for one in found.tensors:
        here = next((some for some in met if some.cotangent == one.cotangent), None)
        kept = here.tensors[one.name] if here is not None and one.name in here.tensors else None
        if one.verdict is not Verdict.FAIL or kept is None or kept.excess is None or one.name.startswith("output "):
            tensors.append(one)
            continue
        left, right = here.sides if here is not None else met[0].sides
        points = (left.point, right.point if forward else left.point)
        told = ruling(points, one.name, (left.tensors[one.name], right.tensors[one.name]), kept.excess, found.labels)
        tensors.append(replace(one, side=told.words, numeric=told.numeric, bar=told.bar))
    return replace(found, tensors=tuple(tensors))


def tallied(found: Equivalence, old: Pair, sizes: Mapping[str, Any]) -> Report:
    """Return a comparison as a report of a check, to be counted: what both sides refuse alike is undecided."""
    gradients = [GradientResult(one.name, one.verdict, ()) for one in found.tensors]
    if not gradients:
        why = Finding(found.verdict, "raises", "", "; ".join(found.notes) or "nothing could be compared")
        gradients = [GradientResult(name, found.verdict, (), (why,)) for name in old.shapes]
    return Report(found.title, found.case, dict(sizes), found.verdict, tuple(gradients), 0, "", "")
