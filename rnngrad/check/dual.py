"""The dot-product test: a JVP and a VJP of one function are each other's transpose, <v, J u> = <J^T v, u>.

Both sides are exact but for rounding, so this sees an error that no difference could; where they differ, the numerical
derivative along u tells which of the two is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.claims import Claims
from rnngrad.check.compare import Answer, Question, decide, judge, kinked
from rnngrad.check.contract import FLOATING, call, described, number_array
from rnngrad.check.point import Point
from rnngrad.check.question import direction_question
from rnngrad.check.sweep import plain
from rnngrad.errors import InvalidPair
from rnngrad.numdiff.directional import Direction
from rnngrad.numdiff.gradient import climb_all
from rnngrad.pair import Pair
from rnngrad.result import Estimate, Finding, GradientResult, Verdict
from rnngrad.tree import Vector, pack

__all__ = ["JVP", "held_to_jvp"]

__tracebackhide__ = True

JVP = "jvp"  # the name of its row in a report
TARGET = 1e-11  # relative bar of the numerical derivative that tells who is wrong, as along any direction


def held_to_jvp(
    pair: Pair, point: Point, claims: Claims, found: Sequence[GradientResult], seed: int, where: str
) -> GradientResult | None:
    """Hold the JVP of a pair against its gradients along a direction through each input; None where there is no JVP.

    ``found`` are the results for these gradients: a JVP that agrees with a wrong one is wrong too.
    """
    names = [name for name in claims.usable if point.parts[name].stop > point.parts[name].start]
    if pair.jvp is None or not names:
        return None
    rng = np.random.default_rng([seed, len(point.theta), len(names)])
    directions = [plain(point, point.parts[name], claims.joined, rng) for name in names]
    pushed = [tangent_slope(pair, point, direction, where) for direction in directions]
    broken = next((slope for slope in pushed if isinstance(slope, Finding)), None)
    if broken is not None:
        return GradientResult(JVP, Verdict.FAIL, (), (broken,))
    slopes = np.array(pushed, dtype=np.float64)
    still = np.zeros(len(slopes))
    estimate = Estimate(slopes, still, still, still, still, 0)
    lines = point.directions(directions, claims.joined)
    question = direction_question(point, directions, lines, claims.joined, estimate, exact=True)
    answer = judge(question, estimate)
    failed = {result.name for result in found if result.verdict is Verdict.FAIL}
    asked = np.flatnonzero(answer.wrong | np.array([name in failed for name in names])).tolist()
    if not asked:
        return result_of(Verdict.PASS, answer, int(answer.ratio.argmax()))
    some = [directions[line] for line in asked]
    return told_apart(point, some, claims.joined, slopes[asked], [names[line] for line in asked])


def tangent_slope(pair: Pair, point: Point, direction: Direction, where: str) -> float | Finding:
    """Return <v, J u> for a direction u, from a forward pass of its own; or the finding that says why there is none."""
    inputs = point.forward.inputs
    u = np.zeros(len(point.theta))
    u[direction.run] = direction.values
    tangents = {name: point.of(name, u).copy() for name in point.parts}
    point.forward.evaluations += 1
    _, cache = call("forward", pair, where, pair.forward, {name: array.copy() for name, array in inputs.items()})
    returned = call(JVP, pair, where, pair.jvp or dict, tangents, cache)
    if not isinstance(returned, dict) or set(returned) != set(point.forward.outputs):
        got = list(returned) if isinstance(returned, dict) else described(returned)
        raise InvalidPair(f"jvp of {pair.name} returned {got}, expected the tangents of {list(point.forward.outputs)}")
    moved: list[NDArray[Any]] = []
    for name, like in point.forward.outputs.items():
        array = number_array(returned[name])
        if array is None or array.shape != like.shape or (array.dtype.kind == "c" and like.dtype.kind != "c"):
            got = described(returned[name]) + ("" if array is None else f" and shape {array.shape}")
            said = f"jvp: the tangent of {name} is {got}, expected shape {like.shape} and dtype {like.dtype}"
            return Finding(Verdict.FAIL, "tangent", JVP, said)
        moved.append(array.astype(FLOATING[like.dtype.kind]))
    slope = float(pack(moved) @ point.v)
    if not np.isfinite(slope):
        return Finding(Verdict.FAIL, "finite", JVP, "jvp: a tangent is not finite, expected finite numbers")
    return slope


def told_apart(
    point: Point, directions: Sequence[Direction], joined: Vector, slopes: Vector, names: Sequence[str]
) -> GradientResult:
    """Ask the numbers who is wrong along directions where a JVP has other ``slopes`` than the claimed gradient."""
    lines = point.directions(directions, joined)
    estimate = climb_all(lines, target=TARGET)
    question = direction_question(point, directions, lines, joined, estimate, exact=False)
    backward = decide(question, estimate, batch=len(names))
    forward = decide(claiming(question, slopes), estimate, batch=len(names))
    line = int(np.argmax(forward.wrong.astype(int) * 2 + ~backward.wrong))
    values = f"<v, J u> is {slopes[line]:.6g}, <J^T v, u> {question.claimed[line]:.6g}"
    numeric = f"numeric {forward.numeric[line]:.6g} ± {forward.bar[line]:.0e}"
    said = f"jvp: along a direction u through {names[line]} {values}, {numeric}"
    if forward.wrong[line]:
        return result_of(Verdict.FAIL, forward, line, "wrong", f"{said}: the JVP is wrong")
    if backward.wrong[line]:
        return result_of(Verdict.PASS, forward, line)
    if kinked(question, estimate)[line]:  # each may take the slope of its own side
        return result_of(Verdict.INCONCLUSIVE, forward, line, "transpose", f"{said}: who is right cannot be told here")
    apart = abs(slopes[line] - question.claimed[line])
    rounding = f"they are {apart:.0e} apart, rounding explains {question.allowed[line]:.0e}"
    return result_of(Verdict.FAIL, forward, line, "transpose", f"{said}: {rounding}")


def claiming(question: Question, slopes: Vector) -> Question:
    """Return a question about other claims."""

    def about(ask: Callable[[Vector], Question]) -> Callable[[Vector], Question]:
        return lambda values: claiming(ask(values), slopes)

    return replace(
        question,
        claimed=slopes,
        closer=about(question.closer),
        closest=about(question.closest),
        glance=about(question.glance),
    )


def result_of(verdict: Verdict, answer: Answer, line: int, kind: str = "", message: str = "") -> GradientResult:
    """Return the row of the JVP, with the numbers of one line."""
    return GradientResult(
        JVP,
        verdict,
        (),
        (Finding(verdict, kind, JVP, message),) if message else (),
        backward=float(answer.claimed[line]),
        numeric=float(answer.numeric[line]),
        bar=float(answer.bar[line]),
        error=float(abs(answer.claimed[line] - answer.numeric[line])),
        ratio=float(answer.ratio[line]),
        resolution=float(answer.seen.max()),
    )
