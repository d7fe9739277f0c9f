"""Plain functions in canonical form: how they are called, and how what they return is matched with the inputs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rnngrad.errors import InvalidPair
from rnngrad.tree import leaf_names, leaves, rebuild

__all__ = ["CACHE", "PlainBackward", "PlainForward", "PlainJvp"]

__tracebackhide__ = True

CACHE = "cache"  # the name in `returns` that marks what backward needs, not an output


@dataclass(frozen=True)
class PlainForward:
    """Call a plain forward function in canonical form; its cache is what backward gets after the cotangents.

    ``inputs`` is nested like the arguments of forward, each leaf the name of its input.
    """

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    returns: tuple[str, ...] | None
    upstream: tuple[str, ...] | None

    def __call__(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
        arguments = tuple([filled(names, inputs) for names in self.inputs.values()])
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
            if len(returned) < 2:
                raise InvalidPair(f"forward returned a tuple of {len(returned)}, expected outputs and a cache")
            *outputs, cache = returned
            return dict(zip(output_names(len(outputs)), outputs, strict=True)), (cache,)
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
    inputs: Mapping[str, Any]
    wrt: tuple[str, ...]
    keys: Mapping[str, str]
    upstream: tuple[str, ...] | None

    def __call__(self, cotangents: dict[str, Any], cache: tuple[Any, ...]) -> dict[str, Any]:
        order = self.upstream or tuple(cotangents)
        try:
            returned = self.function(*(cotangents[name] for name in order), *cache)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise  # it was raised inside
            raise InvalidPair(f"{error}{self.called(order, cache)}") from None
        if returned is None and len(self.arguments) > 1:
            raise InvalidPair(f"backward returned None, expected the gradients of {list(self.arguments)}: no return?")
        if isinstance(returned, Mapping):
            return self.by_key(returned)
        return self.by_position(returned if isinstance(returned, tuple | list) else (returned,))

    def called(self, order: Sequence[str], cache: tuple[Any, ...]) -> str:
        """Say with what backward was called, and why with that."""
        cotangents = ", ".join("d" + name for name in order)
        inputs = f"then {', '.join(self.inputs)}, as forward returned no cache: return (output, cache)"
        rest = inputs if len(cache) > 1 else "then the cache"
        return f"\n    backward takes the cotangents, {cotangents}, {rest}"

    def by_key(self, returned: Mapping[str, Any]) -> dict[str, Any]:
        """Match a dict of gradients by key; what names no input is kept under its own key."""
        out: dict[str, Any] = {}
        rest = dict(returned)
        for argument, names in self.inputs.items():
            nested = () if isinstance(names, str) else ("d" + argument, argument)
            key = next((key for key in nested if is_tree(rest.get(key))), None)
            if key is not None:
                self.nested(names, rest.pop(key), argument, out)
        flat = flattened(rest)
        wanted = [name for name in self.names if name not in out]
        exact = all(name in flat for name in wanted if name in self.wrt)
        for name in wanted:
            spellings = (name,) if exact and self.keys[name] not in flat else (self.keys[name], "d" + name, name)
            key = next((key for key in spellings if key in flat), None)
            if key is not None:
                out[name] = flat.pop(key)
        return out | {key: value for key, value in flat.items() if key not in out}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return the names of the inputs."""
        return tuple(name for _, name in leaves(self.inputs))

    @cached_property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of forward that have a gradient."""
        return {
            argument: names
            for argument, names in self.inputs.items()
            if any(name in self.wrt for _, name in leaves(names))
        }

    def by_position(self, returned: Sequence[Any]) -> dict[str, Any]:
        """Match a tuple of gradients, each an array or nested like its argument, in the order of the inputs."""
        if len(returned) != len(self.arguments):
            if isinstance(returned, list) and returned and all(isinstance(one, list | float | int) for one in returned):
                raise InvalidPair("backward returned a list of numbers, expected an array, or a tuple or dict of them")
            raise InvalidPair(
                f"backward returned {len(returned)} gradients, expected {len(self.arguments)}: those of "
                f"{list(self.arguments)}, in this order; pass wrt= to name the inputs that have one, or return a dict"
            )
        out: dict[str, Any] = {}
        for (argument, names), value in zip(self.arguments.items(), returned, strict=True):
            self.nested(names, value, argument, out)
        return out

    def nested(self, names: Any, value: Any, where: str, out: dict[str, Any]) -> None:
        """Match a gradient that is nested like its argument; ``names`` holds the input names in its place."""
        if isinstance(names, str):
            out[names] = value
        elif isinstance(names, Mapping):
            if not isinstance(value, Mapping):
                raise InvalidPair(f"backward returned {value!r:.60} for {where}, expected a dict like {where} itself")
            rest = dict(value)
            for key, child in names.items():
                renamed = self.keys.get(child, "d" + key) if isinstance(child, str) else "d" + key
                found = next((spelling for spelling in (renamed, "d" + key, key) if spelling in rest), None)
                if found is not None:
                    self.nested(child, rest.pop(found), f"{where}.{key}", out)
            out.update({f"{where}.{key}": extra for key, extra in rest.items()})
        else:
            count = len(value) if isinstance(value, tuple | list) else None
            if count != len(names):
                got = "no list" if count is None else f"{count} gradients"
                raise InvalidPair(f"backward returned {got} for {where}, expected {len(names)} in a list")
            for position, (child, part) in enumerate(zip(names, value, strict=True)):
                self.nested(child, part, f"{where}.{position}", out)


@dataclass(frozen=True)
class PlainJvp:
    """Call a plain JVP function in canonical form; an input that is not differentiated has None as its tangent."""

    function: Callable[..., Any]
    inputs: Mapping[str, Any]
    upstream: tuple[str, ...] | None

    def __call__(self, tangents: dict[str, Any], cache: tuple[Any, ...]) -> dict[str, Any]:
        known = {name: tangents.get(name) for _, name in leaves(self.inputs)}
        returned = self.function(*(filled(names, known) for names in self.inputs.values()), *cache)
        if isinstance(returned, Mapping):
            return dict(returned)
        moved = returned if isinstance(returned, tuple | list) else (returned,)
        labels = self.upstream or output_names(len(moved))
        if len(moved) != len(labels):
            raise InvalidPair(f"jvp returned {len(moved)} tangents, expected {len(labels)}: those of {list(labels)}")
        return dict(zip(labels, moved, strict=True))


def filled(names: Any, arrays: Mapping[str, Any]) -> Any:
    """Return nested names with each replaced by its array: what `rebuild` does, faster, as every pass needs it."""
    if type(names) is str:
        return arrays[names]
    if type(names) is dict:
        return {key: filled(child, arrays) for key, child in names.items()}
    return rebuild(names, iter([arrays[name] for _, name in leaves(names)]))


def output_names(count: int) -> tuple[str, ...]:
    """Name outputs that nobody named."""
    return ("out",) if count == 1 else tuple(f"out{i}" for i in range(count))


def is_tree(value: Any) -> bool:
    """Tell whether a value is nested: a dict, or a list or tuple that is not numbers alone."""
    if isinstance(value, tuple | list):
        return any(is_tree(child) or hasattr(child, "shape") for child in value)
    return isinstance(value, Mapping)


def flattened(returned: Mapping[str, Any]) -> dict[str, Any]:
    """Name the gradients in nested dicts by their last key, or by the whole path where that is not unique."""
    found = list(leaves_of_dicts(returned))
    names = leaf_names([path for path, _ in found])
    return dict(zip(names, (value for _, value in found), strict=True))


def leaves_of_dicts(returned: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the leaves of nested dicts; a list is a leaf, and no gradient."""
    for key, value in returned.items():
        if isinstance(value, Mapping):
            yield from leaves_of_dicts(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value
