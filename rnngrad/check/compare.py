"""The only place that decides pass, fail or inconclusive.

An entry's distance from the numerical derivative is measured in bars: q = |claimed - numeric| / (bar + u). The bar is
what the estimate claims for itself; u is what a right backward pass may lose to its own rounding, relative to the
tensor and not to the entry, since in saturated units a single entry may be all cancellation. What lies beyond 5 is
estimated a second time before anybody is accused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import at
from rnngrad.numdiff.confirm import confirm
from rnngrad.numdiff.gradient import mapped
from rnngrad.numdiff.sample import Lines
from rnngrad.numdiff.tableau import EPS
from rnngrad.result import Estimate, Finding, GradientResult, Verdict
from rnngrad.tree import Vector

__all__ = ["Setting", "allowance", "compare", "influences", "size_seen", "worst_verdict"]

LIMIT = 5.0  # bars: of 168,320 confirmed estimates none was further off
OWN_ROUNDING = 64.0  # eps of the tensor that backward may lose; with 32 times less, 24 of 80,480 right ones failed
OWN_NOISE = 128.0  # times the noise of forward over the length scale, for the same reason
WIDE = 0.1  # a bar that hides a tenth of the gradient decides nothing
VISIBLE = 1e-6  # unless it is rounding alone: below this share of magnitude / scale no dependence can be seen
BATCH = 16  # accused entries confirmed at a time; one confirmed entry makes a FAIL


@dataclass(frozen=True)
class Setting:
    """What the comparison of one tensor needs to know: its lines, the noise of <v, f>, and the size of what is seen.

    ``magnitude`` is the larger of <|v|, |f|> and of the largest change that any input makes over its length scale.
    """

    name: str
    shape: tuple[int, ...]
    lines: Lines
    sigma: float
    magnitude: float


@dataclass(frozen=True)
class Judged:
    """Entry by entry: the estimate in force, its total bar, the distance in bars, and what follows."""

    numeric: Vector
    bar: Vector
    allowed: Vector
    ratio: Vector
    wrong: NDArray[np.bool_]
    undecided: NDArray[np.bool_]


def allowance(setting: Setting, numeric: Vector) -> Vector:
    """Return what a right backward pass may lose to rounding, entry by entry."""
    finite = numeric[np.isfinite(numeric)]
    rms = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    own = OWN_ROUNDING * EPS * np.fmax(np.abs(numeric), rms)
    return own + OWN_NOISE * setting.sigma / setting.lines.scale


def size_seen(setting: Setting, estimate: Estimate) -> float:
    """Return the largest change of <v, f> over the length scale of an entry, as far as it is certain."""
    certain = estimate.bar < np.abs(estimate.value)
    return float(np.max(np.abs(estimate.value) * setting.lines.scale, where=certain, initial=0.0))


def influences(setting: Setting, estimate: Estimate) -> bool:
    """Tell whether the outputs certainly depend on this tensor: some derivative is no zero within its bar."""
    noise = OWN_NOISE * setting.sigma / setting.lines.scale
    return bool((np.abs(estimate.value) > LIMIT * (estimate.bar + noise)).any())


def compare(setting: Setting, claimed: Vector, estimate: Estimate) -> GradientResult:
    """Compare a claimed gradient with its estimate, both flat; confirm what looks wrong before saying so."""
    judged = judge(setting, claimed, estimate)
    accused = np.flatnonzero(judged.wrong)
    order = accused[np.argsort(-judged.ratio[accused], kind="stable")]
    for start in range(0, len(order), BATCH):
        judged, sure = second_opinion(setting, claimed, estimate, judged, order[start : start + BATCH])
        if sure:
            break
    return summarized(setting, claimed, estimate, judged)


def judge(setting: Setting, claimed: Vector, estimate: Estimate) -> Judged:
    """Measure every entry in bars."""
    allowed = allowance(setting, estimate.value)
    total = estimate.bar + allowed
    error = np.abs(claimed - estimate.value)
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / total)
    known = np.isfinite(estimate.value) & np.isfinite(estimate.bar)
    ratio = np.where(known, ratio, np.inf)
    wrong = known & (ratio > LIMIT)
    return Judged(
        estimate.value,
        estimate.bar,
        allowed,
        ratio,
        wrong,
        ~wrong & (~known | too_wide(setting, estimate.value, total)),
    )


def too_wide(setting: Setting, numeric: Vector, total: Vector) -> NDArray[np.bool_]:
    """Tell where the bar hides so much that agreement with the claim says nothing."""
    finite = numeric[np.isfinite(numeric)]
    rms = float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    hides = LIMIT * total > WIDE * np.fmax(np.abs(numeric), rms)
    beyond_rounding = LIMIT * total > VISIBLE * setting.magnitude / setting.lines.scale
    return np.asarray(hides & beyond_rounding & (setting.magnitude > 0))


def second_opinion(
    setting: Setting, claimed: Vector, estimate: Estimate, judged: Judged, entries: NDArray[np.intp]
) -> tuple[Judged, bool]:
    """Confirm some accused entries; return the judgement as it then stands, and whether one is surely wrong.

    An entry stays wrong where both estimates and the probe agree against the claim. Where they do not, the second
    estimate can still acquit: a claim cannot meet an independent estimate within a narrow bar by chance.
    """
    local = replace(setting, lines=setting.lines.take(entries))
    claim = claimed[entries]
    opinion = confirm(local.lines, mapped(lambda row: row[entries], estimate), claim, setting.sigma)
    second = opinion.second
    total = second.bar + judged.allowed[entries]
    with np.errstate(all="ignore"):
        ratio = np.abs(claim - second.value) / total
    meets = ratio <= LIMIT
    acquitted = meets & ~too_wide(local, second.value, total)
    wrong = opinion.agrees & ~meets
    cleared = entries[acquitted]
    result = Judged(
        numeric=changed(judged.numeric, cleared, second.value[acquitted]),
        bar=changed(judged.bar, cleared, second.bar[acquitted]),
        allowed=judged.allowed,
        ratio=changed(judged.ratio, cleared, ratio[acquitted]),
        wrong=changed(judged.wrong, entries, wrong),
        undecided=changed(judged.undecided, entries, ~wrong & ~acquitted),
    )
    return result, bool(wrong.any())


def changed(row: NDArray[Any], entries: NDArray[np.intp], values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a row with some entries replaced."""
    out = row.copy()
    out[entries] = values
    return out


def summarized(setting: Setting, claimed: Vector, estimate: Estimate, judged: Judged) -> GradientResult:
    """Reduce the judgement of one tensor to its result: the verdict, and the numbers of the worst entry."""
    if not claimed.size:
        return GradientResult(setting.name, Verdict.PASS, setting.shape)
    verdict = Verdict.PASS
    among = np.ones(claimed.size, bool)
    if judged.wrong.any():
        verdict, among = Verdict.FAIL, judged.wrong
    elif judged.undecided.any():
        verdict, among = Verdict.INCONCLUSIVE, judged.undecided
    worst = int(np.where(among, judged.ratio, -1.0).argmax())
    index = tuple(int(i) for i in np.unravel_index(worst, setting.shape))
    findings: tuple[Finding, ...] = ()
    if verdict is Verdict.INCONCLUSIVE:
        kind, why = reason(judged, estimate, worst)
        findings = (Finding(verdict, kind, setting.name, f"{at(setting.name, index)}: {why}"),)
    return GradientResult(
        setting.name,
        verdict,
        setting.shape,
        findings,
        worst_index=index,
        backward=float(claimed[worst]),
        numeric=float(judged.numeric[worst]),
        bar=float(judged.bar[worst]),
        error=float(abs(claimed[worst] - judged.numeric[worst])),
        ratio=float(judged.ratio[worst]),
        # an error beyond LIMIT bars is seen even if the estimate is off by a whole bar the other way
        resolution=float((LIMIT + 1) * (judged.bar + judged.allowed).max()),
        wrong=int(judged.wrong.sum()),
    )


def reason(judged: Judged, estimate: Estimate, entry: int) -> tuple[str, str]:
    """Say why one entry could not be decided."""
    value, bar, jump = estimate.value[entry], estimate.bar[entry], estimate.jump[entry]
    if not np.isfinite(value) or not np.isfinite(bar):
        return (
            "nonfinite",
            "forward is not finite on both sides of this point, so there is no numerical derivative",
        )
    if judged.ratio[entry] > LIMIT:
        return (
            "disagreement",
            "two numerical estimates disagree here: forward is not smooth at the scale of the steps",
        )
    left, right = value - jump / 2, value + jump / 2
    if abs(jump) > bar:
        return "kink", f"forward has a kink here: slope {left:.3g} on one side, {right:.3g} on the other"
    return (
        "noise",
        f"the numerical derivative is {value:.3g} ± {bar:.0e}: forward is too noisy here to decide",
    )


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of several verdicts; PASS where there are none."""
    ranked = list(Verdict)
    return max(verdicts, key=ranked.index, default=Verdict.PASS)
