"""Gradients recorded from code that was right, and held against what the code says now."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case, parse_case
from rnngrad.check.contract import FLOATING
from rnngrad.check.pipeline import examined
from rnngrad.check.prepare import concrete
from rnngrad.errors import GradientMismatch, InvalidBaseline, InvalidPair, moved_of
from rnngrad.pair import Pair
from rnngrad.regress.arbiter import ruling
from rnngrad.regress.drawn import cases_of
from rnngrad.regress.recording import Recorded, Recording
from rnngrad.regress.rounding import beyond_rounding
from rnngrad.regress.run import drawn_cotangents, forward_of, run
from rnngrad.regress.side import Side
from rnngrad.regress.store import describes, load, save
from rnngrad.regress.tensors import held
from rnngrad.result import Compared, Equivalence, Verdict

__all__ = ["checked_name", "compare", "hold", "record"]

__tracebackhide__ = True

LABELS = ("file", "code")
NAME = re.compile(r"[A-Za-z0-9_][\w.\-]{0,119}\Z", re.ASCII)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)  # names that Windows keeps for devices
UPDATE = "record it again with: pytest --rnngrad-update"


def record(pair: Pair, path: str | Path, *, cases: int | Sequence[Case] | None = None, test: str = "") -> None:
    """Record the gradients of a pair into ``path``, an .npz file, with a .json beside it for reviewers.

    cases: how many to draw, by default 20, or the cases themselves. The gradients are checked first: raises
    GradientMismatch where one is wrong, since a baseline is recorded from code that is right, InvalidBaseline where it
    cannot be written, and InvalidPair where the pair cannot be run.
    """
    chosen, target = cases_of(pair, cases), archive_path(path)
    for case in chosen:
        report = examined(pair, case, contract=False).report
        if report.verdict is Verdict.FAIL:
            raise GradientMismatch(f"{report}\nnothing is recorded of a gradient that is wrong", report)
    recorded = tuple(Recorded(repr(case), side_of(pair, case).tensors) for case in chosen)
    for one in recorded:
        odd = [f"{name} ({array.dtype})" for name, array in one.tensors.items() if array.dtype.kind not in FLOATING]
        if odd:
            raise InvalidPair(f"{odd} of {pair.name} cannot be recorded; expected floating-point arrays")
    save(target, Recording(str(pair.name), declared(pair), recorded, versions(), test))


def compare(pair: Pair, path: str | Path, *, cases: int | Sequence[Case] | None = None) -> Equivalence:
    """Compare the gradients of a pair with what was recorded in ``path``; raise NotEquivalent where one moved.

    cases: those that are asked for, if they should be the recorded ones. Raises InvalidBaseline where the file is
    missing, damaged, or recorded from another pair, other shapes or other cases.
    """
    target = archive_path(path)
    wanted = None if cases is None else cases_of(pair, cases)
    return hold(pair, target, wanted)


def hold(pair: Pair, path: Path, wanted: tuple[Case, ...] | None) -> Equivalence:
    """Compare a pair with a recording, at the cases that were recorded."""
    recording = load(path)
    if not describes(path, recording):  # another worker may be between its two files
        recording = load(path)
    if stale := staleness(pair, path, recording, wanted):
        raise InvalidBaseline(f"{path} is stale: {stale}\n    {UPDATE}")
    worst: dict[str, Compared] = {}
    first, met = "", None
    for one in recording.cases:
        side = side_of(pair, parse_case(one.case))
        if list(side.tensors) != list(one.tensors):
            said = f"it holds {list(one.tensors)}, the pair has {list(side.tensors)}"
            raise InvalidBaseline(f"{path} is stale: {said}\n    {UPDATE}")
        found = against(side, one)
        for name, compared in found.items():
            if name not in worst or rank(compared) > rank(worst[name]):
                worst[name] = compared
        if met is None and any(compared.verdict is Verdict.FAIL for compared in found.values()):
            first, met = one.case, found
    title, count = f"{path.name} against {pair.name}", f"all {len(recording.cases)}"
    notes = moved_versions(recording.versions)
    if met is None:
        return Equivalence(title, LABELS, count, Verdict.PASS, tuple(worst.values()), (), notes)
    report = Equivalence(
        title, LABELS, first, Verdict.FAIL, tuple(met.values()), (), (*notes, f"if it should be so, {UPDATE}")
    )
    raise moved_of(next(name for name, one in met.items() if one.verdict is Verdict.FAIL))(str(report), report)


def rank(one: Compared) -> tuple[bool, float]:
    """Return what orders the results for one tensor, the worst last."""
    return one.verdict is Verdict.FAIL, one.ulps / (one.allowed or 1.0)


def side_of(pair: Pair, case: Case) -> Side:
    """Run a pair at a case; raise InvalidPair where it raises, or a tensor is no array of numbers."""
    inputs, _ = concrete(pair, case)
    first = forward_of(pair, inputs)
    found, upstream = first, {}
    if first.raised is None:
        upstream = drawn_cotangents(pair, first.outputs, case.seed, len(inputs))
        found = run(pair, inputs, upstream)
    if found.raised is not None or found.odd:
        said = dict(found.odd) if found.raised is None else found.raised[1]
        raise InvalidPair(f"{pair.name} at {case}: {said}; no baseline without gradients")
    return Side(pair, inputs, upstream, found)


def against(side: Side, recorded: Recorded) -> dict[str, Compared]:
    """Hold what a pair computes at a case against what was recorded; say which is right where they differ."""
    moved: dict[float, dict[str, NDArray[Any]]] = {}
    found = {}
    for name, code in side.tensors.items():

        def bars(distance: NDArray[Any], eps: float, unit: float, name: str = name) -> NDArray[Any]:
            if eps not in moved:
                moved[eps] = side.moved(eps)
            return np.asarray(beyond_rounding([side], name, distance, moved[eps][name], unit))

        file = recorded.tensors[name]
        one = held(name, file, code, LABELS, bars, bitwise=False)
        found[name] = one.compared
        if one.excess is not None and one.compared.verdict is Verdict.FAIL and name in side.found.gradients:
            told = ruling((side.point, side.point), name, (file, code), one.excess, ("what the file holds", "the code"))
            found[name] = Compared(
                **{**vars(one.compared), "side": told.words, "numeric": told.numeric, "bar": told.bar}
            )
    return found


def staleness(pair: Pair, path: Path, recording: Recording, wanted: tuple[Case, ...] | None) -> str:
    """Say why a recording does not fit a pair; ``""`` where it does."""
    inputs = declared(pair)
    if recording.pair != pair.name:
        return f"it was recorded from the pair {recording.pair!r}, this one is {pair.name!r}"
    if recording.inputs != inputs:
        return f"it was recorded for the inputs {recording.inputs}, those of the pair are {inputs}"
    before = [one.case for one in recording.cases]
    if wanted is not None and before != [repr(case) for case in wanted]:
        asked = f"{len(wanted)}, from {wanted[0]} on"
        return f"it was recorded at {len(before)} cases, from {before[:1]} on, asked for are {asked}"
    return "" if describes(path, recording) else f"{path.with_suffix('.json').name} does not say what it holds"


def declared(pair: Pair) -> dict[str, str]:
    """Return the declared inputs as text."""
    return {name: str(shape) for name, shape in (pair.inputs or {}).items()}


def versions() -> dict[str, str]:
    """Return the versions of what computes: numpy and its BLAS."""
    built: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    blas = built.get("Build Dependencies", {}).get("blas", {})
    return {"numpy": np.__version__, "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()}


def moved_versions(before: dict[str, str]) -> tuple[str, ...]:
    """Say what it was recorded with where that is not what runs now."""
    now = versions()
    return () if before == now else (f"recorded with {before}, compared with {now}",)


def checked_name(name: Any) -> str:
    """Return the name of a baseline; raise InvalidBaseline where it would leave its folder, or fits no file system."""
    if not isinstance(name, str) or not NAME.match(name) or RESERVED.match(name):
        raise InvalidBaseline(f"name={name!r:.80}; expected letters, digits, '_', '-' and '.', up to 120 of them")
    return name


def archive_path(path: Any) -> Path:
    """Return the path of an archive; raise InvalidBaseline where it is none."""
    if not isinstance(path, str | os.PathLike) or Path(path).suffix != ".npz":
        raise InvalidBaseline(f"path={path!r:.80}; expected the path of an .npz file")
    checked_name(Path(path).name)
    return Path(path)
