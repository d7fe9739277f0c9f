"""Which of two sides is right, by the numerical derivative."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import Answer
from rnngrad.check.locate import looked_at
from rnngrad.check.point import Point
from rnngrad.errors import Exhausted
from rnngrad.tree import components

__all__ = ["Ruling", "ruling"]

ENTRIES = 4  # the worst ones are asked about

SIDES = {  # by whether the left and the right side are wrong
    (True, False): "{left} was wrong all along",
    (False, True): "{right} is wrong",
    (True, True): "both are wrong",
    (False, False): "both are within their bars",
}
OPEN = "the numerical derivative cannot tell which is right"


@dataclass(frozen=True)
class Ruling:
    """Which side is right, in words, and the numerical derivative at the worst entry with its bar."""

    words: str
    numeric: float | None = None
    bar: float | None = None


def ruling(
    points: tuple[Point | None, Point | None],
    name: str,
    claims: tuple[NDArray[Any], NDArray[Any]],
    excess: NDArray[Any],
    labels: tuple[str, str],
) -> Ruling:
    """Hold two claims for a gradient against numerical derivatives, each at its own point, where they are furthest off.

    ``excess`` orders the entries.
    """
    left, right = points
    if left is None or right is None or name not in left.parts or name not in right.parts:
        return Ruling(OPEN)
    width = left.width(name)
    worst = np.argsort(-excess.ravel(), kind="stable")[:ENTRIES]
    apart = np.abs(components(as_complex(claims[0], width)) - components(as_complex(claims[1], width)))
    entries = np.array([width * place + int(np.argmax(apart[width * place : width * (place + 1)])) for place in worst])
    try:
        answers = [asked(point, name, claim, entries, width) for point, claim in zip(points, claims, strict=True)]
    except Exhausted:  # pragma: no cover  (no budget is set here)
        return Ruling(OPEN)
    wrong = tuple(bool(answer.wrong.any()) for answer in answers)
    first = answers[0]
    numeric, bar = float(first.numeric[0]), float(first.bar[0])
    if not any(wrong) and any(bool(answer.undecided[0]) for answer in answers):
        return Ruling(OPEN, numeric, bar)
    return Ruling(SIDES[wrong[0], wrong[1]].format(left=labels[0], right=labels[1]), numeric, bar)


def asked(point: Any, name: str, claim: NDArray[Any], entries: NDArray[np.intp], width: int) -> Answer:
    """Ask about some entries of one claim."""
    flat = components(as_complex(claim, width)).astype(np.float64)
    return looked_at(point, name, flat, entries, complete=True).answer


def as_complex(claim: NDArray[Any], width: int) -> NDArray[Any]:
    """Return a claim in the kind of its input, complex where an entry of that is two numbers."""
    return claim.astype(np.complex128) if width == 2 else claim
