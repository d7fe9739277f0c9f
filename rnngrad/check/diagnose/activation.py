"""Derivatives of activations, and the ways in which they are taken wrongly, each as a correction of the cotangent.

Backward is linear in its cotangent v: where it multiplies by w what it should multiply by f'(x), it would be right for
v f'(x) / w. All of it is known from the activation y = f(x), which is an output or lies in the cache.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["corrections"]

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
    Activation("softplus", lambda y: bool((y > 0).all()), lambda y: -np.expm1(-y), lambda x: np.logaddexp(0, x), lambda y: y),
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
    "{y}(1 - {y}) in the place of the derivative of {f}": lambda _, y: y * (1 - y),
    "the derivative of {f} at {y} with its sign turned": lambda f, y: -f.slope(y),
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


def elementwise(called: str, y: Array) -> Iterator[tuple[str, Array]]:
    """Yield each factor that corrects a wrong derivative at the activations y, in words."""
    for activation in ACTIVATIONS:
        if not activation.takes(y):
            continue
        right = activation.slope(y)
        for words, wrong in WRONG.items():
            instead = wrong(activation, y)
            factor = np.where(right == 0, 0.0, right / np.where(right == 0, 1.0, instead))
            if np.isfinite(factor).all() and not np.array_equal(factor, np.ones_like(factor)):
                yield words.format(f=activation.name, y=called, zero=", or wrong where that is 0" if (right == 0).any() else ""), factor


def over_axis(called: str, y: Array) -> Iterator[tuple[str, Change]]:
    """Yield the corrections of a softmax, or a log-softmax, that was differentiated in part."""
    for axis in range(y.ndim):
        if y.shape[axis] > 1 and (y > 0).all() and np.allclose(y.sum(axis=axis), 1.0, rtol=0, atol=1e-12):

            def less_mean(v: Array, axis: int = axis) -> Array:
                return np.asarray(v - (v * y).sum(axis=axis, keepdims=True))

            yield f"only the diagonal of the Jacobian of the softmax {called}", lambda v, c=less_mean: c(v) / (1 - y)
            yield f"the mean missing from the Jacobian of the softmax {called}", less_mean
            yield from (
                (f"the mean in the Jacobian of the softmax {called} taken over axis {other}", other_axis(less_mean, y, other))
                for other in range(y.ndim)
                if other != axis
            )
            yield (
                f"the whole Jacobian of the softmax {called} missing: its cotangent taken as that of the logits",
                lambda v, c=less_mean: c(v) * y,
            )
        if y.shape[axis] > 1 and np.allclose(np.exp(np.fmin(y, 1.0)).sum(axis=axis), 1.0, rtol=0, atol=1e-12):
            yield (
                f"the sum missing from the Jacobian of the log-softmax {called}",
                lambda v, axis=axis: v - np.exp(y) * v.sum(axis=axis, keepdims=True),
            )


def other_axis(less_mean: Change, y: Array, axis: int) -> Change:
    """Return the cotangent that makes v - sum(v y) over the wrong axis what it should be over the right one."""

    def change(v: Array) -> Array:
        c = less_mean(v)
        return np.asarray(c + (c * y).sum(axis=axis, keepdims=True) / (1 - y.sum(axis=axis, keepdims=True)))

    return change


def corrections(arrays: dict[str, Array], shape: tuple[int, ...]) -> Iterator[tuple[str, Change]]:
    """Yield the corrections of a cotangent of some shape that the arrays at hand suggest, each once."""
    own = {called: whole for called, y in arrays.items() if (whole := broadcast(y, shape)) is not None}
    for called, y in own.items():
        yield from over_axis(called, y)
    yield from map(multiplied, factors(own))
    for called, y in own.items():
        yield from map(multiplied, elementwise(called, y))
    for called, x in own.items():
        for activation in ACTIVATIONS[:2]:
            y = activation.value(x)
            if not any(np.array_equal(y, other) for other in own.values()):
                found = elementwise(f"{activation.name}({called})", y)
                yield from map(multiplied, (one for one in found if f" {activation.name}" in one[0]))
    yield from map(multiplied, exchanged(own))


def broadcast(y: Array, shape: tuple[int, ...]) -> Array | None:
    """Return an array of more than one number in a shape that it is broadcast to, or None."""
    try:
        return np.broadcast_to(y, shape) if y.size > 1 else None
    except ValueError:
        return None


def multiplied(found: tuple[str, Array]) -> tuple[str, Change]:
    """Return a factor as the change of a cotangent."""
    words, factor = found
    return words, lambda v: v * factor
