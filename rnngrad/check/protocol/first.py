"""The first forward and backward pass, whose numbers are judged: what it did to what it was given."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.bits import Kept, changes, difference, keep, owner, same_bits
from rnngrad.check.protocol.subject import breach
from rnngrad.result import Finding

__all__ = ["First", "Forward", "kept_of", "untouched", "unwrapped"]


@dataclass
class Forward:
    """A forward pass: the copies that it was handed, what it returned, and the inputs that it changed."""

    handed: Arrays
    returned: Mapping[str, Any]
    cache: Any
    changed: list[str]


@dataclass
class First:
    """The first pass: what was handed out and what came back, as it is now; ``kept`` is the cache as it was.

    It is emptied as soon as nobody needs it any more: at a million parameters each part is a copy of them.
    """

    forward: Forward
    kept: Kept
    cotangents: Arrays
    raw: dict[str, Any]

    def cache(self) -> Any:
        """Return the cache, for another backward pass."""
        return self.forward.cache

    def forget(self) -> None:
        """Let go of everything but the outputs."""
        self.raw.clear()
        self.forward.handed.clear()
        self.forward.cache = None


def unwrapped(cache: Any) -> Any:
    """Return what a plain forward function returned as its cache, which stands in a tuple of its own."""
    return cache[0] if isinstance(cache, tuple) and len(cache) == 1 else cache


def kept_of(forward: Forward) -> Kept:
    """Copy what is in the cache of a forward pass and is neither an input nor an output."""
    outputs = [value for value in forward.returned.values() if isinstance(value, np.ndarray)]
    return keep(unwrapped(forward.cache), "cache", [*forward.handed.values(), *outputs])


def untouched(first: First, inputs: Arrays, outputs: Arrays, upstream: Arrays) -> Iterator[Finding]:
    """Yield what is no longer as it was: inputs, cotangents, outputs, the cache."""
    forward = first.forward
    spoiled = []
    for name, array in forward.handed.items():
        if not same_bits(array, inputs[name]):
            role = "forward" if name in forward.changed else "backward"
            spoiled.append(array)
            yield breach("inputs", f"{role} changes its input {name} in place: {difference(inputs[name], array)}")
    for name, array in upstream.items():
        if not same_bits(first.cotangents[name], array):
            change = difference(array, first.cotangents[name])
            yield breach("cotangent", f"backward changes its cotangent d{name} in place: {change}")
    for name, array in outputs.items():
        raw = np.asarray(forward.returned[name])
        now = raw.astype(array.dtype)
        if not same_bits(now, array) and owner(raw) not in map(owner, spoiled):
            yield breach("outputs", f"backward changes the output {name} in place: {difference(array, now)}")
    for change in changes(unwrapped(forward.cache), "cache", first.kept):
        yield breach("cache", f"backward changes the cache in place: {change}")
