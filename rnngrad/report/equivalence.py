"""Two sides compared, as text: what is furthest off first, then every tensor."""

from rnngrad.report.numbers import bar, pairwise, value
from rnngrad.report.table import columns
from rnngrad.result import Compared, Equivalence, Verdict

__all__ = ["render"]


def render(found: Equivalence) -> str:
    """Return a comparison as lines of text."""
    header = ("tensor", "verdict", "furthest", *found.labels, "ulp apart", "allowed", "numeric ± bar")
    lines = [headline(found), "", f"{found.title}    case {found.case}"]
    if found.tensors:
        lines += columns([header, *map(cells, found.tensors)])
    lines += [f"{one.name}: {one.words}" for one in found.tensors if one.words]
    lines += [f"verdict    {one.name}: {one.side}" for one in found.tensors if one.side]
    lines += [f"finding    {finding.message}" for finding in found.findings]
    return "\n".join([*lines, *(f"note       {note}" for note in found.notes)])


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
    return f"{one.name}{place(one)}: {old} {left}, {new} {right}, {bar(one.ulps)} ulp apart{allowed}{side}"


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
