"""The two ways in which a check ends early: the pair is misused, or a gradient is wrong."""

from functools import cache

__all__ = ["GradientMismatch", "InvalidPair", "mismatch_of"]


class InvalidPair(ValueError):
    """Say that a pair, its shapes or its arrays cannot be checked as they were given."""


class GradientMismatch(AssertionError):
    """Say that a hand-derived gradient is not the gradient of its forward pass.

    The message is the whole report; ``report`` holds it as a value.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


@cache
def mismatch_of(gradient: str) -> type[GradientMismatch]:
    """Return the exception class of one gradient.

    Hypothesis tells failures apart by their exception's type: with a class for each gradient, two wrong
    gradients of one run are shrunk and reported as two.
    """
    names = {"__module__": "rnngrad", "__qualname__": "GradientMismatch", "__doc__": f"{gradient} is wrong."}
    return type("GradientMismatch", (GradientMismatch,), names)
