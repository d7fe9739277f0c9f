"""Aligned columns of text, and lines that fit a terminal."""

from collections.abc import Sequence

__all__ = ["WIDTH", "columns", "spread"]

WIDTH = 80  # columns of a terminal, and of a line that a CI log shows; what is to be pasted may be longer
APART = " " * 4


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out in columns, two spaces apart, without trailing blanks."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def spread(parts: Sequence[str]) -> list[str]:
    """Lay parts out in a line, and where it is full in further ones, which are indented; each part stays whole."""
    lines = [parts[0]]
    for part in parts[1:]:
        longer = lines[-1] + APART + part
        lines[-1:] = [longer] if len(longer) <= WIDTH else [lines[-1], APART + part]
    return lines
