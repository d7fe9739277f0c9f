"""What forward hands to backward, with other numbers in its arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rnngrad.check.contract import FLOATING, Arrays

__all__ = ["Change", "handed"]

Change = Callable[[Arrays], Arrays]
CONSTANT = (bool, int, float, complex, str, bytes, type(None))


def handed(cache: Any, change: Change) -> Any:
    """Return a cache of lists, tuples and dicts with the floating-point arrays in it changed, all at once.

    Raises TypeError where they cannot all be seen: in other objects, or outside, where there are none.
    """
    found: Arrays = {}
    rebuilt(cache, "", lambda path, array: found.setdefault(path, array))
    if not found:
        raise TypeError("forward hands no floating-point arrays to backward")
    return rebuilt(cache, "", lambda path, _: changed[path]) if (changed := change(found)) else cache


def rebuilt(value: Any, path: str, leaf: Callable[[str, Any], Any]) -> Any:
    """Return nested values with a function of the place and the array in place of each floating-point array."""
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in FLOATING:
        return leaf(path, np.asarray(value))
    if isinstance(value, list | tuple):
        parts = [rebuilt(part, f"{path}/{place}", leaf) for place, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {key: rebuilt(part, f"{path}/{key!r}", leaf) for key, part in value.items()}
    if isinstance(value, CONSTANT) or (isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biu"):
        return value
    raise TypeError(f"forward hands a {type(value).__name__} to backward")
