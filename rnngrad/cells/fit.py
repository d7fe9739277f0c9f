"""Hold arrays to their declared shapes, and say in words what does not fit."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from rnngrad.errors import InvalidPair
from rnngrad.spec import Sizes, bind, parse

__all__ = ["bound", "chosen", "fitted", "picked", "whole"]

Row = TypeVar("Row")


def fitted(shapes: Mapping[str, str], arrays: Mapping[str, Any]) -> Sizes:
    """Return the sizes of the dims; raise ValueError where shapes or dtypes of the arrays do not fit together."""
    for name in shapes:
        if not isinstance(arrays[name], np.ndarray | np.generic) or arrays[name].dtype.kind not in "fc":
            raise ValueError(f"{name} is {described(arrays[name])}, expected an array of floating-point numbers")
    precisions = {name: np.finfo(arrays[name].dtype).dtype for name in shapes}  # complex128 goes with float64
    if len(set(precisions.values())) > 1:
        shown = ", ".join(f"{name} {arrays[name].dtype}" for name in shapes)
        raise ValueError(f"mixed dtypes: {shown}; expected one for all")
    return bound(shapes, arrays)


def bound(shapes: Mapping[str, str], arrays: Mapping[str, Any]) -> Sizes:
    """Return the sizes of the dims; raise ValueError that names the dim, both sizes and both arrays."""
    try:
        return dict(sizes_of(tuple(shapes.items()), tuple([arrays[name].shape for name in shapes])))
    except InvalidPair as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=64)  # a step of a small cell would else take as long again
def sizes_of(declared: tuple[tuple[str, str], ...], actual: tuple[tuple[int, ...], ...]) -> Sizes:
    """Return the sizes of the dims; raise InvalidPair where they do not fit."""
    names = [name for name, _ in declared]
    return bind({name: parse(text) for name, text in declared}, dict(zip(names, actual, strict=True)))


def whole(name: str, value: Any, shape: tuple[int, ...], below: int) -> None:
    """Raise ValueError where a value is no array of that shape of integers from 0 to below - 1."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "iub":
        raise ValueError(f"{name} is {described(value)}, expected an array of integers")
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    wrong = np.argwhere((array < 0) | (array >= below))
    if len(wrong):
        index = tuple(int(i) for i in wrong[0])
        raise ValueError(f"{name}[{', '.join(map(str, index))}] is {array[index]}, expected 0 to {below - 1}")


def picked(name: str, names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the named entries of a dict; raise ValueError where one is missing."""
    missing = [key for key in names if key not in given]
    if missing:
        raise ValueError(f"{name} lacks {missing}; expected {list(names)}, got {list(given)}")
    return {key: given[key] for key in names}


def chosen(option: str, value: str, table: Mapping[str, Row]) -> Row:
    """Return the row of a table that an option names; raise ValueError where there is none."""
    if value not in table:
        raise ValueError(f"{option}={value!r}, expected one of {list(table)}")
    return table[value]


def described(value: Any) -> str:
    """Say what a value is."""
    return (
        f"an array of {value.dtype}"
        if isinstance(value, np.ndarray | np.generic)
        else f"{value!r:.40} ({type(value).__name__})"
    )
