"""The precision that a gradient comes in: its dtype, and the single precision that its last bits tell of."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.protocol.subject import Subject, breach
from rnngrad.result import Finding

__all__ = ["in_another_dtype", "in_single"]

ENOUGH = 2  # entries that have to be numbers in single precision; one alone is one by chance once in 2^29
SHORT = 2**18  # numbers of fewer bits, such as 0.5, tell nothing


def in_another_dtype(subject: Subject, raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield each gradient of a floating-point dtype that is not the one of its input."""
    for name in subject.claimed:
        got, expected = getattr(raw[name], "dtype", None), subject.inputs[name].dtype
        if got is not None and got != expected and got.kind == expected.kind:
            key = subject.pair.claim(name)
            yield breach("dtype", f"{name}: {key} has dtype {got}, expected {expected}, the dtype of {name}", name)


def in_single(name: str, gradient: NDArray[Any]) -> Finding | None:
    """Return the finding for a gradient in double precision all of whose entries are numbers in single precision.

    That alone is no breach: it is asked of a gradient that is wrong, to say why.
    """
    row = np.ravel(gradient)
    row = row[row != 0].view(np.float64)
    with np.errstate(over="ignore"):
        single = row.astype(np.float32)
    if len(row) < ENOUGH or not np.array_equal(single, row):
        return None
    mantissa, _ = np.frexp(row)
    if not (np.abs(mantissa) * SHORT % 1).any():
        return None
    said = "every entry is a number in single precision, though the array is in double precision"
    return breach("dtype", f"{name}: {said}: consistent with float32 inside", name)
