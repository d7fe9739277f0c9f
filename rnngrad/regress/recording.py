"""What is recorded of a pair, as a value: which pair, which cases, and the tensors at each of them."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Recorded", "Recording", "checksum"]


@dataclass(frozen=True)
class Recorded:
    """One case, as text, with its tensors by name: outputs as ``output NAME``, gradients by the name of their input."""

    case: str
    tensors: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Recording:
    """A pair by name, the declared shapes of its inputs, what was recorded, and what it was recorded with.

    ``test`` is the test that recorded it, which only the text file names; ``""`` where it was none, or is not known.
    """

    pair: str
    inputs: dict[str, str]
    cases: tuple[Recorded, ...]
    versions: dict[str, str]
    test: str = ""


def checksum(array: NDArray[Any]) -> str:
    """Return a short checksum of the shape, the dtype and the bits of an array."""
    whole = f"{array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes()
    return hashlib.sha256(whole).hexdigest()[:16]
