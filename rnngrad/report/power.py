"""The power of a test as text: the share of planted errors that were caught, and why the others were not."""

from rnngrad.report.table import columns
from rnngrad.result import Power

__all__ = ["render"]


def render(power: Power) -> str:
    """Return the power of a test as lines of text."""
    caught = len(power.planted) - len(power.missed)
    examples = f"{power.examples} example{'s' if power.examples != 1 else ''}"
    share = f"{caught} of {len(power.planted)} planted errors caught ({share_of(power)})"
    head = f"power of {power.pair}    {share}, {examples}, {power.evaluations} forward passes"
    rows = [("missed", ", ".join(error.gradients) or "all", error.kind, error.reason) for error in power.missed]
    return "\n".join([head, *columns(rows)])


def share_of(power: Power) -> str:
    """Write the share of planted errors that were caught; 100 % only where it is all of them."""
    return f"{int(100 * power.share)} %"
