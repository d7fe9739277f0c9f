"""Time and memory of two pairs as text: both, and their ratio."""

from collections.abc import Sequence

from rnngrad.report.numbers import value
from rnngrad.report.table import columns
from rnngrad.result import Pace

__all__ = ["render"]

HEADER = ("pass", "old ms", "new ms", "new/old", "half of them", "old kB", "new kB", "new/old")


def render(paces: Sequence[Pace]) -> str:
    """Return a table for each case."""
    lines = []
    for case in dict.fromkeys(pace.case for pace in paces):
        lines += ["", case, *columns([HEADER, *(cells(pace) for pace in paces if pace.case == case)])]
    return "\n".join(lines[1:])


def cells(pace: Pace) -> tuple[str, ...]:
    """Return the cells of one pass; the ratio is the median of those of each repetition."""
    old, new = (value(1000 * seconds, 3) for seconds in pace.seconds)
    ratios, count = pace.ratios, len(pace.ratios)
    low, high = ratios[count // 4], ratios[(3 * count - 1) // 4]
    before, after = (value(size / 1000, 3) for size in pace.peak)
    most = value(pace.peak[1] / max(pace.peak[0], 1), 3)
    return (
        pace.role,
        old,
        new,
        value(ratios[count // 2], 3),
        f"{value(low, 3)} to {value(high, 3)}",
        before,
        after,
        most,
    )
