"""The protocol around a backward pass: what must hold before any number is compared.

The harness depends on nobody's good behaviour: forward and backward get copies, and what they return is looked at
before it is used. Misuse of the pair raises InvalidPair with the case that caused it; what is wrong with one
gradient is a Finding.
"""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.breaches import BREACHES
from rnngrad.errors import InvalidPair, named
from rnngrad.pair import Pair
from rnngrad.result import Finding, Verdict

__all__ = [
    "FLOATING",
    "Arrays",
    "at",
    "call",
    "checked_gradient",
    "checked_inputs",
    "checked_outputs",
    "described",
    "differentiated",
    "finite_array",
    "number_array",
]

__tracebackhide__ = True

Arrays = dict[str, NDArray[Any]]
NUMPY = str(Path(np.__file__).parent)  # what is raised in there comes from the line that called it
FLOATING: dict[str, type] = {"f": np.float64, "c": np.complex128}  # the kinds that can be differentiated


def checked_inputs(pair: Pair, given: Mapping[str, Any]) -> Arrays:
    """Return given inputs as arrays, floating ones in double precision; raise InvalidPair where one is none."""
    arrays = {}
    for name, value in pair.arrays(given).items():
        array = number_array(value)
        if array is None:
            raise InvalidPair(f"input {name} of {pair.name} is {described(value)}, expected an array of numbers")
        if array.dtype.kind in FLOATING:
            array = array.astype(FLOATING[array.dtype.kind], copy=False)  # handed out as copies only
            if not np.isfinite(array).all():
                index = first_bad(array)
                raise InvalidPair(
                    f"input {at(name, index)} of {pair.name} is {array[index]}; gradients need finite inputs"
                )
        arrays[name] = array
    return arrays


def differentiated(pair: Pair, inputs: Arrays) -> list[str]:
    """Return the names of the inputs to differentiate; raise InvalidPair where there are none."""
    floating = [name for name, array in inputs.items() if array.dtype.kind in FLOATING]
    wanted = floating if pair.wrt is None else list(pair.wrt)
    unfit = [name for name in wanted if name not in floating]
    if unfit or not wanted:
        kinds = ", ".join(f"{name} {array.dtype}" for name, array in inputs.items())
        what = f"{unfit} cannot be differentiated" if unfit else "no input can be differentiated"
        raise InvalidPair(f"{what} in {pair.name}; only floating-point inputs can, and these are {kinds}")
    return wanted


def call(role: str, pair: Pair, where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call forward or backward; an exception of theirs becomes InvalidPair with the case that caused it."""
    try:
        return function(*arguments)
    except InvalidPair as error:
        raise InvalidPair(f"{error}\n    in {role} of {pair.name} at {where}") from error.__cause__
    except MemoryError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        frame = next((one for one in reversed(frames) if not one.filename.startswith(NUMPY)), frames[-1])
        raise InvalidPair(
            f"{role} of {pair.name} raised {named(error)}\n"
            f"    at {frame.filename}:{frame.lineno} in {frame.name}\n    with {where}"
        ) from error


def checked_outputs(pair: Pair, returned: Any, where: str) -> Arrays:
    """Return copies of the outputs of forward in double precision; raise InvalidPair where one is not finite."""
    if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], Mapping)):
        raise InvalidPair(f"forward of {pair.name} returned {described(returned)}, expected (dict of outputs, cache)")
    outputs = {}
    for name, value in returned[0].items():
        array = number_array(value)
        if array is None or array.dtype.kind not in FLOATING:
            nested = isinstance(value, Mapping | list | tuple)
            advice = "\n    return outputs one by one, (y, cache) or (y, z, cache)" if nested else ""
            raise InvalidPair(
                f"output {name} of {pair.name} is {described(value)}, expected an array of floating-point numbers"
                f"\n    with {where}{advice}"
            )
        array = array.astype(FLOATING[array.dtype.kind])
        if not np.isfinite(array).all():
            index = first_bad(array)
            raise InvalidPair(
                f"forward of {pair.name} returned {array[index]} at {at(name, index)}, expected a finite number\n"
                f"    with {where}\n"
                "    pass inputs, or declare rg.Array('<shape>', low=..., high=...), where it is defined"
            )
        outputs[name] = array
    if not outputs:
        raise InvalidPair(f"forward of {pair.name} returned no output")
    return outputs


def checked_gradient(pair: Pair, name: str, value: Any, like: NDArray[Any]) -> NDArray[Any] | Finding:
    """Return one claimed gradient as an array like its input, or the finding that says why it is none."""
    key, shape = pair.claim(name), like.shape

    def fail(kind: str, message: str) -> Finding:
        return Finding(Verdict.FAIL, kind, name, message, breach=kind in BREACHES)

    if value is None:
        return fail("none", f"{name}: backward returned None for {key}, expected an array of shape {shape}")
    array = number_array(value)
    if array is None or (array.dtype.kind not in FLOATING and not isinstance(value, int)):
        return fail("type", f"{name}: backward returned {described(value)} for {key}, expected a floating-point array")
    if array.dtype.kind == "c" and like.dtype.kind != "c":
        said = f"{name}: backward returned {described(value)} for {key}, expected real numbers"
        return fail("type", f"{said}: {name} is real, so only the real part counts")
    if array.shape != shape:
        return fail("shape", f"{name}: {key} has shape {array.shape}, expected {shape}, the shape of {name}")
    array = array.astype(FLOATING[like.dtype.kind], copy=False)
    if not np.isfinite(array).all():
        index = first_bad(array)
        return fail("finite", f"{at(name, index)}: backward returned {array[index]}, expected a finite number")
    return array


def finite_array(what: str, value: Any, like: NDArray[Any]) -> NDArray[Any]:
    """Return a value in the dtype of another; raise InvalidPair, naming it, where it is no array of finite numbers."""
    array = number_array(value)
    if array is None or (array.dtype.kind == "c" and like.dtype.kind != "c") or not np.isfinite(array).all():
        broken = array is not None and not np.isfinite(array).all()
        got = f"{array[first_bad(array)]} at {first_bad(array)}" if array is not None and broken else described(value)
        kind = "numbers" if like.dtype.kind == "c" else "real numbers"
        raise InvalidPair(f"{what} is {got}, expected an array of finite {kind}")
    return array.astype(like.dtype)


def number_array(value: Any) -> NDArray[Any] | None:
    """Return a value as a plain array of numbers or booleans, or None where it is none, or where it masks entries."""
    if isinstance(value, str | bytes | Mapping | list | tuple) or value is None or masks(value):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "fciub" else None


def masks(value: Any) -> bool:
    """Tell whether a value is a masked array in which some entry is masked: what stands there is no number."""
    return isinstance(value, np.ma.MaskedArray) and bool(np.ma.is_masked(value))


def described(value: Any) -> str:
    """Say in words what a value is."""
    if masks(value):
        return "an array with masked entries (.filled(0) makes them 0)"
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of dtype {value.dtype}"
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def first_bad(array: NDArray[Any]) -> tuple[int, ...]:
    """Return the index of the first entry that is not finite."""
    return tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])


def at(name: str, index: tuple[int, ...]) -> str:
    """Write an entry of an array: ``W[0, 1]``, or the name alone for a scalar."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name
