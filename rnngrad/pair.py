"""A pair: a forward pass and the backward pass that claims to be its gradient.

`Pair` is the canonical form that the harness works on; `pair` builds one from functions as people write them:
positional arrays and parameter dicts in, outputs and a cache out, gradients as a dict, a tuple or one array.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnngrad.breaches import WAIVABLE
from rnngrad.errors import InvalidPair
from rnngrad.plain import CACHE, PlainBackward, PlainForward, PlainJvp
from rnngrad.spec import Array, Shape, check_limits, dim_names, parse
from rnngrad.tree import leaf_names, leaves, rebuild

__all__ = ["Pair", "pair"]

__tracebackhide__ = True


@dataclass(frozen=True, eq=False)
class Pair:
    """Pair a forward pass with its hand-derived backward pass, in canonical form.

    ``forward(inputs) -> (outputs, cache)`` and ``backward(cotangents, cache) -> gradients``, where inputs, outputs,
    cotangents and gradients are dicts of arrays; gradients are keyed by input name.

    ``inputs`` declares the shape of each input (see `rnngrad.spec`); without it only given arrays can be checked.
    ``wrt`` names the inputs to differentiate, by default all that hold floating-point numbers. ``claims`` says under
    which key backward returns each gradient, for messages; ``copies`` lets one given array stand for several inputs, by
    input the name under which it is given. ``jvp(tangents, cache) -> output tangents``, dicts like inputs and outputs,
    is the derivative in forward mode, to be held against backward.

    The contract: ``batch`` names the dim along which a batch is made of its examples; ``optional`` the outputs for
    whose cotangent backward takes None; ``waive`` maps a kind of `rnngrad.breaches` that is not asked to the reason.
    Raises InvalidPair where these do not fit together.
    """

    forward: Callable[[dict[str, Any]], tuple[dict[str, Any], Any]]
    backward: Callable[[dict[str, Any], Any], Mapping[str, Any]]
    inputs: Mapping[str, str | Array] | None = None
    wrt: Sequence[str] | None = None
    name: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
    jvp: Callable[[dict[str, Any], Any], Mapping[str, Any]] | None = None
    batch: str | None = None
    optional: Sequence[str] = ()
    waive: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(init=False, repr=False)
    module: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_callable(self.forward, self.backward, self.jvp)
        shapes = declared_shapes(self.inputs)
        if self.wrt is not None:
            check_wrt(self.wrt, shapes)
        elif any(shape.below is not None for shape in shapes.values()):
            object.__setattr__(self, "wrt", [name for name, shape in shapes.items() if shape.below is None])
        check_contract(self.batch, self.optional, self.waive, shapes)
        object.__setattr__(self, "shapes", shapes)
        object.__setattr__(self, "name", self.name or default_name(self.forward))
        object.__setattr__(self, "module", calling_module())

    def claim(self, name: str) -> str:
        """Return the key under which backward is expected to return the gradient of an input."""
        return self.claims.get(name, name)

    def arrays(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Flatten given inputs, nested as forward takes them or already by name, into declared order."""
        if not isinstance(given, Mapping):
            raise InvalidPair(f"the inputs of {self.name} are a dict of arrays or a Case, got {type(given).__name__}")
        paths = list(leaves(given))
        if not paths:
            raise InvalidPair(f"the inputs of {self.name} hold no array")
        flat = dict(zip(leaf_names([path for path, _ in paths]), (leaf for _, leaf in paths), strict=True))
        if not self.shapes:
            return flat
        if self.copies and set(flat) == set(self.copies.values()):
            flat = {name: flat[source] for name, source in self.copies.items()}
        if set(flat) != set(self.shapes):
            lists = [str(name) for name, value in given.items() if isinstance(value, list | tuple)]
            hint = f"; {lists} are lists: pass arrays" if lists else ""
            raise InvalidPair(f"the inputs of {self.name} are {list(self.shapes)}, got {list(flat)}{hint}")
        return {name: flat[name] for name in self.shapes}


def pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    inputs: Mapping[str, Any],
    returns: Sequence[str] | None = None,
    upstream: Sequence[str] | None = None,
    gradients: Mapping[str, str] | None = None,
    wrt: Sequence[str] | None = None,
    jvp: Callable[..., Any] | None = None,
    name: str | None = None,
    batch: str | None = None,
    optional: Sequence[str] = (),
    waive: Mapping[str, str] | None = None,
) -> Pair:
    """Pair plain functions: ``forward(*inputs) -> outputs and cache``, ``backward(*cotangents, cache) -> gradients``.

    inputs: the shape of each positional argument of forward, in order, or an `Array` that also says where its values
        lie; an argument that is a dict (or list) of arrays is declared as a dict (or list) of shapes.
    returns: names of what forward returns; ``"cache"`` marks the cache. By default a tuple ends with the cache,
        and an array alone is the output ``out``. Without a cache, backward gets forward's arguments instead.
    upstream: the outputs whose cotangents backward takes, in order; by default all of them.
    gradients: for each input whose gradient has an irregular key in the dict that backward returns, that key;
        by default ``"d" + name``, or the name itself. A tuple is taken in the order of the inputs.
    wrt: the inputs to differentiate (names, or a whole argument); by default all floating ones.
    jvp: the derivative in forward mode, ``jvp(*tangents, cache) -> output tangents``: a tangent for each argument of
        forward, nested like it, None for what is not differentiated; returned is a tangent for each output that has a
        cotangent, in order, or a dict of them by name. It is held to <v, J u> = <J^T v, u>.
    batch, optional, waive: what the contract around the numbers needs to know, see `Pair`.

    Raises InvalidPair where the declaration does not fit together.
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise InvalidPair(f"inputs is a dict from argument name to shape, got {inputs!r}")
    check_callable(forward, backward, jvp)
    paths = [path for path, _ in leaves(inputs)]
    names = leaf_names(paths)
    if not names or len(set(names)) != len(names):
        raise InvalidPair(f"inputs declare no array, or two under one name: {names}")
    declared = dict(zip(names, (leaf for _, leaf in leaves(inputs)), strict=True))
    real = [name for name, leaf in declared.items() if getattr(leaf, "below", None) is None]
    wanted = real if wrt is None else expand_wrt(wrt, paths, names)
    keys = {name: "d" + name for name in names} | checked_rename(gradients or {}, names)
    outputs = checked_returns(returns, upstream)
    nested = rebuild(dict(inputs), iter(names))
    return Pair(
        PlainForward(forward, nested, None if returns is None else tuple(returns), outputs),
        PlainBackward(backward, nested, tuple(wanted), keys, outputs),
        inputs=declared,
        wrt=None if wrt is None else wanted,
        name=name or default_name(forward),
        claims=keys,
        jvp=None if jvp is None else PlainJvp(jvp, nested, outputs),
        batch=batch,
        optional=optional,
        waive=waive or {},
    )


def check_callable(forward: Any, backward: Any, jvp: Any) -> None:
    """Raise InvalidPair where one of them is no function; jvp may be None."""
    for role, function in (("forward", forward), ("backward", backward), ("jvp", jvp)):
        if not callable(function) and not (role == "jvp" and function is None):
            raise InvalidPair(f"{role} is a function, got {function!r}")


def declared_shapes(inputs: Mapping[str, str | Array] | None) -> dict[str, Shape]:
    """Parse the declared shapes of canonical inputs."""
    if inputs is None:
        return {}
    if not isinstance(inputs, Mapping) or not inputs:
        raise InvalidPair(f"inputs is a dict from name to shape, got {inputs!r}")
    shapes = {}
    for name, text in inputs.items():
        if isinstance(text, Mapping | tuple | list):
            raise InvalidPair(f"input {name!r} is nested; rg.pair takes nested inputs, rg.Pair a flat dict of arrays")
        try:
            shapes[name] = parse(text)
        except InvalidPair as error:
            raise InvalidPair(f"input {name!r}: {error}") from None
    check_limits(shapes)
    return shapes


def check_names(label: str, value: Any) -> None:
    """Raise InvalidPair where a value is no tuple of distinct names."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value or len(set(value)) != len(value):
        raise InvalidPair(f"{label} is a tuple of distinct names, got {value!r}")


def check_wrt(wrt: Sequence[str], shapes: Mapping[str, Shape]) -> None:
    """Raise InvalidPair where wrt is empty or names no input."""
    check_names("wrt", wrt)
    unknown = [name for name in wrt if shapes and name not in shapes]
    if unknown:
        raise InvalidPair(f"wrt names {unknown}, which are no inputs; the inputs are {list(shapes)}")


def check_contract(batch: Any, optional: Any, waive: Any, shapes: Mapping[str, Shape]) -> None:
    """Raise InvalidPair where batch is no axis of its own, or optional or waive are not what they should be."""
    if batch is not None:
        axes = [axis for shape in shapes.values() for axis in shape.axes if batch in dict(getattr(axis, "terms", ()))]
        twice = [shape.text for shape in shapes.values() if sum(axis in axes for axis in shape.axes) > 1]
        odd = [axis.text for axis in axes if axis.text != batch]
        if not axes or odd or twice:
            found = f"it stands in {odd or twice}" if axes else f"the dims are {list(dim_names(shapes.values()))}"
            raise InvalidPair(f"batch={batch!r}; expected a dim that is an axis of its own, once in an input; {found}")
    if optional != ():
        check_names("optional", optional)
    known = isinstance(waive, Mapping) and all(kind in WAIVABLE for kind in waive)
    if not known or not all(isinstance(reason, str) and reason.strip() for reason in waive.values()):
        raise InvalidPair(f"waive={waive!r}; expected a dict from a kind to the reason, the kinds are {WAIVABLE}")


def expand_wrt(wrt: Sequence[str], paths: Sequence[tuple[str, ...]], names: Sequence[str]) -> list[str]:
    """Replace the name of a whole argument in wrt by the names of its leaves, in the order of the inputs."""
    check_names("wrt", wrt)
    unknown = set(wrt) - set(names) - {path[0] for path in paths}
    if unknown:
        raise InvalidPair(f"wrt names {sorted(unknown)}, which are no inputs; the inputs are {list(names)}")
    return [name for name, path in zip(names, paths, strict=True) if name in wrt or path[0] in wrt]


def checked_rename(gradients: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the rename map, or raise where it names no input."""
    if not isinstance(gradients, Mapping):
        raise InvalidPair(f"gradients is a dict from input to key, got {gradients!r}")
    unknown = [name for name in gradients if name not in names]
    if unknown:
        turned = all(value in names for value in gradients.values())
        hint = "; it maps an input to its key, so turn it round" if turned else ""
        raise InvalidPair(f"gradients names {unknown}, which are no inputs; the inputs are {list(names)}{hint}")
    return dict(gradients)


def checked_returns(returns: Sequence[str] | None, upstream: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the outputs that have cotangents, or None for all; raise where returns and upstream do not fit."""
    for label, value in (("returns", returns), ("upstream", upstream)):
        if value is not None:
            check_names(label, value)
    outputs = None if returns is None else tuple(name for name in returns if name != CACHE)
    if outputs == ():
        raise InvalidPair("returns names no output beside the cache")
    if upstream is None:
        return outputs
    if outputs is None:
        raise InvalidPair("upstream names outputs, so returns must name all that forward returns")
    unknown = [name for name in upstream if name not in outputs]
    if unknown:
        raise InvalidPair(f"upstream names {unknown}, which are no outputs; returns names {list(outputs)}")
    return tuple(upstream)


def default_name(function: Callable[..., Any]) -> str:
    """Return the name of a forward function without its ``_forward``."""
    name = getattr(function, "__name__", type(function).__name__)
    return name.removesuffix("_forward") or name


def calling_module() -> str:
    """Return the name of the module that builds the pair: the first one outside the constructors."""
    frame = sys._getframe(1)
    while frame.f_back is not None and is_constructor(str(frame.f_globals.get("__name__"))):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def is_constructor(module: str) -> bool:
    """Tell whether a module is one that builds pairs for others."""
    return module == __name__ or module.startswith("rnngrad.adapters.")
