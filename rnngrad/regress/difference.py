"""Two recordings held against each other, without the code that made them: every bit counts."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from rnngrad.regress.recording import Recording
from rnngrad.regress.store import load
from rnngrad.regress.tensors import held
from rnngrad.result import Compared, Equivalence, Finding, Verdict

__all__ = ["difference"]


def difference(left: Path, right: Path) -> Equivalence:
    """Compare two recorded files; how far apart two numbers are is shown in ulp of the tensor's largest entry.

    Raises InvalidBaseline where one of them cannot be read.
    """
    one, other = load(left), load(right)
    labels = ("left", "right")
    before, after = ({found.case: found.tensors for found in recording.cases} for recording in (one, other))
    worst: dict[str, Compared] = {}
    first = ""
    findings = [finding(words) for words in apart(one, other)]
    for case in before:
        if case not in after:
            continue
        for name, array in before[case].items():
            if name not in after[case]:
                findings.append(finding(f"{name} at {case} is in {left} only"))
                continue
            found = held(name, array, after[case][name], labels, never, bitwise=True).compared
            first = first or (case if found.verdict is Verdict.FAIL else "")
            if name not in worst or (found.verdict is Verdict.FAIL, found.ulps) > (
                worst[name].verdict is Verdict.FAIL,
                worst[name].ulps,
            ):
                worst[name] = found
        findings += [
            finding(f"{name} at {case} is in {right} only") for name in after[case] if name not in before[case]
        ]
    differ = findings or any(found.verdict is Verdict.FAIL for found in worst.values())
    shared = sum(case in after for case in before)
    return Equivalence(
        f"{left} against {right}",
        labels,
        first or f"all {shared}",
        Verdict.FAIL if differ else Verdict.PASS,
        tuple(worst.values()),
        tuple(findings),
        () if differ else ("every bit is the same",),
    )


def never(distance: NDArray[Any], _eps: float, _unit: float) -> NDArray[Any]:  # pragma: no cover
    """Stand for what rounding allows, which bits are not asked."""
    return distance


def finding(words: str) -> Finding:
    """Return what differs beside numbers."""
    return Finding(Verdict.FAIL, "recording", "", words)


def apart(one: Recording, other: Recording) -> list[str]:
    """Say what two recordings were made of, where that differs."""
    facts = [("pair", one.pair, other.pair), ("inputs", one.inputs, other.inputs)]
    said = [f"the {name} differ: left {left!r}, right {right!r}" for name, left, right in facts if left != right]
    cases = [[found.case for found in recording.cases] for recording in (one, other)]
    for label, here, there in (("left", *cases), ("right", *reversed(cases))):
        alone = [case for case in here if case not in there]
        if alone:
            said.append(f"{len(alone)} cases are in the {label} file only, such as {alone[0]}")
    return said
