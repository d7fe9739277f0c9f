"""Planted errors: correct backward passes as rules, and mutants that replace one of them.

A family is a forward pass with a backward pass written as rules, one for each quantity, computed in the order of the
table: those of ``step`` once for each step in time, from the last to the first, those of ``rules`` before and those of
``after`` when all steps are done. A mutant replaces a rule; it names the gradients that come out wrong, and the words
that a diagnosis, or a finding, of each of them must hold: one of several, divided by "|".
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

import rnngrad as rg
from rnngrad.tree import leaf_names, leaves

Rule = Callable[[SimpleNamespace], Any]


@dataclass(frozen=True)
class Family:
    """A forward pass, its declaration, and the rules of its backward pass.

    ``forward`` returns its outputs and, last, a dict of what backward needs beside the inputs. The rules see that, the
    cotangents as ``d`` + output, the inputs as name + ``_in``, the gradients, which start as zeros, and what is
    ``carried`` from step to step, which starts as zeros like an input.
    """

    name: str
    forward: Callable[..., Any]
    inputs: dict[str, Any]
    outputs: tuple[str, ...]
    rules: dict[str, Rule]
    step: dict[str, Rule] = field(default_factory=dict)
    after: dict[str, Rule] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    wrt: tuple[str, ...] | None = None
    cases: tuple[rg.Case, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the gradients."""
        return self.wrt or tuple(leaf_names([path for path, _ in leaves(self.inputs)]))

    def pair(self, name: str = "correct", **changes: Rule) -> rg.Pair:
        """Return the pair of the forward pass and the rules, some of them changed."""
        unknown = set(changes) - set(self.rules) - set(self.step) - set(self.after) - {"found"}
        assert not unknown, unknown

        def remembering(*arguments: Any) -> Any:
            *outputs, kept = self.forward(*arguments)
            names = leaf_names([path for path, _ in leaves(self.inputs)])
            given = dict(
                zip(names, (leaf for _, leaf in leaves(dict(zip(self.inputs, arguments, strict=True)))), strict=True)
            )
            return *outputs, (given, kept)

        def backward(*arguments: Any) -> Any:
            *cotangents, (given, kept) = arguments
            q = SimpleNamespace(**kept, **{key + "_in": array for key, array in given.items()}, log=defaultdict(list))
            for output, cotangent in zip(self.outputs, cotangents, strict=True):
                setattr(q, "d" + output, cotangent)
            for key in self.names:
                setattr(q, key, np.zeros_like(given[key]))
            for key, like in self.carried.items():
                setattr(q, key, np.zeros_like(given[like]))
            apply(q, self.rules, changes)
            for q.t in range(len(next(iter(cotangents))))[::-1] if self.step else ():
                apply(q, self.step, changes)
            apply(q, self.after, changes)
            return changes.get("found", lambda q: {key: getattr(q, key) for key in self.names})(q)

        return rg.pair(
            remembering, backward, inputs=self.inputs, returns=(*self.outputs, "cache"), wrt=self.wrt, name=name
        )


def apply(q: SimpleNamespace, rules: dict[str, Rule], changes: dict[str, Rule]) -> None:
    """Compute quantities in order, and keep what each was at every step."""
    for quantity in rules:
        value = changes.get(quantity, rules[quantity])(q)
        setattr(q, quantity, value)
        q.log[quantity].append(value)


@dataclass(frozen=True)
class Mutant:
    """A wrong line, the gradients that it spoils, and the words that name it; ``raises`` where no check can be made."""

    family: Family
    name: str
    wrong: tuple[str, ...]
    words: str
    rules: dict[str, Rule]
    raises: bool = False

    def pair(self) -> rg.Pair:
        """Return the pair of the family's forward pass and this backward pass."""
        return self.family.pair(self.name, **self.rules)


def planter(family: Family) -> Callable[..., Mutant]:
    """Return what writes a row of the table of a family."""

    def mutant(name: str, wrong: str | tuple[str, ...], words: str, raises: bool = False, /, **rules: Rule) -> Mutant:
        return Mutant(family, name, (wrong,) if isinstance(wrong, str) else wrong, words, rules, raises)

    return mutant


def fitting(wrong: Callable[[], Any], right: Any) -> Any:
    """Return the wrong array where it can be computed and has the right shape, else the right one.

    An error that only fits some shapes leaves the others right, as the real ones do that hide until two dims are equal.
    """
    try:
        array = wrong()
    except ValueError:
        return right
    return array if array.shape == right.shape else right


def at(array: Any, index: Any, change: Callable[[Any], Any]) -> Any:
    """Return an array with one entry, or some, changed."""
    out = array.copy()
    out[index] = change(out[index])
    return out


def rows(array: Any, block: int, change: Callable[[Any], Any], blocks: int = 4) -> Any:
    """Return an array with one block of its rows changed."""
    out = array.copy()
    size = len(out) // blocks
    part = slice(block * size, (block + 1) * size)
    out[part] = change(out[part])
    return out


class Stale:
    """Return what was right at the first call of these shapes."""

    def __init__(self, right: Rule) -> None:
        self.right = right
        self.first: dict[tuple[int, ...], Any] = {}

    def __call__(self, q: SimpleNamespace) -> Any:
        value = self.right(q)
        return self.first.setdefault(value.shape, value)


class Adding:
    """Return the sum of what was right at all calls of these shapes."""

    def __init__(self, right: Rule) -> None:
        self.right = right
        self.sums: dict[tuple[int, ...], Any] = {}

    def __call__(self, q: SimpleNamespace) -> Any:
        value = self.right(q)
        self.sums[value.shape] = self.sums.get(value.shape, 0) + value
        return self.sums[value.shape].copy()


def sigmoid(x: Any) -> Any:
    """Return the logistic function."""
    return 1 / (1 + np.exp(-x))


def softmax(z: Any, axis: int = 0) -> Any:
    """Return softmax along an axis."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
