"""Two sides compared, as text: what is furthest off first, then every tensor."""

from rnngrad.report.numbers import bar, pairwise, value
from rnngrad.report.table import WIDTH, columns, spread
from rnngrad.result import Compared, Equivalence, Verdict

__all__ = ["render"]


def render(found: Equivalence) -> str:
    """Return a comparison as lines of text."""
    lines = [headline(found), "", *spread([found.title, f"case {found.case}"])]
    if found.tensors:
        lines += table(found)
    lines += [f"{one.name}: {one.words}" for one in found.tensors if one.words]
    lines += [f"verdict    {one.name}: {one.side}" for one in found.tensors if one.side]
    lines += [f"finding    {finding.message}" for finding in found.findings]
    return "\n".join([*lines, *(f"note       {note}" for note in found.notes)])


def table(found: Equivalence) -> list[str]:
    """Lay the tensors out in a table; where it is too wide the values of each are in a second line."""
    old, new = found.labels
    rows = [*map(cells, found.tensors)]
    lines = columns([("tensor", "verdict", "furthest", old, new, "ulp apart", "allowed", "numeric ± bar"), *rows])
    if max(map(len, lines)) <= WIDTH:
        return lines
    header = ("tensor", "verdict", "furthest", "ulp apart", "allowed")
    head, *narrow = columns([header, *((*row[:3], *row[5:7]) for row in rows)])
    lines = [head]
    for line, (_, _, _, left, right, _, _, numeric) in zip(narrow, rows, strict=True):
        values = [f"    {old} {left}", f"{new} {right}", *([f"numeric {numeric}"] if numeric else [])]
        lines += [line, *spread(values)] if left else [line]
    return lines


def headline(found: Equivalence) -> str:
    """Say in one line what is off, and by how much."""
    worst = [one for one in found.tensors if one.verdict is Verdict.FAIL]
    if found.verdict is Verdict.PASS:
        return f"{found.title}: the same within rounding"
    if not worst:
        return found.findings[0].message
    one = worst[0]
    if one.left is None or one.right is None:
        return f"{one.name}: {one.words}"
    left, right = pairwise(one.left, one.right)
    old, new = found.labels
    side = f"; {one.side}" if one.side else ""
    allowed = "" if one.allowed is None else f", rounding allows {bar(one.allowed)}"
    said, ulps = f"{one.name}{place(one)}: {old} {left}, {new} {right}", f", {bar(one.ulps)} ulp apart"
    lines = [said + more + side for more in (ulps + allowed, ulps, "")]
    return next((line for line in lines if len(line) <= WIDTH), lines[-1])


def cells(one: Compared) -> tuple[str, ...]:
    """Return the cells of one tensor in the table."""
    if one.left is None or one.right is None:
        return (one.name, one.verdict.value, "", "", "", bar(one.ulps) if not one.words else "", "", "")
    numeric = "" if one.numeric is None else f"{value(one.numeric, 12)} ± {bar(one.bar or 0.0)}"
    allowed = "" if one.allowed is None else bar(one.allowed)
    where = " ".join(word for word in (place(one), one.cotangent) if word)
    return (one.name, one.verdict.value, where, *pairwise(one.left, one.right), bar(one.ulps), allowed, numeric)


def place(one: Compared) -> str:
    """Write the index of an entry."""
    return f"[{', '.join(map(str, one.index))}]" if one.index else ""
