"""A report as text for the terminal: the headline first, then the table, then how to run it again."""

from collections.abc import Sequence
from textwrap import fill

from rnngrad.report.numbers import bar, pairwise, value
from rnngrad.report.table import WIDTH, columns
from rnngrad.result import Finding, GradientResult, Report, Verdict

__all__ = ["HEADER", "cells", "diagnoses", "found", "headline", "render", "subject", "wrong_entries"]

HEADER = ("gradient", "verdict", "worst", "backward", "numeric ± bar", "off by", "would have seen")


def render(report: Report) -> str:
    """Return the report as lines of text."""
    first = headline(report)
    lines = [first, "", subject(report), *table(report.gradients)]
    for gradient in report.gradients:
        lines += wrong_entries(gradient)
    remarks = [(label(finding), finding.message) for finding in found(report) if finding.message != first]
    remarks += [("diagnosis", message) for message in diagnoses(report)]
    remarks += [("note", note) for note in report.notes]
    lines += [line for called, message in remarks for line in wrapped(called, message)]
    return "\n".join([*lines, f"replay     {report.replay}"])


def table(gradients: Sequence[GradientResult]) -> list[str]:
    """Lay the gradients out in a table; where it is too wide its header is, or the values of each, in a second line."""
    rows = [HEADER, *map(cells, gradients)]
    first = tuple("would have" if cell == HEADER[-1] else "" for cell in HEADER)
    second = (*HEADER[:-1], "seen")
    for lines in (columns(rows), columns([first, second, *rows[1:]])):
        if max(map(len, lines)) <= WIDTH:
            return lines
    head, *narrow = columns([(name, verdict, worst, off, seen) for name, verdict, worst, _, _, off, seen in rows])
    found = [head]
    for line, (_, _, _, claimed, numeric, off, _) in zip(narrow, rows[1:], strict=True):
        values = f"backward {claimed}, numeric {numeric}" if off else numeric
        found += [line, f"    {values}"] if values else [line]
    return found


def found(report: Report) -> list[Finding]:
    """Return every finding of a report, those of no single gradient first."""
    return [*report.findings, *(finding for gradient in report.gradients for finding in gradient.findings)]


def label(finding: Finding) -> str:
    """Say whether a finding is about the contract or about the numbers."""
    return "contract" if finding.breach else "finding"


def diagnoses(report: Report) -> list[str]:
    """Return what the diagnoses say, those that are shared by gradients once."""
    return list(dict.fromkeys(one.message for gradient in report.gradients for one in gradient.diagnoses))


def wrapped(label: str, message: str) -> list[str]:
    """Break a message into lines under a label; words stay whole, so that a path can be pasted."""
    first, rest = f"{label:11}", " " * 11
    return fill(
        message, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ).split("\n")


def wrong_entries(gradient: GradientResult) -> list[str]:
    """Say how many entries are wrong, and list the worst."""
    if not gradient.wrong:
        return []
    part = " that were looked at" if gradient.examined < gradient.size else ""
    lines = [f"wrong      {gradient.wrong} of {gradient.examined} entries of {gradient.name}{part}"]
    for entry in gradient.entries if gradient.wrong > 1 else ():
        claimed, numeric = pairwise(entry.backward, entry.numeric)
        lines.append(
            f"           {list(entry.index)}{entry.part} backward {claimed}, numeric {numeric} ± {bar(entry.bar)}"
        )
    return lines


def headline(report: Report) -> str:
    """Say the worst thing in one line: which gradient, where, both values, the bar; the others where there is room.

    What a finding says is not cut: test runners cut their summaries, and searches look for whole sentences.
    """
    if report.lead is None and report.findings:
        return report.findings[0].message
    if report.verdict is Verdict.PASS or report.lead is None:
        return f"{report.pair}: {'every gradient is right' if report.gradients else 'no gradient was judged'}"
    lead = report[report.lead]
    if lead.findings and not lead.wrong:
        return lead.findings[0].message
    claimed, numeric = shown(lead)
    wrong = [gradient.name for gradient in report.gradients if gradient.verdict is Verdict.FAIL]
    others = [name for name in wrong if name != lead.name]
    also = [f"; also wrong: {', '.join(others)}", f"; {len(others)} more wrong", ""] if others else [""]
    where = index(lead) or (" along a direction" if lead.shape else "")
    said = f"{lead.name}{where}: backward {claimed}, numeric {numeric} ± {bar(lead.bar or 0.0)}"
    brief = f"; {lead.diagnoses[0].brief}" if lead.diagnoses and lead.diagnoses[0].brief else ""
    lines = [said + one + other for one in (brief, "") for other in also]
    return next((line for line in lines if len(line) <= WIDTH), said)


def subject(report: Report) -> str:
    """Name the pair, the case and the cost."""
    case = report.case or "the given arrays"
    cost = f"{report.evaluations} forward passes, {report.method}"
    return f"pair {report.pair}    case {case}\n{cost}"


def cells(gradient: GradientResult) -> tuple[str, ...]:
    """Return the cells of one gradient in the table."""
    if gradient.backward is None or gradient.numeric is None:
        return (gradient.name, gradient.verdict.value, "", "" if gradient.size else "no entries", "", "", "")
    claimed, numeric = shown(gradient)
    return (
        gradient.name,
        gradient.verdict.value,
        index(gradient) or "all",
        claimed,
        f"{numeric} ± {bar(gradient.bar or 0.0)}",
        bar(gradient.error or 0.0),
        bar(gradient.resolution or 0.0),
    )


def shown(gradient: GradientResult) -> tuple[str, str]:
    """Write the claimed and the numerical value: enough digits to tell them apart where they differ."""
    left, right = float(gradient.backward or 0.0), float(gradient.numeric or 0.0)
    apart = gradient.verdict is Verdict.FAIL and (gradient.error or 0.0) > (gradient.bar or 0.0)
    return pairwise(left, right) if apart else (value(left), value(right))


def index(gradient: GradientResult) -> str:
    """Write the index of the worst entry."""
    place = f"[{', '.join(map(str, gradient.worst_index))}]" if gradient.worst_index else ""
    return place + gradient.worst_part
