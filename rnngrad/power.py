"""The power of a test: which errors, planted into a pair's own gradients, its cases would have seen.

What changes only numbers is held against the numerical derivatives of an ordinary check, which are taken once for each
case: a planted error then costs a few dot products. What changes the behaviour of backward is planted into a copy of
the pair, which is checked as a whole. Nothing is planted where it could reach the user's own arrays: gradients are
copied, and every call of backward gets copies as in any check.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.case import Case
from rnngrad.check.asked import Asked, ask
from rnngrad.check.pipeline import examined
from rnngrad.check.trust import trusting
from rnngrad.errors import InvalidPair
from rnngrad.pair import Pair
from rnngrad.result import PlantedError, Power, Verdict
from rnngrad.spec import Axis, dim_names
from rnngrad.tree import components

__all__ = ["measure_power"]

SMALL = 1e-2  # of the root mean square: the error of the one entry
TRIES = 5  # cases on which what changes behaviour is tried: each is an ordinary check, and one case is mostly enough

Gradients = Mapping[str, NDArray[Any]]
Plant = Callable[[Gradients, Mapping[str, Any]], Gradients]
Backward = Callable[[dict[str, Any], Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Error:
    """An error to plant: what it is called, in which gradients, how, and what hides it where it changes nothing."""

    kind: str
    gradients: tuple[str, ...]
    plant: Plant
    hidden: str = "the gradient was zero in every case"


def sign(name: str) -> Plant:
    """Turn the sign."""
    return lambda g, _: {name: -g[name]}


def factor(name: str) -> Plant:
    """Double the gradient."""
    return lambda g, _: {name: 2 * g[name]}


def one_entry(name: str) -> Plant:
    """Change the middle entry by a hundredth of the root mean square."""

    def plant(g: Gradients, _: Mapping[str, Any]) -> Gradients:
        out = g[name].copy()
        out.flat[out.size // 2] += SMALL * np.sqrt(np.mean(np.abs(out) ** 2))
        return {name: out}

    return plant


def last_zeroed(name: str) -> Plant:
    """Zero the last step, row or example: what lies last along the first axis."""

    def plant(g: Gradients, _: Mapping[str, Any]) -> Gradients:
        out = g[name].copy()
        out[-1:] = 0
        return {name: out}

    return plant


def transposed(name: str) -> Plant:
    """Transpose a square gradient."""
    return lambda g, _: {name: g[name].swapaxes(-1, -2)}


def averaged(name: str, dim: str) -> Plant:
    """Divide by the size of a dim that is summed over."""
    return lambda g, sizes: {name: g[name] / max(sizes[dim], 1)}


def swapped(name: str, other: str) -> Plant:
    """Return two gradients of one shape in each other's place."""
    return lambda g, _: {name: g[other], other: g[name]}


def of_each(pair: Pair, names: Iterable[str]) -> Iterator[Error]:
    """Yield the errors that can be planted into single gradients, or pairs of them, of a declared shape."""
    names = list(names)
    everywhere = dim_names(pair.shapes.values())
    for name in names:
        axes = pair.shapes[name].axes
        texts = [axis.text for axis in axes]
        yield Error("sign", (name,), sign(name))
        yield Error("factor 2", (name,), factor(name))
        yield Error("one entry off by 1 %", (name,), one_entry(name))
        if axes:
            yield Error("last step zeroed", (name,), last_zeroed(name))
        if len(axes) > 1 and texts[-1] == texts[-2]:
            hidden = f"no case had {texts[-1]} > 1 and an unsymmetric gradient"
            yield Error("transposed", (name,), transposed(name), hidden)
        own = {dim for axis in axes if isinstance(axis, Axis) for dim, _ in axis.terms}
        for dim in (dim for dim, is_group in everywhere.items() if not is_group and dim not in own):
            yield Error(f"averaged over {dim}", (name,), averaged(name, dim), f"no case had {dim} > 1")
    for i, name in enumerate(names):
        for other in (other for other in names[i + 1 :] if pair.shapes[other].text == pair.shapes[name].text):
            hidden = "the two gradients were equal in every case"
            yield Error("swapped", (name, other), swapped(name, other), hidden)


def cotangent_ignored(backward: Backward) -> Backward:
    """Take every cotangent for ones."""
    return lambda v, cache: backward({name: np.ones_like(array) for name, array in v.items()}, cache)


def stale(backward: Backward) -> Backward:
    """Go by the first cache that came with cotangents of these shapes."""
    first: dict[tuple[tuple[int, ...], ...], Any] = {}

    def wrong(v: dict[str, Any], cache: Any) -> Mapping[str, Any]:
        return backward(v, first.setdefault(tuple(array.shape for array in v.values()), cache))

    return wrong


def accumulating(backward: Backward) -> Backward:
    """Add every result to the ones before."""
    sums: dict[tuple[str, tuple[int, ...]], Any] = {}

    def wrong(v: dict[str, Any], cache: Any) -> Mapping[str, Any]:
        out = {}
        for name, value in backward(v, cache).items():
            key = (name, np.shape(value))
            sums[key] = sums.get(key, 0) + np.asarray(value)
            out[name] = sums[key].copy()
        return out

    return wrong


def overwriting(backward: Backward) -> Backward:
    """Scale the cotangents in place before going on with what they were."""

    def wrong(v: dict[str, Any], cache: Any) -> Mapping[str, Any]:
        out = backward({name: array.copy() for name, array in v.items()}, cache)
        for array in v.values():
            array *= 0.5
        return out

    return wrong


def narrowing(backward: Backward) -> Backward:
    """Round the results to single precision."""

    def wrong(v: dict[str, Any], cache: Any) -> Mapping[str, Any]:
        single = {np.dtype(np.float64): np.float32, np.dtype(np.complex128): np.complex64}
        arrays = {name: np.asarray(value) for name, value in backward(v, cache).items()}
        return {name: array.astype(single.get(array.dtype, array.dtype)) for name, array in arrays.items()}

    return wrong


BEHAVIOUR: Mapping[str, Callable[[Backward], Backward]] = {
    "cotangent ignored": cotangent_ignored,
    "stale cache": stale,
    "accumulated": accumulating,
    "cotangent overwritten": overwriting,
    "single precision": narrowing,
}


@dataclass
class Hunt:
    """One planted error over the cases: whether it changed anything, and the first case that caught it."""

    error: Error
    caught: str = ""
    changed: bool = False
    decided: bool = False
    missed: list[tuple[float, float]] = field(
        default_factory=list
    )  # errors along a line, and what would have been seen

    def try_on(self, asked: Asked, gradients: Gradients, sizes: Mapping[str, Any], where: str) -> None:
        """Hold the planted gradients against the numbers of one case."""
        for name, wrong in self.error.plant(gradients, sizes).items():
            if np.array_equal(wrong, gradients[name]):
                continue
            self.changed = True
            on = asked.lines[name]
            answer = asked.judge(name, components(wrong))
            self.decided |= not bool(on.asked.doubtful[on.line])
            self.missed.append((float(abs(answer.claimed[0] - answer.numeric[0])), float(answer.seen[0])))
            if answer.wrong[0]:
                self.caught = where

    def result(self) -> PlantedError:
        """Return what became of the error."""
        reason = self.caught
        if not reason:
            reason = self.error.hidden if not self.changed else "no case that it changes could be decided"
            if self.decided:
                off, seen = max(self.missed, key=lambda both: both[0] / both[1])
                reason = f"it is off by {off:.0e} at most where {seen:.0e} would have been seen"
        return PlantedError(self.error.kind, self.error.gradients, bool(self.caught), reason)


def measure_power(pair: Pair, cases: Iterable[Case]) -> Power:
    """Plant standard errors into a pair's own gradients and tell which of them the cases would have caught.

    Raises InvalidPair where there is no case, or no gradient that passes.
    """
    cases = list(cases)
    if not cases:
        raise InvalidPair(f"power of {pair.name}: there is no case; pass one at least")
    hunts: dict[tuple[str, tuple[str, ...]], Hunt] = {}
    spent = 0
    with trusting():
        for case in cases:
            asked = ask(pair, case)
            gradients = {name: asked.point.of(name, asked.joined) for name in asked.lines}
            for error in of_each(pair, gradients):
                hunt = hunts.setdefault((error.kind, error.gradients), Hunt(error))
                if not hunt.caught:
                    hunt.try_on(asked, gradients, case.dims, repr(case))
            spent += asked.point.forward.evaluations + 1
        planted = [hunt.result() for hunt in hunts.values()]
        for kind, plant in BEHAVIOUR.items():
            found, passes = tried(replace(pair, backward=plant(pair.backward)), kind, cases[:TRIES])
            planted.append(found)
            spent += passes
    return Power(str(pair.name), len(cases), tuple(planted), spent)


def tried(pair: Pair, kind: str, cases: Iterable[Case]) -> tuple[PlantedError, int]:
    """Check a pair with a planted behaviour on a few cases; return what became of it, and the forward passes."""
    spent = 0
    for case in cases:
        report = examined(pair, case).report
        spent += report.evaluations
        if report.verdict is Verdict.FAIL:
            return PlantedError(kind, (), True, repr(case)), spent
    return PlantedError(kind, (), False, f"the first {TRIES} cases did not show it"), spent
