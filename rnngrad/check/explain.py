"""Why a slope cannot be decided: a kink, a jump, a domain edge, noise, rounding; told by probes along the line."""

from dataclasses import dataclass

import numpy as np

from rnngrad.check.compare import LIMIT, Answer
from rnngrad.numdiff.sample import Lines

__all__ = ["explain"]

PROBES = 12  # steps that are tried, from the first of the ladder down
SHRINK = 8.0  # from one to the next: 12 of them reach 1e-12 of the scale
STEADY = 2.0  # factor within which a number counts as unchanged from one step to the next
MANY = 100.0  # noise over the step that rounding adds to a bar at most: the weights of an extrapolation grow to 20
LAST = 4  # steps over which a value that does not shrink with them is a jump: noise is no such steady thing


@dataclass(frozen=True)
class Probes:
    """<v, f> less its value at the point, on both sides, and what outputs that are not finite were met last."""

    steps: list[float]
    ahead: list[float]
    behind: list[float]
    edge: str | None


def explain(lines: Lines, line: int, answer: Answer, where: str) -> tuple[str, str]:
    """Return a short name and words for why one line could not be decided; ``where`` names the line in them."""
    again = lines.f(lines.move(line, 0.0)[0])
    if not np.array_equal(again, lines.f0, equal_nan=True):
        if not np.isfinite(again).all():
            return "random", "forward is not deterministic: a second call at the same point fails"
        apart = float(np.max(np.abs(again - lines.f0)))
        return "random", f"forward is not deterministic: two calls at the same point differ by {apart:.0e}"
    probes = probed(lines, line, where)
    if probes.edge is not None:
        return "nonfinite", probes.edge
    sides = [max(abs(a), abs(b)) for a, b in zip(probes.ahead, probes.behind, strict=True)][-LAST:]
    if len(sides) == LAST and 0 < max(sides) <= STEADY * min(sides):
        size = abs(probes.ahead[-1] - probes.behind[-1])
        return "jump", f"forward jumps here, by {size:.3g} within a step of {probes.steps[-1]:.0e}"
    value, bar = answer.estimate.value[line], answer.estimate.bar[line]
    if answer.excused[line] > 0:
        numbers = f"the numerical derivative is {answer.numeric[line]:.3g} ± {answer.bar[line]:.0e}"
        return "rounding", f"{numbers}; backward may lose {answer.excused[line]:.0e} to its own rounding here"
    if answer.ratio[line] > LIMIT and np.isfinite(bar) and abs(answer.estimate.jump[line]) <= bar:
        return "disagreement", "two numerical estimates disagree here: forward is not smooth at the scale of the steps"
    bends = [(a + b) / h for a, b, h in zip(probes.ahead, probes.behind, probes.steps, strict=True)]
    clear = [i for i, h in enumerate(probes.steps) if abs(bends[i]) > 2 * LIMIT * np.sqrt(6.0) * lines.sigma[line] / h]
    if len(clear) > 1 and abs(bends[clear[-2]]) / STEADY < abs(bends[clear[-1]]) < STEADY * abs(bends[clear[-2]]):
        step = probes.steps[clear[-1]]
        left, right = 0.0 - probes.behind[clear[-1]] / step, probes.ahead[clear[-1]] / step
        return "kink", f"forward has a kink here: slope {left:.3g} on one side, {right:.3g} on the other"
    said = f"the numerical derivative is {value:.3g} ± {bar:.0e}"
    if bar * answer.estimate.step[line] > MANY * lines.sigma[line]:
        return "sharp", f"{said}: forward bends too sharply here to decide"
    return "noise", f"{said}: forward is too noisy here to decide"


def probed(lines: Lines, line: int, where: str) -> Probes:
    """Sample both sides of a line at shrinking steps."""
    steps, ahead, behind = [], [], []
    edge = None
    step = float(lines.scale[line]) / 32
    with np.errstate(all="ignore"):
        for _ in range(PROBES):
            values = []
            for sign, t in (("+", step), ("-", -step)):
                out = lines.f(lines.move(line, t)[0])
                if not np.isfinite(out).all():
                    bad = out[~np.isfinite(out)][0]
                    edge = (
                        f"forward returns {bad} at {where} {sign} {step:.0e}, so there is no derivative from both sides"
                    )
                values.append(float((out - lines.f0) @ lines.v))
            if np.isfinite(values).all():
                edge = None
                steps.append(step)
                ahead.append(values[0])
                behind.append(values[1])
            step /= SHRINK
    return Probes(steps, ahead, behind, edge)
