"""The power of a test as text: the share of planted errors that were caught, and why the others were not."""

from rnngrad.report.numbers import share
from rnngrad.report.table import columns, spread
from rnngrad.result import Power

__all__ = ["render"]


def render(power: Power) -> str:
    """Return the power of a test as lines of text."""
    caught = len(power.planted) - len(power.missed)
    examples = f"{power.examples} example{'s' if power.examples != 1 else ''}"
    told = f"{caught} of {len(power.planted)} planted errors caught ({share(power.share)})"
    head = spread([f"power of {power.pair}", told, f"{examples}, {power.evaluations} forward passes"])
    rows = [("missed", ", ".join(error.gradients) or "all", error.kind, error.reason) for error in power.missed]
    return "\n".join([*head, *columns(rows)])
