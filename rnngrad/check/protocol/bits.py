"""The bits of nested values: kept, and held against what became of them."""

import copy
import io
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import described
from rnngrad.check.protocol.large import pieces

__all__ = ["Kept", "arrays_of", "changes", "difference", "keep", "owner", "same_bits"]

SMALL = 1 << 16  # bytes: an array of up to so many is compared in one go
ATOMS = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    NoneType,
    np.generic,
    type,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    ModuleType,
)
LEAVES = (np.ndarray, *ATOMS)
GONE = object()
KNOWN = object()  # in the place of an array that is kept elsewhere
LOST = object()  # in the place of what could not be copied


@dataclass(frozen=True)
class Kept:
    """Copies of the leaves of a nested value, by where they stand; ``lost`` names those that cannot be copied."""

    leaves: dict[str, Any]
    lost: tuple[str, ...]


def same_bits(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Tell whether two arrays hold the same bits in the same shape and dtype."""
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.hasobject:
        return bool(np.array_equal(left, right))
    if left.nbytes <= SMALL:
        return left.tobytes() == right.tobytes()
    if left.dtype == np.float64 and left.flags.c_contiguous and right.flags.c_contiguous:
        return bool((left.reshape(-1).view(np.int64) == right.reshape(-1).view(np.int64)).all())
    return all(one.tobytes() == other.tobytes() for one, other in pieces(left, right))


def owner(array: NDArray[Any]) -> int:
    """Return the identity of the object that owns the memory of an array: only arrays of one owner can share any."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array) if array.base is None else id(array.base)


def walk(value: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a nested value with their places: dicts, tuples, lists and the attributes of objects."""
    if isinstance(value, LEAVES):  # the frequent ones first
        yield path, value
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from walk(child, f"{path}[{key!r}]", seen)
    elif isinstance(value, tuple | list):
        for position, child in enumerate(value):
            yield from walk(child, f"{path}[{position}]", seen)
    elif hasattr(value, "__array__") or isinstance(value, io.IOBase | Set) or not hasattr(value, "__dict__"):
        yield path, value
    else:
        for key, child in vars(value).items():
            yield from walk(child, f"{path}.{key}", seen)


def arrays_of(value: Any, path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays of a nested value with their places."""
    return ((where, leaf) for where, leaf in walk(value, path, set()) if isinstance(leaf, np.ndarray))


def keep(value: Any, path: str, known: Iterable[NDArray[Any]] = ()) -> Kept:
    """Copy the leaves of a nested value, but for arrays in the memory of known ones, which are kept already."""
    owners = {owner(array) for array in known}
    leaves: dict[str, Any] = {}
    lost = []
    for where, leaf in walk(value, path, set()):
        if isinstance(leaf, np.ndarray):
            leaves[where] = leaf.copy() if owner(leaf) not in owners else KNOWN
            continue
        leaves[where] = copied(leaf)
        if leaves[where] is LOST:
            lost.append(f"{where} ({described(leaf)})")
    return Kept(leaves, tuple(lost))


def copied(leaf: Any) -> Any:
    """Return a copy of a leaf that is no numpy array; LOST where there is none."""
    if isinstance(leaf, ATOMS):
        return leaf
    try:
        return np.array(leaf) if hasattr(leaf, "__array__") else copy.deepcopy(leaf)
    except Exception:
        return LOST


def changes(value: Any, path: str, kept: Kept) -> Iterator[str]:
    """Say where a nested value is no longer what was kept of it."""
    now = dict(walk(value, path, set()))
    for where, before in kept.leaves.items():
        after = now.get(where, GONE)
        if after is GONE:
            yield f"{where} is gone"
        elif before is not LOST and before is not KNOWN and not unchanged(before, after):
            yield f"{where} {difference(before, after)}"


def unchanged(before: Any, after: Any) -> bool:
    """Tell whether a leaf is what it was; what cannot be compared counts as such."""
    if isinstance(before, np.ndarray):
        return hasattr(after, "__array__") and same_bits(before, np.asarray(after))
    if before is after:
        return True
    try:
        return bool(before == after) or bool(before != before) or not comparable(before)
    except Exception:
        return True


def comparable(value: Any) -> bool:
    """Tell whether equality means more than identity for a value, so that its copy would be equal to it."""
    return any("__eq__" in vars(base) for base in type(value).__mro__[:-1])


def difference(before: Any, after: Any) -> str:
    """Say how a leaf changed: an array at its first changed entry."""
    if not isinstance(before, np.ndarray):
        return f"was {before!r:.40}, is {after!r:.40}"
    now = np.asarray(after)
    if now.shape != before.shape or now.dtype != before.dtype:
        return f"was {before.dtype} of shape {before.shape}, is {now.dtype} of shape {now.shape}"
    moved = np.argwhere((now != before) & ~((now != now) & (before != before)))
    index = tuple(int(i) for i in moved[0]) if len(moved) else (0,) * before.ndim
    place = f"at [{', '.join(map(str, index))}] " if index else ""
    return f"{place}was {shown(before[index])}, is {shown(now[index])}"


def shown(entry: Any) -> str:
    """Write one entry of an array."""
    return f"{entry:.6g}" if isinstance(entry, np.inexact | np.integer) else f"{entry!s:.20}"
