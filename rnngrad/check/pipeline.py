"""From a pair and a case to a report: contract, estimates, comparison, in that order and never back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case
from rnngrad.check.breached import beside, lead_of, reported
from rnngrad.check.claims import Claims
from rnngrad.check.compare import worst_verdict
from rnngrad.check.diagnose.report import diagnosed
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.dual import held_to_jvp
from rnngrad.check.narrow import narrow_findings, narrower
from rnngrad.check.plan import forward_passes
from rnngrad.check.point import Point
from rnngrad.check.prepare import Prepared, prepared, seed_of, where_of
from rnngrad.check.replay import replay
from rnngrad.check.sweep import Later, Results, nothing_claimed, sweep, sweep_entries
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.result import Finding, GradientResult, Report, Verdict

__all__ = ["Examined", "check", "examined"]

__tracebackhide__ = True

EFFORTS = {"auto": sweep, "entries": sweep_entries}
METHODS = {
    ("auto", True): "complex step along directions",
    ("auto", False): "central differences along directions",
    ("entries", False): "central differences, entry by entry",
}
SPENT = (
    "the budget of {budget} forward passes is spent; {enough} are enough where forward is smooth and every gradient "
    "right, and what is wrong is told by several times that"
)
MEMORY = "a check holds what forward itself holds and four copies of the inputs; pass smaller arrays, or smaller dims"


def check(
    pair: Pair,
    given: Case | Mapping[str, Any],
    *,
    cotangents: Mapping[str, Any] | None = None,
    effort: str = "auto",
    contract: bool = True,
    budget: int | None = None,
) -> Report:
    """Check every gradient of a pair at one point and report what was found.

    given: a Case, or the input arrays by name, nested as forward takes them or flat.
    cotangents: the upstream gradient of each output, of its shape; drawn from the case's seed by default.
    effort: ``"auto"`` checks along directions, at a few dozen forward passes at any size, and looks at entries where
        these disagree; ``"entries"`` asks for every entry.
    contract: whether to check the contract around the numbers as well (see `rnngrad.breaches`).
    budget: the most forward passes that may be spent, see `forward_passes`; what they do not reach for is inconclusive,
        and the resolution in the report is the one that they bought.

    Numerical derivatives are taken in float64; given arrays of a narrower dtype are checked in float64 first, and then
    the run in their own dtype against that. Raises InvalidPair where the pair or the arrays cannot be checked at all.
    An interrupt (Ctrl-C) carries the report of what was decided until then as its note.
    """
    found = examined(pair, given, cotangents=cotangents, effort=effort, contract=contract, budget=budget)
    return found.diagnosed()


@dataclass(frozen=True)
class Examined:
    """A report without diagnoses, what completes it, and the scene that they can be made from.

    There is no scene where a budget leaves none.
    """

    report: Report
    scene: Scene | None
    complete: Callable[[], Report]

    def diagnosed(self) -> Report:
        """Return the whole report, with what its wrong gradients are consistent with."""
        report = self.complete()
        return report if self.scene is None else diagnosed(report, self.scene)


def examined(
    pair: Pair,
    given: Case | Mapping[str, Any],
    *,
    cotangents: Mapping[str, Any] | None = None,
    effort: str = "auto",
    contract: bool = True,
    budget: int | None = None,
    brief: bool = False,
) -> Examined:
    """Check a pair as `check` does, and leave the diagnosis for later; if ``brief``, wrong entries too."""
    if not isinstance(pair, Pair):
        raise InvalidPair(f"check takes a pair, built by rg.pair or rg.Pair; got {pair!r}")
    if not isinstance(effort, str) or effort not in EFFORTS:
        raise InvalidPair(f"effort={effort!r}; expected one of {list(EFFORTS)}")
    results: Results = {}
    later: Later = {}
    found = None
    try:
        found = prepared(pair, given, cotangents=cotangents, contract=contract, budget=budget)
        claims, seed = found.claims, seed_of(given)
        exact = EFFORTS[effort](found.point, claims.usable, claims.joined, seed, results, later if brief else None)
        gradients, notes = judged(pair, given, found, results)
        if budget is not None and any(finding.kind == "budget" for one in gradients for finding in one.findings):
            enough = forward_passes(pair, given, effort=effort, contract=contract)
            notes = [*notes, SPENT.format(budget=budget, enough=enough)]
        told = partial(report_of, pair, given, found, METHODS[effort, exact], notes, contract=contract)
        scene = None if budget is not None else scene_of(pair, given, found)
        report = told(gradients)
        whole = partial(completed, told, gradients, later) if later else lambda: report
        return Examined(report, scene, whole)
    except MemoryError as error:
        words = f"{pair.name} needs more memory than there is, at {where_of(given)}: {error}\n    {MEMORY}"
        raise InvalidPair(words) from error
    except KeyboardInterrupt as interrupt:
        if found is not None:
            known = [results.get(name) or interrupted(found.point, name) for name in found.point.parts]
            report = report_of(pair, given, found, "interrupted", [], known, contract=contract)
            interrupt.add_note(f"interrupted; decided until then:\n{report}")
        raise


def completed(told: Callable[[list[GradientResult]], Report], gradients: list[GradientResult], later: Later) -> Report:
    """Return the report with what was left for later."""
    return told([later[one.name]() if one.name in later else one for one in gradients])


def scene_of(pair: Pair, given: Case | Mapping[str, Any], found: Prepared) -> Scene:
    """Return what a diagnosis starts from: this point, and the way to others."""

    def elsewhere(other: Case | Mapping[str, Any]) -> Scene:
        return scene_of(pair, other, prepared(pair, other))

    case = given if isinstance(given, Case) else None
    return Scene(pair, case, found.sizes, found.point, found.claims, found.upstream, elsewhere)


def report_of(
    pair: Pair,
    given: Case | Mapping[str, Any],
    found: Prepared,
    method: str,
    notes: list[str],
    numbers: list[GradientResult],
    *,
    contract: bool,
) -> Report:
    """Set beside the numbers what the contract found; a report in which nothing was judged is no pass."""
    point, case = found.point, given if isinstance(given, Case) else None
    breaches = reported(found.contract.findings, numbers)
    gradients = numbers
    if contract:
        gradients = [beside(one, claim_on(point, found.claims, one.name), breaches) for one in numbers]
    findings = tuple(finding for finding in breaches if not finding.gradient)
    verdicts = [gradient.verdict for gradient in gradients] or [Verdict.INCONCLUSIVE]
    trouble = [f"near this point {point.forward.trouble}"] if point.forward.trouble else []
    return Report(
        pair=str(pair.name),
        case=repr(case) if case is not None else None,
        sizes=found.sizes,
        verdict=worst_verdict([*verdicts, *(finding.verdict for finding in findings)]),
        lead=lead_of(numbers, gradients, findings),
        gradients=tuple(gradients),
        evaluations=point.forward.evaluations + 1 + found.contract.passes,
        method=method,
        replay=replay(pair, case),
        findings=findings,
        notes=(*notes, *found.notes, *trouble),
    )


def claim_on(point: Point, claimed: Claims, name: str) -> NDArray[Any] | None:
    """Return the claimed gradient of one input; None where there is none that can be compared."""
    return point.of(name, claimed.joined) if name in claimed.usable else None


def judged(
    pair: Pair, given: Case | Mapping[str, Any], found: Prepared, swept: Results
) -> tuple[list[GradientResult], list[str]]:
    """Add to what was found of claimed gradients what is wrong with the others, in other dtypes, and with a JVP."""
    point, claims, where = found.point, found.claims, where_of(given)
    gradients, notes = [], []
    for name in point.parts:
        if name in claims.breaches:
            gradients.append(GradientResult(name, Verdict.FAIL, point.shape(name), (claims.breaches[name],)))
        elif name in swept:
            gradients.append(swept[name])
        elif (undecided := missing(pair, point, name, claims, seed_of(given), where)) is not None:
            gradients.append(undecided)
        else:
            notes.append(
                f"no gradient was returned for {name} ({pair.claim(name)}); the outputs do not depend on it here"
            )
    dual = held_to_jvp(pair, point, claims, gradients, seed_of(given), where)
    if not isinstance(given, Case):
        gradients = held_to_dtype(pair, found, gradients, narrower(pair, given))
    return [*gradients, *([] if dual is None else [dual])], notes


def held_to_dtype(
    pair: Pair, found: Prepared, gradients: list[GradientResult], dtypes: Mapping[str, np.dtype[Any]]
) -> list[GradientResult]:
    """Hold the run in the dtypes of the given arrays against the float64 run, where these are narrower."""
    if not dtypes:
        return gradients
    sound = [gradient.name for gradient in gradients if gradient.verdict is not Verdict.FAIL]
    wide = {name: found.point.of(name, found.claims.joined) for name in sound}
    wrong = narrow_findings(pair, found.point, found.upstream, wide, dtypes)
    return [
        GradientResult(g.name, wrong[g.name].verdict, g.shape, (wrong[g.name],)) if g.name in wrong else g
        for g in gradients
    ]


def interrupted(point: Point, name: str) -> GradientResult:
    """Return the result for an input that an interrupt left undecided."""
    finding = Finding(Verdict.INCONCLUSIVE, "interrupted", name, f"{name}: interrupted before this was decided")
    return GradientResult(name, Verdict.INCONCLUSIVE, point.shape(name), (finding,))


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
            f"{[pair.claim(other) for other in claimed.returned]}\n    return it, "
            f"{mapped(name, key, claimed.returned, point) if pair.claims else ''}or leave {name} out of wrt"
            f"\n    with {where}"
        )
    return result if result.verdict is Verdict.INCONCLUSIVE else None


def mapped(name: str, key: str, returned: Sequence[str], point: Point) -> str:
    """Say how to map an input to another key, to the one that looks like its own but for case or a letter or two."""
    others = {other.lower(): other for other in returned if other not in point.forward.inputs}
    alike = get_close_matches(key.lower(), others, n=1)
    hint = repr({name: others[alike[0]]}) if alike else ""
    return f"map its key with gradients={hint}, "
