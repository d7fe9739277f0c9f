"""Two pairs under one set of names: those of the old one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rnngrad.check.contract import Arrays
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair

__all__ = ["under_old_names"]

__tracebackhide__ = True


def under_old_names(
    old: Pair, new: Pair, names: Mapping[str, str] | None, outputs: Mapping[str, str] | None, sample: Arrays
) -> Pair:
    """Return the new pair with inputs and outputs called as the old one calls them.

    names and outputs map an old name to the new one; what is not named has the same name in both, and the output of two
    pairs that have one each needs no name. ``sample`` holds outputs of the old pair. Raises InvalidPair where they do
    not fit.
    """
    inputs = checked("names", names, list(old.shapes) or list(names or {}))
    wanted = checked("outputs", outputs, list(sample))
    to_new = {name: inputs.get(name, name) for name in old.shapes} if old.shapes else dict(inputs)
    if old.shapes and new.shapes and set(to_new.values()) != set(new.shapes):
        raise InvalidPair(
            f"the inputs of {old.name} are {list(old.shapes)}, those of {new.name} {list(new.shapes)}; "
            "map old names to new ones with names={'old': 'new'}"
        )
    back = {to_new[name]: name for name in to_new}
    single = len(sample) == 1 and not wanted
    order = [inputs.get(name, name) for name in old.shapes]
    forward, backward = renamed(new, to_new, back, list(sample), wanted, single)
    own = list(new.shapes) if new.shapes else order
    shapes = {back.get(name, name): new.shapes[name].text for name in own if name in new.shapes}
    return replace(
        new,
        forward=forward,
        backward=backward,
        inputs={name: shapes[name] for name in old.shapes if name in shapes} or None,
        wrt=None if new.wrt is None else [back.get(name, name) for name in new.wrt],
        claims={back.get(name, name): key for name, key in new.claims.items()},
        copies={},
        jvp=None,
        optional=tuple(name for name in sample if (single and new.optional) or wanted.get(name, name) in new.optional),
    )


def renamed(
    new: Pair,
    to_new: Mapping[str, str],
    back: Mapping[str, str],
    wanted: list[str],
    outputs: Mapping[str, str],
    single: bool,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return forward and backward of a pair under other names."""

    def key_of(name: str, returned: Mapping[str, Any]) -> str:
        return next(iter(returned)) if single and len(returned) == 1 else outputs.get(name, name)

    def forward(given: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        returned, cache = new.forward({to_new.get(name, name): array for name, array in given.items()})
        keys = {name: key_of(name, returned) for name in wanted}
        if set(keys.values()) != set(returned):
            raise InvalidPair(
                f"the outputs of the old pair are {wanted}, those of {new.name} {list(returned)}; "
                "map old names to new ones with outputs={'old': 'new'}"
            )
        return {name: returned[key] for name, key in keys.items()}, (cache, keys)

    def backward(cotangents: dict[str, Any], cache: Any) -> dict[str, Any]:
        inner, keys = cache
        gradients = new.backward({keys[name]: array for name, array in cotangents.items()}, inner)
        return {back.get(str(name), str(name)): value for name, value in gradients.items()}

    return forward, backward


def checked(label: str, given: Mapping[str, str] | None, known: list[str]) -> dict[str, str]:
    """Return a map of names; raise InvalidPair where it is none, or names what is not there."""
    if given is not None and not isinstance(given, Mapping):
        raise InvalidPair(f"{label}={given!r}; expected a dict from an old name to a new one")
    pairs = dict(given or {})
    unknown = [name for name in pairs if name not in known]
    if unknown or len(set(pairs.values())) < len(pairs):
        raise InvalidPair(f"{label}={pairs}; expected distinct new names for some of {known}")
    return pairs
