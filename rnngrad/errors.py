"""The two ways in which a check ends early: the pair is misused, or a gradient is wrong."""

from collections.abc import Callable
from functools import cache
from typing import Any

__all__ = ["GradientMismatch", "InvalidPair", "Undecided", "mismatch_of"]


class InvalidPair(ValueError):
    """Say that a pair, its shapes or its arrays cannot be checked as they were given."""

    __module__ = "rnngrad"


class GradientMismatch(AssertionError):
    """Say that a hand-derived gradient is not the gradient of its forward pass.

    The message is the whole report; ``report`` holds it as a value, ``gradient`` names the input. In place of a message
    the function can be given that completes the report. It is called once, when somebody looks: of the many failures
    that a search for the smallest case goes through, only the last one is read.
    """

    __module__ = "rnngrad"
    gradient: str | None = None

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


class Undecided(AssertionError):
    """Say that a test passed too little: of too few examples could anything be said."""

    __module__ = "rnngrad"


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


def restored(gradient: str | None, message: str, report: object) -> GradientMismatch:
    """Return an exception as it was before it was pickled."""
    return (GradientMismatch if gradient is None else mismatch_of(gradient))(message, report)
