"""A report as JSON: its fields as they are, numbers that JSON lacks as text."""

import json
from dataclasses import asdict
from enum import Enum
from math import isfinite
from typing import Any

from rnngrad.result import Report

__all__ = ["render"]


def render(report: Report) -> str:
    """Return the report as an indented JSON object."""
    return json.dumps(plain(asdict(report)), indent=2, allow_nan=False)


def plain(value: Any) -> Any:
    """Replace what JSON has no word for: an enum by its value, nan and the infinities by their names."""
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [plain(child) for child in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value
