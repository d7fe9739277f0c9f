"""The ways in which a check ends early: the pair is misused, a gradient is wrong, or the contract is broken."""

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = [
    "ContractBreach",
    "Exhausted",
    "GradientMismatch",
    "InvalidBaseline",
    "InvalidPair",
    "NotEquivalent",
    "Undecided",
    "breach_of",
    "mismatch_of",
    "moved_of",
    "named",
]


class InvalidPair(ValueError):
    """Say that a pair, its shapes or its arrays cannot be checked as they were given."""

    __module__ = "rnngrad"


class InvalidBaseline(ValueError):
    """Say that a recorded baseline is missing, stale, or not to be used as it is, and what to do."""

    __module__ = "rnngrad"


class GradientMismatch(AssertionError):
    """Say that a hand-derived gradient is not the gradient of its forward pass.

    The message is the whole report; ``report`` holds it as a value, ``gradient`` names the input. In place of a message
    the function can be given that completes the report. It is called once, when somebody looks: of the many failures
    that a search for the smallest case goes through, only the last one is read. ``brief`` is one that returns what is
    known already, where there is such a thing.
    """

    __module__ = "rnngrad"
    gradient: str | None = None
    brief: Callable[[], object] | None = None

    def __init__(self, message: str | Callable[[], object], report: object = None) -> None:
        super().__init__(*[message] if isinstance(message, str) else [])
        self.message, self.known = message, report

    @property
    def report(self) -> Any:
        """Return the whole report."""
        str(self)
        return self.known

    def __str__(self) -> str:
        if not isinstance(self.message, str):
            self.known = self.message()
            self.message = str(self.known)
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.gradient, str(self), self.report)


class ContractBreach(GradientMismatch):
    """Say that a pair breaks the contract around the numbers: a changed input, an alias, a call that disturbs another.

    ``kind`` is the kind of breach, as in `rnngrad.breaches`; ``gradient`` is None where it concerns no single one.
    """

    __module__ = "rnngrad"
    kind: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (self.gradient, str(self), self.report, self.kind)


class NotEquivalent(GradientMismatch):
    """Say that something moved: two pairs, or a pair and what was recorded of it, do not compute the same.

    ``gradient`` is the tensor that is furthest off, ``report`` an `Equivalence`.
    """

    __module__ = "rnngrad"

    def __reduce__(self) -> tuple[Any, ...]:
        return moved_again, (self.gradient, str(self), self.report)


class Undecided(AssertionError):
    """Say that a test passed too little: of too few examples could anything be said."""

    __module__ = "rnngrad"


class Exhausted(Exception):
    """Say, inside a check, that its budget of forward passes is spent."""


def named(error: BaseException) -> str:
    """Return an exception in words: its type, and its text where it has one."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@cache
def mismatch_of(gradient: str) -> type[GradientMismatch]:
    """Return the exception class of one gradient.

    Hypothesis tells failures apart by their exception's type: with a class for each gradient, two wrong
    gradients of one run are shrunk and reported as two.
    """
    names = {
        "gradient": gradient,
        "__module__": "rnngrad",
        "__qualname__": "GradientMismatch",
        "__doc__": f"{gradient} is wrong.",
    }
    return type("GradientMismatch", (GradientMismatch,), names)


@cache
def breach_of(kind: str, gradient: str | None = None) -> type[ContractBreach]:
    """Return the exception class of one kind of breach, of one gradient or of none, for the same reason."""
    names = {
        "kind": kind,
        "gradient": gradient,
        "__module__": "rnngrad",
        "__qualname__": "ContractBreach",
        "__doc__": f"{gradient or 'The pair'} breaks the contract: {kind}.",
    }
    return type("ContractBreach", (ContractBreach,), names)


@cache
def moved_of(tensor: str) -> type[NotEquivalent]:
    """Return the exception class of one tensor that moved, for the same reason."""
    names = {
        "gradient": tensor,
        "__module__": "rnngrad",
        "__qualname__": "NotEquivalent",
        "__doc__": f"{tensor} is not what it was.",
    }
    return type("NotEquivalent", (NotEquivalent,), names)


def moved_again(tensor: str | None, message: str, report: object) -> NotEquivalent:
    """Return an exception about what moved as it was before it was pickled."""
    return (NotEquivalent if tensor is None else moved_of(tensor))(message, report)


def restored(gradient: str | None, message: str, report: object, kind: str | None = None) -> GradientMismatch:
    """Return an exception as it was before it was pickled."""
    if kind is not None:
        return breach_of(kind, gradient)(message, report)
    return (GradientMismatch if gradient is None else mismatch_of(gradient))(message, report)
