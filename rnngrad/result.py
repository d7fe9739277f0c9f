"""What a check found out, as frozen values: no arithmetic, no layout.

Renderers turn a Report into text, JSON or HTML; the three methods that call them are the only imports in this
project that point upwards, and are made when called.
"""

from dataclasses import dataclass
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Compared",
    "Diagnosis",
    "Entry",
    "Equivalence",
    "Estimate",
    "Finding",
    "GradientResult",
    "Pace",
    "PlantedError",
    "Power",
    "Report",
    "Verdict",
]


class Verdict(Enum):
    """What can be said of a gradient, the worse the later."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Estimate:
    """Numerical derivatives, each with a bound on its own error.

    All rows have one entry for each derivative: the estimate, its error bar, the slope on the right minus the slope on
    the left (0 where the function is smooth), the part of the bar that is due to such a jump and to nothing else, and
    the smallest step that the estimate rests on. An entry is nan, and its bar infinite, where no step gave finite
    values. ``evaluations`` counts the function evaluations spent on all of them together.
    """

    value: NDArray[np.float64]
    bar: NDArray[np.float64]
    jump: NDArray[np.float64]
    kink: NDArray[np.float64]
    step: NDArray[np.float64]
    evaluations: int


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or undecided, in words: ``kind`` is its short name, ``gradient`` what it is about.

    ``breach`` tells a breach of the contract, under one of the kinds in `rnngrad.breaches`, from a wrong number; one
    that concerns no single gradient has ``""`` as its gradient.
    """

    verdict: Verdict
    kind: str
    gradient: str
    message: str
    breach: bool = False


@dataclass(frozen=True)
class Entry:
    """One wrong entry of a gradient: what backward claims, and the numerical value with its bar.

    Of a complex entry it is one ``part``, ``".real"`` or ``".imag"``.
    """

    index: tuple[int, ...]
    backward: float
    numeric: float
    bar: float
    part: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What a wrong gradient is consistent with, in words: the simplest thing that explains it within the bars.

    ``kind`` is its short name and ``brief`` a few words for a headline, empty where none are apt. ``residual`` is what
    it leaves unexplained, relative to the largest entry; None where the words state what was seen and explain nothing.
    """

    kind: str
    gradient: str
    message: str
    residual: float | None
    brief: str = ""


@dataclass(frozen=True)
class GradientResult:
    """The verdict on the gradient of one input.

    The claimed value (``backward``), the numerical one with its ``bar``, the ``error`` between them and their
    ``ratio`` in bars are those of the worst entry, at ``worst_index``; where the gradient was right along a random
    direction through all entries, which is all that a passing check needs, they are the slopes along it and the index
    is None; of a complex entry they are those of its ``worst_part``. ``resolution`` is the smallest error that would
    have been seen in any single entry. ``wrong`` counts the wrong entries among those ``examined``, the worst of which
    are listed in ``entries``.
    The numbers are None where none was compared; ``findings`` then says why. ``diagnoses`` say what a wrong gradient is
    consistent with, the best first; the passes that they took are not counted.
    """

    name: str
    verdict: Verdict
    shape: tuple[int, ...]
    findings: tuple[Finding, ...] = ()
    worst_index: tuple[int, ...] | None = None
    backward: float | None = None
    numeric: float | None = None
    bar: float | None = None
    error: float | None = None
    ratio: float | None = None
    resolution: float | None = None
    wrong: int = 0
    examined: int = 0
    entries: tuple[Entry, ...] = ()
    worst_part: str = ""
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def size(self) -> int:
        """Return the number of entries."""
        return prod(self.shape)


@dataclass(frozen=True)
class Report:
    """Everything one check found out.

    ``case`` is the case as text, or None where arrays were given; ``sizes`` are its dims; ``method`` says in words
    how the numerical derivatives were taken, and ``evaluations`` how many forward passes were made; ``notes`` are
    remarks that change no verdict; ``replay`` is the command, or the call, that runs this very check again; ``lead``
    is the gradient that the headline is about, the first of those with the worst verdict; ``findings`` are those that
    concern no single gradient, and the first of them is the headline where no gradient leads.
    """

    pair: str
    case: str | None
    sizes: dict[str, Any]
    verdict: Verdict
    gradients: tuple[GradientResult, ...]
    evaluations: int
    method: str
    replay: str
    lead: str | None = None
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def breaches(self) -> tuple[Finding, ...]:
        """Return every breach of the contract, those of no single gradient first."""
        everything = (self.findings, *(gradient.findings for gradient in self.gradients))
        return tuple(finding for findings in everything for finding in findings if finding.breach)

    def __getitem__(self, name: str) -> GradientResult:
        """Return the result for one input."""
        for gradient in self.gradients:
            if gradient.name == name:
                return gradient
        raise KeyError(f"no gradient of {name!r} in this report; it has {[g.name for g in self.gradients]}")

    def __str__(self) -> str:
        from rnngrad.report import text

        return text.render(self)

    def to_json(self) -> str:
        """Return the report as JSON text."""
        from rnngrad.report import json

        return json.render(self)

    def to_html(self, path: str | Path) -> None:
        """Write the report as one self-contained HTML page."""
        from rnngrad.report import html

        Path(path).write_text(html.render(self), encoding="utf-8")


@dataclass(frozen=True)
class PlantedError:
    """An error that was planted into one or more gradients, or into the behaviour of backward where there is none.

    ``reason`` is the first case that caught it, or why none did.
    """

    kind: str
    gradients: tuple[str, ...]
    caught: bool
    reason: str


@dataclass(frozen=True)
class Power:
    """Which planted errors the cases of a test would have caught, and the forward passes that it took to tell."""

    pair: str
    examples: int
    planted: tuple[PlantedError, ...]
    evaluations: int

    @property
    def share(self) -> float:
        """Return the share of planted errors that were caught."""
        return sum(error.caught for error in self.planted) / len(self.planted)

    @property
    def missed(self) -> tuple[PlantedError, ...]:
        """Return the planted errors that no case caught."""
        return tuple(error for error in self.planted if not error.caught)

    def __str__(self) -> str:
        from rnngrad.report import power

        return power.render(self)


@dataclass(frozen=True)
class Compared:
    """One tensor as two sides compute it: a gradient, or an output, in the words of ``name``.

    ``ulps`` is how far the entry at ``index`` is off, in ulp of the tensor's largest entry; ``allowed`` is what
    rounding allows there, in the same unit, None where nothing had to be measured; ``left`` and ``right`` are its
    values. Where more than numbers differ ``words`` says what. ``side`` says which of the two the numerical derivative
    bears out, ``numeric`` with its ``bar``.
    """

    name: str
    verdict: Verdict
    words: str = ""
    index: tuple[int, ...] = ()
    left: float | None = None
    right: float | None = None
    ulps: float = 0.0
    allowed: float | None = None
    cotangent: str = ""
    side: str = ""
    numeric: float | None = None
    bar: float | None = None


@dataclass(frozen=True)
class Equivalence:
    """What became of comparing two sides, named by ``labels``, at one or more cases.

    ``tensors`` holds the worst of each; ``findings`` what differs beside numbers, such as an exception that only one
    side raises; ``case`` is the case of the first that is off, or of all where there was one.
    """

    title: str
    labels: tuple[str, str]
    case: str
    verdict: Verdict
    tensors: tuple[Compared, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Compared:
        """Return what became of one tensor."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(f"no {name!r} was compared; compared were {[tensor.name for tensor in self.tensors]}")

    def __str__(self) -> str:
        from rnngrad.report import equivalence

        return equivalence.render(self)


@dataclass(frozen=True)
class Pace:
    """Median seconds and peak bytes of one pass of two pairs at a case; ``ratios`` of all repetitions, in order."""

    case: str
    role: str
    seconds: tuple[float, float]
    ratios: tuple[float, ...]
    peak: tuple[int, int]
