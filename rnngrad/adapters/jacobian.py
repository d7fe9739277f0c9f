"""A function with its full Jacobian."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair, default_name

__all__ = ["jacobian"]

__tracebackhide__ = True


def jacobian(
    f: Callable[[Any], Any], jac: Callable[[Any], Any], *, inputs: Mapping[str, str], name: str | None = None
) -> Pair:
    """Pair a function of one array with its Jacobian.

    f(x) returns an array y; jac(x) an array of shape y.shape + x.shape, the derivative of every output with respect to
    every input.
    """
    if not isinstance(inputs, Mapping) or len(inputs) != 1:
        raise InvalidPair(f"a Jacobian has one input: expected inputs={{'x': 'n'}}, got {inputs!r}")
    for key, function in (("f", f), ("jac", jac)):
        if not callable(function):
            raise InvalidPair(f"{key} is a function, got {function!r}")
    (x,) = inputs
    return Pair(JacobianForward(f, x), JacobianBackward(jac, x), inputs=dict(inputs), name=name or default_name(f))


@dataclass(frozen=True)
class JacobianForward:
    """Evaluate f."""

    f: Callable[[Any], Any]
    x: str

    def __call__(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        return {"y": self.f(inputs[self.x])}, inputs[self.x]


@dataclass(frozen=True)
class JacobianBackward:
    """Multiply the cotangent into the Jacobian."""

    jac: Callable[[Any], Any]
    x: str

    def __call__(self, cotangents: dict[str, Any], x: Any) -> dict[str, Any]:
        dy = cotangents["y"]
        jac = np.asarray(self.jac(x))
        if jac.shape != dy.shape + x.shape:
            raise InvalidPair(
                f"jac returned shape {jac.shape}, expected {dy.shape + x.shape}: that of y, then that of {self.x}"
            )
        return {self.x: np.tensordot(dy, jac, axes=dy.ndim)}
