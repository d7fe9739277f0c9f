"""Derivatives of activations, and the ways in which they are taken wrongly, each as a correction of the cotangent.

Backward is linear in its cotangent v: where it multiplies by w what it should multiply by f'(x), it would be right for
v f'(x) / w. All of it is known from the activation y = f(x), which is an output or lies in the cache.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    Activation("exp", lambda y: bool((y > 0).all()), lambda y: y, np.exp, np.log),
    Activation("softplus", lambda y: bool((y > 0).all()), lambda y: -np.expm1(-y), lambda x: np.logaddexp(0, x), lambda y: y),
)

# What stands in the place of the derivative, from the activation and its value.
WRONG: dict[str, Callable[[Activation, Array], Array]] = {
    "the derivative of {f} at {y} missing": lambda _, y: np.ones_like(y),
    "the derivative of {f} at {y} applied twice": lambda f, y: f.slope(y) ** 2,
    "the derivative of {f} taken at the activation {y} instead of the preactivation": lambda f, y: f.slope(f.value(y)),
    "the derivative of {f} taken of the preactivation as if that were {y}": lambda f, y: f.slope(f.inverse(y)),
    "1 - {y} in the place of the derivative of {f}": lambda _, y: 1 - y,
    "{y} in the place of the derivative of {f}": lambda _, y: y,
    "1 - {y}² in the place of the derivative of {f}": lambda _, y: 1 - y**2,
    "{y}(1 - {y}) in the place of the derivative of {f}": lambda _, y: y * (1 - y),
    "the derivative of {f} at {y} times {y}": lambda f, y: f.slope(y) * y,
    "the derivative of {f} at {y} with its sign turned": lambda f, y: -f.slope(y),
    "the inverse of the derivative of {f} at {y}": lambda f, y: 1 / f.slope(y),
}


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
                yield words.format(f=activation.name, y=called), factor


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
    seen: set[bytes] = set()
    for called, y in arrays.items():
        if y.shape != shape or y.tobytes() in seen:
            continue
        seen.add(y.tobytes())
        yield from over_axis(called, y)
        for words, factor in elementwise(called, y):
            yield words, lambda v, factor=factor: v * factor
    for called, x in arrays.items():
        for activation in ACTIVATIONS[:2]:
            y = activation.value(x)
            if x.shape != shape or y.tobytes() in seen:
                continue
            seen.add(y.tobytes())
            for words, factor in elementwise(f"{activation.name}({called})", y):
                if f" {activation.name}" in words:
                    yield words, lambda v, factor=factor: v * factor
