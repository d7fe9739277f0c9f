"""A case: one set of concrete inputs and cotangents, written as dims, fills, scale and seed.

The case is a line of text that replays the same arrays at any size. Input number j draws from its own stream,
so that the values of one input do not depend on the sizes of another; seed 0 stands for a pattern of one-digit
numbers that a person can follow by hand.
"""

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.errors import InvalidPair
from rnngrad.spec import ELLIPSIS, Shape, Sizes, dim_names

__all__ = ["FILLS", "Case", "draw_cotangents", "draw_inputs", "parse_case"]

__tracebackhide__ = True


class Case:
    """One drawn set of inputs: a size for each dim, a fill for each input, one scale, one seed.

    ``Case(m=1, n=2, fills={"x": "zeros"}, scale=2.0, seed=3)``; a group ``*batch`` has a tuple as its size, the
    unnamed group ``...`` is called ``_``. The repr evaluates to an equal case.
    """

    __slots__ = ("dims", "fills", "scale", "seed")
    dims: Sizes
    fills: dict[str, str]
    scale: float
    seed: int

    def __init__(
        self, /, *, fills: Mapping[str, str] | None = None, scale: float = 1.0, seed: int = 0, **dims: Any
    ) -> None:
        plain = {name: checked_size(name, size) for name, size in dims.items()}
        if fills is not None and not isinstance(fills, Mapping):
            raise InvalidPair(f"fills={fills!r}; expected a dict from input to fill")
        kept = {name: fill for name, fill in (fills or {}).items() if fill != "full"}
        for name, fill in kept.items():
            if not isinstance(fill, str) or fill not in FILLS:
                raise InvalidPair(f"the fill of {name!r} is {fill!r}; expected one of {list(FILLS)}")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise InvalidPair(f"seed={seed!r}; expected an integer >= 0")
        for slot, value in (("dims", plain), ("fills", kept), ("scale", checked_scale(scale)), ("seed", int(seed))):
            object.__setattr__(self, slot, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Case is frozen; build another one to change {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        words = [f"{name}={size!r}" for name, size in self.dims.items()]
        if self.fills:
            words.append(f"fills={self.fills!r}")
        if self.scale != 1.0:
            words.append(f"scale={self.scale!r}")
        return f"Case({', '.join([*words, f'seed={self.seed}'])})"

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_case, (repr(self),)


def checked_size(name: str, size: Any) -> int | tuple[int, ...]:
    """Return the size of a dim as plain integers; raise InvalidPair where it is none."""
    sizes = size if isinstance(size, tuple | list) else (size,)
    if any(isinstance(one, bool) or not isinstance(one, int | np.integer) or one < 0 for one in sizes):
        raise InvalidPair(f"dim {name!r} is {size!r}; a size is an integer >= 0, or a tuple of them for a group")
    return tuple(int(one) for one in size) if isinstance(size, tuple | list) else int(size)


def checked_scale(scale: Any) -> float:
    """Return the scale as a float; raise InvalidPair where it is no finite number."""
    try:
        value = float("nan" if isinstance(scale, bool | str) else scale)
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if not np.isfinite(value):
        raise InvalidPair(f"scale={scale!r:.60}; expected a finite number")
    return value


SPELLINGS = ("Case", "rg.Case", "rnngrad.Case")


def parse_case(text: str) -> Case:
    """Return the case that a repr stands for, without evaluating code; raise InvalidPair where it is none."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args or ast.unparse(call.func) not in SPELLINGS:
            raise ValueError(text)
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        if len(keywords) < len(call.keywords):
            raise ValueError(text)
    except (AttributeError, SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise InvalidPair(f"{text!r:.200} is no case; expected something like 'Case(m=1, n=2, seed=0)'") from None
    return Case(**keywords)


def pattern(size: int, stream: int) -> NDArray[np.float64]:
    """Return the canonical values of seed 0: one-digit multiples of 0.1, different for each stream."""
    return ((7 * np.arange(size) + 3 * stream + 1) % 19 - 9) / 10


def full(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Return standard normal values, or the canonical pattern for seed 0."""
    if seed == 0:
        return pattern(int(np.prod(shape)), stream).reshape(shape)
    return np.random.Generator(np.random.PCG64([seed, stream])).standard_normal(shape)


def zeros(shape: tuple[int, ...], _seed: int, _stream: int) -> NDArray[np.float64]:
    """Return zeros."""
    return np.zeros(shape)


def one_hot(shape: tuple[int, ...], seed: int, stream: int) -> NDArray[np.float64]:
    """Return zeros with a single 1 along the first axis, at a drawn place for each position of the others."""
    out = np.zeros(shape)
    if not out.size or not shape:
        return out + 1.0
    flat = out.reshape(shape[0], -1)
    columns = np.arange(flat.shape[1])
    flat[np.random.Generator(np.random.PCG64([seed, stream])).integers(0, shape[0], len(columns)), columns] = 1.0
    return out


FILLS = {"full": full, "zeros": zeros, "one-hot": one_hot}


def whole(shape: tuple[int, ...], seed: int, stream: int, fill: str, below: int) -> NDArray[np.int64]:
    """Return integers from 0 to below - 1: the digits of the canonical pattern for seed 0, else uniform ones."""
    if fill != "full":
        return np.asarray(np.minimum(FILLS[fill](shape, seed, stream), below - 1).astype(np.int64))
    if seed == 0:
        return (np.round(10 * full(shape, 0, stream)).astype(np.int64) + 9) % below
    return np.random.Generator(np.random.PCG64([seed, stream])).integers(0, below, shape)


def between(values: NDArray[np.float64], low: float | None, high: float | None) -> NDArray[np.float64]:
    """Carry real values between bounds, smoothly; by roots and not exponentials, which soon reach the bounds."""
    if low is not None and high is not None:
        return low + (high - low) * positive(values) / np.sqrt(values * values + 4)
    if low is not None:
        return low + positive(values)
    return values if high is None else high - positive(-values)


def positive(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (values + sqrt(values^2 + 4)) / 2, for negative values without cancellation."""
    root = np.sqrt(values * values + 4)
    return np.where(values > 0, (values + root) / 2, 2 / (root + np.abs(values)))


def drawn(name: str, shape: Shape, case: Case, stream: int) -> NDArray[Any]:
    """Return the values of one input."""
    sizes, fill = shape.sizes(case.dims), case.fills.get(name, "full")
    if shape.below is None:
        return np.asarray(between(FILLS[fill](sizes, case.seed, stream) * case.scale, shape.low, shape.high))
    below = shape.below.size(case.dims) or 0
    if below < 1 and np.prod(sizes):
        raise InvalidPair(f"{case} does not fit: {name} holds integers below {shape.below.text}, and there are none")
    return np.asarray(whole(sizes, case.seed, stream, fill, max(below, 1)))


def draw_inputs(shapes: Mapping[str, Shape], case: Case) -> dict[str, NDArray[Any]]:
    """Return the arrays of a case; raise InvalidPair where it does not fit the declared shapes."""
    dims = dim_names(shapes.values())
    if set(case.dims) != set(dims):
        raise InvalidPair(f"{case} does not fit: the dims are {list(dims)}, the case has {list(case.dims)}")
    for name, is_group in dims.items():
        if isinstance(case.dims[name], tuple) != is_group:
            shown = "..." if name == ELLIPSIS else name
            raise InvalidPair(
                f"{case} does not fit: dim {shown!r} is {'a group, its size a tuple' if is_group else 'one size'}"
            )
    unknown = set(case.fills) - set(shapes)
    if unknown:
        raise InvalidPair(f"{case} does not fit: fills for {sorted(unknown)}, the inputs are {list(shapes)}")
    return {name: drawn(name, shape, case, stream) for stream, (name, shape) in enumerate(shapes.items())}


def draw_cotangents(
    shapes: Mapping[str, tuple[int, ...]], seed: int, first_stream: int
) -> dict[str, NDArray[np.float64]]:
    """Return a dense cotangent of order one for each output; none of the canonical ones holds a zero."""
    drawn = {name: full(shape, seed, first_stream + j) for j, (name, shape) in enumerate(shapes.items())}
    return {name: np.where(values == 0, 1.0, values) for name, values in drawn.items()}
