"""The table that ends a run: for each gradient how many examples were decided, how well, and on which shapes."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rnngrad.report.numbers import bar, share, value
from rnngrad.report.table import columns, spread

__all__ = ["markdown", "text"]

HEADER = ("gradient", "decided", "inconclusive", "failed", "error/bar", "would have seen")


def cells(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the cells of one gradient."""
    decided = row["pass"] + row["FAIL"]
    numbers = (value(row["ratio"], 2), bar(row["resolution"])) if row["pass"] else ("-", "-")
    return (name, str(decided), str(row["inconclusive"]), str(row["FAIL"]), *numbers)


def rows(tally: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the header and a row for each gradient of a pair."""
    return [HEADER, *(cells(name, row) for name, row in tally["gradients"].items())]


def subject(tally: Mapping[str, Any]) -> list[str]:
    """Name the pair, its examples, their cost, and the shapes that were seen, in parts."""
    spans = ", ".join(span(dim, *sizes) for dim, sizes in tally["sizes"].items())
    each = value(tally["evaluations"] / max(tally["examples"], 1), 3)
    examples = f"{tally['examples']} example{'s' if tally['examples'] != 1 else ''}"
    power = f"power {share(tally['power'])}" if "power" in tally else ""
    parts = [f"pair {tally['pair']}", examples, f"{each} forward passes each", power, spans]
    return [part for part in parts if part]


def contract(tally: Mapping[str, Any]) -> list[str]:
    """Say in how many examples the contract was broken, by kind of breach; nothing where it held."""
    broken = tally.get("breaches") or {}
    return [f"contract broken: {', '.join(f'{kind} in {broken[kind]}' for kind in sorted(broken))}"] if broken else []


def span(dim: str, low: Any, high: Any) -> str:
    """Write the sizes of a dim that were seen."""
    return f"{dim} {low}" if low == high else f"{dim} {low}-{high}"


def text(tallies: Iterable[Mapping[str, Any]]) -> str:
    """Return a table for each pair as aligned text."""
    tables = ([*spread(subject(tally)), *columns(rows(tally)), *contract(tally)] for tally in tallies)
    return "\n\n".join("\n".join(lines) for lines in tables)


def markdown(tallies: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for each pair as Markdown."""
    parts = (f"**{escaped('    '.join(subject(tally)))}**\n\n{marked(rows(tally))}" for tally in tallies)
    lines = ("".join(f"\n{line}\n" for line in contract(tally)) for tally in tallies)
    return "\n".join(part + line for part, line in zip(parts, lines, strict=True))


def marked(table: list[tuple[str, ...]]) -> str:
    """Write rows as a Markdown table."""
    header, *body = table
    shown = [tuple(map(escaped, row)) for row in body]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, ("---",) * len(header), *shown])


def escaped(words: str) -> str:
    """Escape what Markdown would read as HTML, as another cell, or as emphasis within a name such as `*batch`."""
    return re.sub(r"([\\`*<>|\[\]&~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", words)
