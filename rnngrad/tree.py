"""Nested arrays <-> named leaves <-> flat vector.

A tree is an array, or a dict, tuple or list of trees. A leaf's path is the tuple of keys that leads to it;
its name is the last key where that is unique in the tree, else the whole path joined by dots. In a vector a complex
number is two entries, its real and its imaginary part.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Path", "Vector", "components", "leaf_names", "leaves", "pack", "rebuild", "unpack"]

Path = tuple[str, ...]
Vector = NDArray[np.float64]


def leaves(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each leaf of a tree with its path, in the order of the tree."""
    if isinstance(tree, Mapping):
        for key, child in tree.items():
            yield from leaves(child, (*path, str(key)))
    elif isinstance(tree, tuple | list):
        for position, child in enumerate(tree):
            yield from leaves(child, (*path, str(position)))
    else:
        yield path, tree


def leaf_names(paths: Sequence[Path]) -> list[str]:
    """Name each path by its last key, or by the whole path where the last key is not unique or is a position."""
    last = Counter(path[-1] for path in paths)
    return [path[-1] if last[path[-1]] == 1 and not path[-1].isdigit() else ".".join(path) for path in paths]


def rebuild(tree: Any, values: Iterator[Any]) -> Any:
    """Return a tree of the same nesting, its leaves taken from ``values`` in order."""
    if isinstance(tree, Mapping):
        return {key: rebuild(child, values) for key, child in tree.items()}
    if isinstance(tree, tuple | list):
        children = [rebuild(child, values) for child in tree]
        return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)
    return next(values)


def components(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers of an array in a row, a complex one as its real and its imaginary part."""
    row = array.ravel()
    return row.view(row.real.dtype) if row.dtype.kind == "c" else row


def pack(arrays: Sequence[NDArray[Any]]) -> Vector:
    """Join the components of arrays into one float64 vector, a copy."""
    if not arrays:
        return np.empty(0)
    return np.concatenate([components(array) for array in arrays], dtype=np.float64)


def unpack(vector: NDArray[Any], like: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Split a vector into arrays of the shapes of others, complex where these are; they are views of it."""
    parts = []
    start = 0
    for array in like:
        stop = start + array.size * (2 if array.dtype.kind == "c" else 1)
        part = vector[start:stop]
        if array.dtype.kind == "c":
            part = part.view(np.result_type(part.dtype, np.complex64))
        parts.append(part.reshape(array.shape))
        start = stop
    return parts
