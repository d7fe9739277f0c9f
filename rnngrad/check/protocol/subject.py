"""A pair at a point, called again and again: every call gets copies, and an exception of theirs becomes words."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays, at, described, number_array
from rnngrad.check.protocol.bits import same_bits
from rnngrad.check.protocol.large import largest
from rnngrad.errors import named
from rnngrad.pair import Pair
from rnngrad.result import Finding, Verdict
from rnngrad.spec import Sizes

__all__ = ["PLACED", "Excess", "Forwarded", "Handing", "Subject", "beyond", "breach", "first_place"]

PLACED = 64 * 2.0**-52  # of a tensor: some BLAS libraries round otherwise where the arrays lie otherwise in memory

Handing = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Forwarded:
    """What one forward pass returned."""

    outputs: Arrays
    cache: Any


@dataclass(frozen=True)
class Excess:
    """The entry of an array that is furthest from what it is held against, and by how much the array is off at most."""

    name: str
    index: tuple[int, ...]
    got: Any
    expected: Any
    apart: float

    @property
    def place(self) -> str:
        """Write the entry."""
        return at(self.name, self.index)


def copied(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy to hand out."""
    return array.copy()


@dataclass(frozen=True)
class Subject:
    """A pair, the inputs, the cotangents, and what the first forward and backward pass made of them.

    ``claimed`` holds copies of the gradients, those that are arrays of the right shape.
    """

    pair: Pair
    inputs: Arrays
    upstream: Arrays
    outputs: Arrays
    claimed: Arrays
    sizes: Sizes
    seed: int
    calls: Counter[str] = field(default_factory=Counter, repr=False)
    lenient: bool = False  # a gradient that is missing or None is zeros

    @cached_property
    def largest(self) -> dict[str, float]:
        """Return the largest size of an entry of each claimed gradient."""
        return {name: largest(np.asarray, array) for name, array in self.claimed.items()}

    def forward(self, inputs: Arrays | None = None, handing: Handing = copied) -> Forwarded | str:
        """Run forward; return the words for it where it raises, or gives arrays of one shape outputs of another."""
        handed = {name: handing(array) for name, array in (inputs or self.inputs).items()}
        self.calls["forward"] += 1
        try:
            returned, cache = self.pair.forward(handed)
            outputs = {name: np.asarray(returned[name]) for name in self.outputs}
        except MemoryError:
            raise
        except Exception as error:
            return f"forward raises {named(error)}"
        if inputs is None or all(array.shape == self.inputs[name].shape for name, array in inputs.items()):
            for name, array in outputs.items():
                if array.shape != (first := self.outputs[name].shape):
                    return f"forward returns shape {array.shape} for {name}, at the first call {first}"
        return Forwarded(outputs, cache)

    def backward(
        self, cache: Any, cotangents: Mapping[str, Any] | None = None, handing: Handing = copied
    ) -> Arrays | str:
        """Run backward; return words where it raises, or returns other kinds of arrays than the first time."""
        given = self.upstream if cotangents is None else cotangents
        try:
            handed = {name: None if array is None else handing(array) for name, array in given.items()}
            raw = self.pair.backward(handed, cache)
            return {name: self.alike(name, raw) for name in self.claimed}
        except MemoryError:
            raise
        except Unlike as error:
            return f"backward returns {error}"
        except Exception as error:
            return f"backward raises {named(error)}"

    def rerun(self, cotangents: Mapping[str, Any] | None = None, inputs: Arrays | None = None) -> Arrays | str:
        """Run forward and backward afresh."""
        passed = self.forward(inputs)
        return passed if isinstance(passed, str) else self.backward(passed.cache, cotangents)

    def alike(self, name: str, raw: Mapping[str, Any]) -> NDArray[Any]:
        """Return a gradient as an array like the first one; raise Unlike where it is none."""
        like, value = self.claimed[name], raw.get(name)
        if type(value) is np.ndarray and value.dtype == like.dtype and value.shape == like.shape:
            return value
        if value is None and self.lenient:
            return np.zeros_like(like)
        array = number_array(value)
        if array is None or array.shape != like.shape or (array.dtype.kind == "c" and like.dtype.kind != "c"):
            got = described(value) if array is None or array.shape == like.shape else f"shape {array.shape}"
            raise Unlike(f"{got} for {self.pair.claim(name)}, at the first call an array of shape {like.shape}")
        return array.astype(like.dtype)


class Unlike(Exception):
    """Say that a later call returned something else than the first."""


def beyond(got: Arrays, expected: Arrays, share: float, sizes: Mapping[str, float] | None = None) -> Iterator[Excess]:
    """Yield, for each array, where it is off by more than a share of its largest entry, or of the given size."""
    for name, right in expected.items():
        left = got[name]
        if same_bits(left, right):
            continue
        size = largest(np.asarray, right) if sizes is None else sizes[name]
        if (worst := largest(np.subtract, left, right)) > share * size:
            index = first_place(np.abs(left - right))
            yield Excess(name, index, left[index], right[index], worst)


def first_place(apart: NDArray[Any]) -> tuple[int, ...]:
    """Return the index of the largest number, the first one that is nan before all others."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))


def breach(kind: str, message: str, gradient: str = "") -> Finding:
    """Return a finding about the contract."""
    return Finding(Verdict.FAIL, kind, gradient, message, breach=True)
