"""A pair: a forward pass and the backward pass that claims to be its gradient.

`Pair` is the canonical form that the harness works on; `pair` builds one from functions as people write them:
positional arrays and parameter dicts in, outputs and a cache out, gradients as a dict, a tuple or one array.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnngrad.errors import InvalidPair
from rnngrad.spec import Shape, dim_names, parse
from rnngrad.tree import leaf_names, leaves, rebuild

__all__ = ["Pair", "pair"]

CACHE = "cache"  # the name in `returns` that marks what backward needs, not an output


@dataclass(frozen=True, eq=False)
class Pair:
    """Pair a forward pass with its hand-derived backward pass, in canonical form.

    ``forward(inputs) -> (outputs, cache)`` and ``backward(cotangents, cache) -> gradients``, where inputs, outputs,
    cotangents and gradients are dicts of arrays; gradients are keyed by input name.

    ``inputs`` declares the shape of each input (see `rnngrad.spec`); without it only given arrays can be checked.
    ``wrt`` names the inputs to differentiate, by default all that hold floating-point numbers. ``claims`` says under
    which key backward returns each gradient, for messages. Raises InvalidPair where these do not fit together.
    """

    forward: Callable[[dict[str, Any]], tuple[dict[str, Any], Any]]
    backward: Callable[[dict[str, Any], Any], Mapping[str, Any]]
    inputs: Mapping[str, str] | None = None
    wrt: Sequence[str] | None = None
    name: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(init=False, repr=False)
    module: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for role, function in (("forward", self.forward), ("backward", self.backward)):
            if not callable(function):
                raise InvalidPair(f"{role} is a function, got {function!r}")
        shapes = declared_shapes(self.inputs)
        if self.wrt is not None:
            check_wrt(self.wrt, shapes)
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
        if any(not path for path, _ in paths) or not paths:
            raise InvalidPair(f"the inputs of {self.name} hold no array")
        flat = dict(zip(leaf_names([path for path, _ in paths]), (leaf for _, leaf in paths), strict=True))
        if not self.shapes:
            return flat
        if set(flat) != set(self.shapes):
            raise InvalidPair(f"the inputs of {self.name} are {list(self.shapes)}, got {list(flat)}")
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
    name: str | None = None,
) -> Pair:
    """Pair plain functions: ``forward(*inputs) -> outputs and cache``, ``backward(*cotangents, cache) -> gradients``.

    inputs: the shape of each positional argument of forward, in order; an argument that is a dict (or list) of
        arrays is declared as a dict (or list) of shapes.
    returns: names of what forward returns; ``"cache"`` marks the cache. By default a tuple ends with the cache,
        and an array alone is the output ``out``. Without a cache, backward gets forward's arguments instead.
    upstream: the outputs whose cotangents backward takes, in order; by default all of them.
    gradients: for each input whose gradient has an irregular key in the dict that backward returns, that key;
        by default ``"d" + name``, or the name itself. A tuple is taken in the order of the inputs.
    wrt: the inputs to differentiate (names, or a whole argument); by default all floating ones.

    Raises InvalidPair where the declaration does not fit together.
    """
    if not isinstance(inputs, Mapping) or not inputs:
        raise InvalidPair(f"inputs is a dict from argument name to shape, got {inputs!r}")
    paths = [path for path, _ in leaves(inputs)]
    names = leaf_names(paths)
    wanted = names if wrt is None else expand_wrt(wrt, paths, names)
    keys = {name: "d" + name for name in names} | checked_rename(gradients or {}, names)
    outputs = checked_returns(returns, upstream)
    return Pair(
        PlainForward(forward, dict(inputs), tuple(names), None if returns is None else tuple(returns), outputs),
        PlainBackward(backward, tuple(zip(names, paths, strict=True)), tuple(wanted), keys, outputs),
        inputs=dict(zip(names, (leaf for _, leaf in leaves(inputs)), strict=True)),
        wrt=None if wrt is None else wanted,
        name=name or default_name(forward),
        claims=keys,
    )


@dataclass(frozen=True)
class PlainForward:
    """Call a plain forward function in canonical form; its cache is what backward gets after the cotangents."""

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    names: tuple[str, ...]
    returns: tuple[str, ...] | None
    upstream: tuple[str, ...] | None

    def __call__(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        values = iter([inputs[name] for name in self.names])
        arguments = tuple(rebuild(tree, values) for tree in self.inputs.values())
        returned = self.function(*arguments)
        outputs, cache = self.named(returned)
        if self.upstream is not None:
            outputs = {name: outputs[name] for name in self.upstream}
        return outputs, arguments if cache is None else cache

    def named(self, returned: Any) -> tuple[dict[str, Any], tuple[Any] | None]:
        """Name what forward returned; the cache, if there is one, comes apart from the outputs."""
        if self.returns is None:
            if not isinstance(returned, tuple):
                return {"out": returned}, None
            *outputs, cache = returned
            labels = ["out"] if len(outputs) == 1 else [f"out{i}" for i in range(len(outputs))]
            return dict(zip(labels, outputs, strict=True)), (cache,)
        values = returned if isinstance(returned, tuple) else (returned,)
        if len(values) != len(self.returns):
            raise InvalidPair(
                f"forward returned {len(values)} values, returns={self.returns} names {len(self.returns)}"
            )
        named = dict(zip(self.returns, values, strict=True))
        return named, (named.pop(CACHE),) if CACHE in named else None


@dataclass(frozen=True)
class PlainBackward:
    """Call a plain backward function in canonical form and key its gradients by input name."""

    function: Callable[..., Any]
    inputs: tuple[tuple[str, tuple[str, ...]], ...]
    wrt: tuple[str, ...]
    keys: Mapping[str, str]
    upstream: tuple[str, ...] | None

    def __call__(self, cotangents: dict[str, Any], cache: tuple[Any, ...]) -> dict[str, Any]:
        order = self.upstream or tuple(cotangents)
        returned = self.function(*(cotangents[name] for name in order), *cache)
        if isinstance(returned, Mapping):
            return self.by_key(returned)
        return self.by_position(returned if isinstance(returned, tuple | list) else (returned,))

    def by_key(self, returned: Mapping[str, Any]) -> dict[str, Any]:
        """Match a dict of gradients: by the declared key, ``"d" + name``, or the name; keep what names no input."""
        found = {path: value for path, value in leaves(returned) if path}
        names = dict(zip(found, leaf_names(list(found)), strict=True))
        by_name = {names[path]: value for path, value in found.items()}
        out: dict[str, Any] = {}
        used: set[str] = set()
        for name, path in self.inputs:
            for key in (self.keys[name], "d" + name, dotted(path, "d"), name):
                if key in by_name and key not in used:
                    out[name] = by_name[key]
                    used.add(key)
                    break
        return out | {key: value for key, value in by_name.items() if key not in used and key not in out}

    def by_position(self, returned: Sequence[Any]) -> dict[str, Any]:
        """Match a tuple of gradients, each an array or nested like its argument, in the order of the inputs."""
        arguments = list(dict.fromkeys(path[0] for name, path in self.inputs if name in self.wrt))
        if len(returned) != len(arguments):
            raise InvalidPair(
                f"backward returned {len(returned)} gradients, expected {len(arguments)}: those of {arguments}, in "
                "this order; pass wrt= to name the inputs that have one, or return a dict"
            )
        out: dict[str, Any] = {}
        for argument, value in zip(arguments, returned, strict=True):
            inside = tuple(item for item in self.inputs if item[1][0] == argument)
            if isinstance(value, Mapping):
                out |= PlainBackward(self.function, inside, self.wrt, self.keys, None).by_key(value)
            elif len(inside[0][1]) > 1 and isinstance(value, tuple | list):
                names = [name for name, _ in inside]
                if len(value) != len(names):
                    raise InvalidPair(f"backward returned {len(value)} gradients for {argument}, expected {names}")
                out |= dict(zip(names, value, strict=True))
            else:
                out[inside[0][0]] = value
        return out


def dotted(path: tuple[str, ...], prefix: str) -> str:
    """Join a path by dots, the prefix before its last key."""
    return ".".join((*path[:-1], prefix + path[-1]))


def declared_shapes(inputs: Mapping[str, str] | None) -> dict[str, Shape]:
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
    dim_names(shapes.values())
    return shapes


def check_wrt(wrt: Sequence[str], shapes: Mapping[str, Shape]) -> None:
    """Raise InvalidPair where wrt is empty or names no input."""
    if isinstance(wrt, str) or not wrt:
        raise InvalidPair(f"wrt names at least one input, as a tuple; got {wrt!r}")
    unknown = [name for name in wrt if shapes and name not in shapes]
    if unknown:
        raise InvalidPair(f"wrt names {unknown}, which are no inputs; the inputs are {list(shapes)}")


def expand_wrt(wrt: Sequence[str], paths: Sequence[tuple[str, ...]], names: Sequence[str]) -> list[str]:
    """Replace the name of a whole argument in wrt by the names of its leaves, in the order of the inputs."""
    if isinstance(wrt, str):
        raise InvalidPair(f"wrt names at least one input, as a tuple; got {wrt!r}")
    unknown = set(wrt) - set(names) - {path[0] for path in paths}
    if unknown:
        raise InvalidPair(f"wrt names {sorted(unknown)}, which are no inputs; the inputs are {list(names)}")
    return [name for name, path in zip(names, paths, strict=True) if name in wrt or path[0] in wrt]


def checked_rename(gradients: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return the rename map, or raise where it names no input."""
    unknown = [name for name in gradients if name not in names]
    if unknown:
        turned = all(value in names for value in gradients.values())
        hint = "; it maps an input to its key, so turn it round" if turned else ""
        raise InvalidPair(f"gradients names {unknown}, which are no inputs; the inputs are {list(names)}{hint}")
    return dict(gradients)


def checked_returns(returns: Sequence[str] | None, upstream: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the outputs that have cotangents, or None for all; raise where returns and upstream do not fit."""
    for label, value in (("returns", returns), ("upstream", upstream)):
        if isinstance(value, str) or (value is not None and (not value or len(set(value)) != len(value))):
            raise InvalidPair(f"{label} is a tuple of distinct names, got {value!r}")
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
    """Return the name of the module that builds the pair: the first frame outside this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in (__file__, "<string>"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))
