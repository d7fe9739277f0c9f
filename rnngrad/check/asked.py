"""The numbers of an ordinary check without its verdict, for other claims to be held against."""

from dataclasses import dataclass, replace

import numpy as np

from rnngrad.case import Case
from rnngrad.check.compare import Answer, judge
from rnngrad.check.plan import GROUPS
from rnngrad.check.point import Point
from rnngrad.check.prepare import prepared
from rnngrad.check.question import direction_question
from rnngrad.check.sweep import On, asked_of, runs_of
from rnngrad.numdiff.rows import mapped
from rnngrad.pair import Pair
from rnngrad.tree import Vector

__all__ = ["Asked", "ask"]

__tracebackhide__ = True


@dataclass(frozen=True)
class Asked:
    """A pair at a case: what it claims there, joined like theta, and for each gradient the line that speaks for it."""

    point: Point
    joined: Vector
    lines: dict[str, On]

    def judge(self, name: str, claimed: Vector) -> Answer:
        """Hold another claim for one gradient, flat, against the numbers; nothing is confirmed."""
        on, joined = self.lines[name], self.joined.copy()
        joined[self.point.parts[name]] = claimed
        some = np.array([on.line])
        estimate = mapped(lambda row: row[some], replace(on.asked.answer.estimate, evaluations=0))
        directions = [on.asked.directions[on.line]]
        lines = self.point.directions(directions, joined)
        question = direction_question(self.point, directions, lines, joined, estimate, exact=on.asked.exact)
        return judge(question, estimate)


def ask(pair: Pair, case: Case) -> Asked:
    """Run a pair at a case and take the numerical derivative along a line for each gradient that it returns."""
    found = prepared(pair, case)
    point, claims = found.point, found.claims
    names = [name for name in claims.usable if point.parts[name].stop > point.parts[name].start]
    runs = runs_of(point, names, GROUPS)
    rng = np.random.default_rng([case.seed, len(claims.joined)])
    asked = asked_of(point, runs, claims.joined, rng) if names else []
    lines = {name: on for run, on in zip(runs, asked, strict=True) for name in run}
    return Asked(point, claims.joined, lines)
