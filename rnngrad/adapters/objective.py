"""An objective function with its gradient, Hessian and Hessian product, under the names that SciPy gives them.

Each derivative becomes an input of its own, all of one shape, so that a report names the one that is wrong:

    jac     held against the derivative of fun(x)
    hess    held against the derivative of jac(x), as is
    hessp   hessp(x, p), for drawn p
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair, default_name

__all__ = ["objective"]

__tracebackhide__ = True


def objective(
    fun: Callable[[Any], Any],
    *,
    jac: Callable[[Any], Any],
    hess: Callable[[Any], Any] | None = None,
    hessp: Callable[[Any, Any], Any] | None = None,
    inputs: Mapping[str, str],
    name: str | None = None,
) -> Pair:
    """Pair a scalar objective with its derivatives, as `scipy.optimize` takes them.

    fun(x) returns a number, jac(x) the gradient (n,), hess(x) the Hessian (n, n), hessp(x, p) the Hessian times p (n,).
    inputs: the name of x and its shape, one axis. The gradients of the pair are called jac, hess and hessp; given
    arrays are passed by the name of x, which stands for all of them.

    >>> import numpy as np
    >>> cube = objective(
    ...     lambda x: np.sum(x**3), jac=lambda x: 3 * x**2, hess=lambda x: np.diag(6 * x), inputs={"x": "n"}
    ... )
    >>> from rnngrad.check.pipeline import check
    >>> check(cube, {"x": np.array([1.0, 2.0])}).verdict.value
    'pass'
    """
    if not isinstance(inputs, Mapping) or len(inputs) != 1:
        raise InvalidPair(f"an objective has one input: expected inputs={{'x': 'n'}}, got {inputs!r}")
    given = {"jac": jac, "hess": hess, "hessp": hessp}
    wanted = {key: function for key, function in given.items() if function is not None}
    for key, function in {"fun": fun, "jac": jac, **wanted}.items():
        if not callable(function):
            raise InvalidPair(f"{key} is a function, got {function!r}")
    (x, shape), *_ = inputs.items()
    return Pair(
        ObjectiveForward(fun, jac, tuple(wanted)),
        ObjectiveBackward(wanted),
        inputs=dict.fromkeys(wanted, shape),
        name=name or default_name(fun),
        copies=dict.fromkeys(wanted, x),
    )


@dataclass(frozen=True)
class ObjectiveForward:
    """Evaluate what each derivative is the derivative of."""

    fun: Callable[[Any], Any]
    jac: Callable[[Any], Any]
    names: tuple[str, ...]

    def __call__(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        outputs = {f"d{name}": self.jac(inputs[name]) for name in self.names if name != "jac"}
        return {"value": self.fun(inputs["jac"]), **outputs}, inputs


@dataclass(frozen=True)
class ObjectiveBackward:
    """Turn each derivative into a gradient."""

    derivatives: Mapping[str, Callable[..., Any]]

    def __call__(self, cotangents: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        out = {}
        for name, derivative in self.derivatives.items():
            x = inputs[name]
            if name == "jac":
                out[name] = cotangents["value"] * shaped(name, derivative(x), x.shape)
            elif name == "hess":
                out[name] = np.swapaxes(shaped(name, derivative(x), x.shape * 2), 0, 1) @ cotangents["dhess"]
            else:
                out[name] = shaped(name, derivative(x, cotangents["dhessp"]), x.shape)
        return out


def shaped(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    """Return a derivative as an array; raise InvalidPair where it has another shape than it must.

    SciPy takes a sparse matrix or a LinearOperator for a Hessian as well; neither is an array of numbers to numpy.
    """
    if hasattr(value, "toarray"):
        value = value.toarray()
    elif hasattr(value, "matmat"):
        value = value.matmat(np.eye(shape[-1]))
    array = np.asarray(value)
    if array.shape != shape:
        raise InvalidPair(f"{name} returned shape {array.shape}, expected {shape}")
    return array
