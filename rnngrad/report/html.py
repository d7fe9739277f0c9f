"""A report as one self-contained HTML page: no script, no request, light and dark."""

from html import escape

from rnngrad.report.text import HEADER, cells, diagnoses, found, headline, subject, wrong_entries
from rnngrad.result import GradientResult, Report

__all__ = ["render"]

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --open: #b26a00; --good: #2e7d32; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.15rem; } table { border-collapse: collapse; }
.scroll { overflow-x: auto; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
td, code { font-family: ui-monospace, monospace; font-size: .9em; white-space: nowrap; }
.FAIL { color: var(--bad); font-weight: 700; } .inconclusive { color: var(--open); } .pass { color: var(--good); }
pre { overflow-x: auto; padding: .6rem; border: 1px solid var(--line); }
"""


def render(report: Report) -> str:
    """Return the report as an HTML document."""
    title = escape(f"{report.pair}: {report.verdict.value}")
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEADER)
    findings = [f"contract: {one.message}" if one.breach else one.message for one in found(report)]
    wrong = "\n".join(line for gradient in report.gradients for line in wrong_entries(gradient))
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in [*findings, *diagnoses(report), *report.notes])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f'<h1 class="{report.verdict.value}">{escape(headline(report))}</h1>'
        f"<p>{escape(subject(report)).replace(chr(10), '<br>')}</p>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(map(row, report.gradients))}</tbody></table></div>"
        f"<pre>{escape(wrong)}</pre><ul>{remarks}</ul>"
        f"<p>Run it again:</p><pre>{escape(report.replay)}</pre></body></html>\n"
    )


def row(gradient: GradientResult) -> str:
    """Return one gradient as a table row."""
    name, verdict, *rest = (escape(cell) for cell in cells(gradient))
    numbers = "".join(f"<td>{cell}</td>" for cell in rest)
    return f'<tr><th>{name}</th><td class="{gradient.verdict.value}">{verdict}</td>{numbers}</tr>'
