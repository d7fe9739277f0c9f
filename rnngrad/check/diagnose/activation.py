"""Derivatives of activations, and the ways in which they are taken wrongly, each as a correction of the cotangent.

Backward is linear in its cotangent v: where it multiplies by w what it should multiply by f'(x), it would be right for
v f'(x) / w. All of it is known from the activation y = f(x), which is an output or lies in the cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["corrections", "rescaled"]

Array = NDArray[Any]
Change = Callable[[Array], Array]


def sigmoid(x: Array) -> Array:
    """Return the logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)))


@dataclass(frozen=True)
class Activation:
    """An activation: which values it takes, its derivative as a function of its value, itself, and its inverse."""

    name: str
    takes: Callable[[Array], bool]
    slope: Change
    value: Change
    inverse: Change


ACTIVATIONS = (
    Activation("tanh", lambda y: bool((abs(y) < 1).all()), lambda y: 1 - y**2, np.tanh, np.arctanh),
    Activation(
        "sigmoid",
        lambda y: bool(((y > 0) & (y < 1)).all()),
        lambda y: y * (1 - y),
        sigmoid,
        lambda y: np.log(y / (1 - y)),
    ),
    Activation(
        "relu",
        lambda y: bool((y >= 0).all() and (y == 0).any()),
        lambda y: (y > 0).astype(float),
        lambda x: np.maximum(x, 0.0),
        lambda y: y,
    ),
    Activation(
        "softplus", lambda y: bool((y > 0).all()), lambda y: -np.expm1(-y), lambda x: np.logaddexp(0, x), lambda y: y
    ),
)

# What stands in the place of the derivative, from the activation and its value.
WRONG: dict[str, Callable[[Activation, Array], Array]] = {
    "the derivative of {f} at {y} missing{zero}": lambda _, y: np.ones_like(y),
    "the derivative of {f} at {y} applied twice": lambda f, y: f.slope(y) ** 2,
    "the derivative of {f} taken at the activation {y} instead of the preactivation": lambda f, y: f.slope(f.value(y)),
    "the derivative of {f} taken of the preactivation as if that were {y}": lambda f, y: f.slope(f.inverse(y)),
    "1 - {y} in the place of the derivative of {f}": lambda _, y: 1 - y,
    "{y} in the place of the derivative of {f}": lambda _, y: y,
    "1 - {y}² in the place of the derivative of {f}": lambda _, y: 1 - y**2,
    "(1 - {y})² in the place of the derivative of {f}": lambda _, y: (1 - y) ** 2,
    "{y}(1 - {y}) in the place of the derivative of {f}": lambda _, y: y * (1 - y),
    "the inverse of the derivative of {f} at {y}": lambda f, y: 1 / f.slope(y),
}


def factors(arrays: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the factors that make good for one that is missing, too many, or another's, in words."""
    for called, y in arrays.items():
        yield f"a factor of {called} missing", y
        yield f"a factor of {called} too many", 1 / y
        yield f"a factor of 1 - {called} missing", 1 - y
        yield f"{called} in the place of 1 - {called}", (1 - y) / y
        yield f"1 - {called} in the place of {called}", y / (1 - y)


def exchanged(arrays: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the factors that put one array in the place of another, in words."""
    for (one, y), (other, z) in permutations(arrays.items(), 2):
        yield f"a factor of {one} in the place of {other}", z / y


def derivatives(called: str, y: Array, among: Sequence[Activation]) -> Iterator[tuple[str, Array]]:
    """Yield each factor that corrects a wrong derivative at the activations y, in words."""
    for activation in among:
        if activation.takes(y):
            right = activation.slope(y)
            zero = ", or wrong where that is 0" if (right == 0).any() else ""
            for words, wrong in WRONG.items():
                instead = np.where(right == 0, 1.0, wrong(activation, y))
                yield words.format(f=activation.name, y=called, zero=zero), right / instead


def derived(arrays: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the factors that correct what goes wrong with activations that forward has not kept, such as tanh(c)."""
    for called, x in arrays.items():
        for activation in ACTIVATIONS[:2]:
            if activation.takes(x):
                yield f"the preactivation of {activation.name} in the place of {called}", x / activation.inverse(x)
            y = activation.value(x)
            if not any(np.array_equal(y, other) for other in arrays.values()):
                named = f"{activation.name}({called})"
                yield from derivatives(named, y, [activation])
                yield f"a factor of {called} in the place of {named}", y / x


def broadcast(y: Array, shape: tuple[int, ...]) -> Array | None:
    """Return an array that is no scalar in a shape that it is broadcast to, or has but for axes of 1, or None."""
    if squeezed(y.shape) == squeezed(shape) != ():
        return y.reshape(shape)
    try:
        return np.broadcast_to(y, shape) if y.ndim else None
    except ValueError:
        return None


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its axes of 1."""
    return tuple(size for size in shape if size != 1)


def fitting(arrays: dict[str, Array], shape: tuple[int, ...]) -> dict[str, Array]:
    """Return the arrays at hand that are broadcast to a shape."""
    return {called: whole for called, y in arrays.items() if (whole := broadcast(y, shape)) is not None}


def corrections(arrays: dict[str, Array], v: Array) -> Iterator[tuple[str, Array]]:
    """Yield the cotangents that the arrays at hand suggest in the place of v, in words, the simplest first."""
    own = fitting(arrays, v.shape)
    kept = (derivatives(called, y, ACTIVATIONS) for called, y in own.items())
    for words, factor in chain(factors(own), *kept, derived(own), exchanged(own)):
        if not (factor == 1).all():
            yield words, v * factor


def rescaled(arrays: dict[str, Array], true: Array) -> Iterator[tuple[str, Array]]:
    """Yield what the true gradient becomes where it has a factor too few or too many itself, in words."""
    for words, factor in factors(fitting(arrays, true.shape)):
        if not (factor == 1).all():
            yield f"{words}, in the result as a whole", true / factor
