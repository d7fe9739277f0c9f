"""How numbers are written: the only place that formats one."""

from math import isfinite, log10

__all__ = ["bar", "pairwise", "share", "value"]


def value(number: float, digits: int = 5) -> str:
    """Write a number to so many significant digits."""
    return f"{number:.{digits}g}"


def bar(number: float) -> str:
    """Write the size of an error: one digit is enough."""
    return f"{number:.0e}".replace("e-0", "e-").replace("e+0", "e+") if number else "0"


def pairwise(left: float, right: float) -> tuple[str, str]:
    """Write two numbers to as many digits as it takes to tell them apart, at least 5."""
    apart, size = abs(left - right), max(abs(left), abs(right))
    digits = 5
    if apart and isfinite(apart) and isfinite(size):
        digits = min(17, max(digits, int(log10(size / apart)) + 3))
    return value(left, digits), value(right, digits)


def share(part: float) -> str:
    """Write a share in whole percents; 100 % only where it is all."""
    return f"{int(100 * part)} %"
