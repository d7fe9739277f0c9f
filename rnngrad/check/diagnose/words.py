"""Lists of names in prose."""

from collections.abc import Sequence

__all__ = ["listed"]


def listed(names: Sequence[str]) -> str:
    """Join names by commas and a last "and"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
