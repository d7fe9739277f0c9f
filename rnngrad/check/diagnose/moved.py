"""The numbers are right but stand elsewhere: transposed, permuted, shifted, swapped between inputs, summed too far."""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View
from rnngrad.check.diagnose.words import listed

__all__ = ["layouts", "of_another", "permuted", "reduced", "swapped", "transposed", "within_axis"]

Array = NDArray[Any]
MANY = 8  # axes of a tensor, or blocks of an axis, beyond which nobody permutes them one by one


def transposed(stage: Stage) -> Iterator[Guess]:
    """Guess that the axes of a gradient are exchanged, or its entries laid out in another order."""
    for name, view in stage.views.items():
        if not 1 < view.true.ndim < MANY:
            continue
        for order in permutations(range(view.true.ndim)):
            turned = view.true.transpose(order)
            if turned.shape != view.true.shape or list(order) == sorted(order):
                continue
            left = view.misfit(turned)
            if np.isfinite(left):
                axes = "" if view.true.ndim == 2 else f" in its axes ({', '.join(view.axes[i] for i in order)})"
                words = f"the transpose of the true gradient{axes}"
                yield Guess(name, "transpose", words, left, "the transpose of the true gradient")
        for order in permutations(range(view.true.ndim)):
            left = view.misfit(view.true.transpose(order).reshape(view.true.shape))
            if list(order) != sorted(order) and np.isfinite(left):
                yield Guess(name, "reshaped", "the transpose of the true gradient, reshaped to its shape", left)
                break


def along(view: View, axis: int) -> Iterator[tuple[str, Array]]:
    """Yield the ways in which slices along an axis may be moved, in words, and the gradient that would give."""
    true, called = view.true, view.axes[axis]
    yield from exchanged(view, axis)
    yield f"reversed along {called}", np.flip(true, axis)
    for step in (1, -1):
        where = "on" if step > 0 else "back"
        yield f"rolled {where} by one along {called}", np.roll(true, step, axis)
        gone = np.roll(true, step, axis)
        np.moveaxis(gone, axis, 0)[0 if step > 0 else -1] = 0.0
        yield f"moved {where} by one along {called}, zero where nothing comes from", gone
    for place, index in (("first", 0), ("last", -1)):
        copied = np.broadcast_to(np.take(true, [index], axis), true.shape)
        yield f"with its {place} slice along {called} in the place of all", copied


def exchanged(view: View, axis: int) -> Iterator[tuple[str, Array]]:
    """Yield the gradient with two blocks along an axis exchanged, such as those of two gates, in words."""
    size, blocks = view.true.shape[axis], view.blocks[axis]
    if 1 < blocks < MANY and size % blocks == 0:
        parts = np.split(view.true, blocks, axis=axis)
        for a, b in combinations([k for k, part in enumerate(parts) if part.any()], 2):
            order = list(range(blocks))
            order[a], order[b] = b, a
            words = f"with blocks {a} and {b} of {view.axes[axis]} swapped"
            yield words, np.concatenate([parts[i] for i in order], axis=axis)


def layouts(view: View) -> Iterator[tuple[str, Array]]:
    """Yield the true gradient with its axes exchanged or slices moved, in words."""
    orders = permutations(range(view.true.ndim)) if view.true.ndim < MANY else iter(())
    for order in orders:
        turned = view.true.transpose(order)
        if turned.shape == view.true.shape and list(order) != sorted(order):
            yield "transposed", turned
    for axis in long(view):
        yield from along(view, axis)
    yield from reversed_along(view)


def within_axis(stage: Stage) -> Iterator[Guess]:
    """Guess that slices along one axis are moved, or those along several reversed."""
    for view in stage.views.values():
        yield from fitting(view, (moved for axis in long(view) for moved in along(view, axis)))
        yield from fitting(view, reversed_along(view))


def swapped(stage: Stage) -> Iterator[Guess]:
    """Guess that two blocks along one axis are exchanged."""
    for view in stage.views.values():
        yield from fitting(view, (moved for axis in long(view) for moved in exchanged(view, axis)))


def fitting(view: View, moves: Iterable[tuple[str, Array]]) -> Iterator[Guess]:
    """Yield the moves that explain a gradient."""
    for words, predicted in moves:
        left = view.misfit(predicted)
        if np.isfinite(left):
            yield Guess(view.name, "moved", f"the true gradient {words}", left, words)


def long(view: View) -> list[int]:
    """Return the axes along which anything can be moved."""
    return [axis for axis, size in enumerate(view.true.shape) if size > 1]


def reversed_along(view: View) -> Iterator[tuple[str, Array]]:
    """Yield the true gradient reversed along several axes together, such as both of a kernel, in words."""
    some = long(view)
    for count in range(2, len(some) + 1) if len(some) < MANY else ():
        for axes in combinations(some, count):
            yield f"reversed along {listed([view.axes[axis] for axis in axes])}", np.flip(view.true, axes)


def permuted(stage: Stage) -> Iterator[Guess]:
    """Guess that slices along one axis are permuted in a way that has no name."""
    for name, view in stage.views.items():
        for axis in range(view.true.ndim):
            size = view.true.shape[axis]
            if not (1 < size <= MANY * MANY and view.known.all()):
                continue
            claimed = np.moveaxis(view.claimed, axis, 0).reshape(size, -1)
            true = np.moveaxis(view.true, axis, 0).reshape(size, -1)
            order = np.abs(claimed[:, None] - true[None]).max(axis=2).argmin(axis=1)
            left = view.misfit(np.take(view.true, order, axis))
            if len(set(order.tolist())) == size and np.isfinite(left):
                words = f"the true gradient with its slices along {view.axes[axis]} permuted"
                yield Guess(name, "permuted", words, left, f"permuted along {view.axes[axis]}")


REDUCTIONS: dict[str, Callable[..., Any]] = {"averaged": np.mean, "summed": np.sum}


def reduced(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is summed, or averaged, over an axis that it should keep."""
    for name, view in stage.views.items():
        for axis in range(view.true.ndim):
            if view.true.shape[axis] < 2:
                continue
            for called, reduce in REDUCTIONS.items():
                predicted = np.broadcast_to(reduce(view.true, axis=axis, keepdims=True), view.true.shape)
                left = view.misfit(predicted)
                if np.isfinite(left):
                    words = f"the true gradient {called} over {view.axes[axis]}, an axis that it should keep"
                    yield Guess(name, "reduced", words, left, f"{called} over {view.axes[axis]}")


def of_another(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is that of another input."""
    claims = {name: stage.scene.point.of(name, stage.scene.claims.joined) for name in stage.scene.claims.usable}
    for name, view in stage.views.items():
        others = {other: stage.views[other].true if other in stage.views else claims[other] for other in claims}
        for other, array in others.items():
            for layout, predicted in (("", array), (", transposed", array.T)):
                if other == name or predicted.shape != view.true.shape or (layout and array.ndim < 2):
                    continue
                left = view.misfit(predicted)
                if np.isfinite(left) and view.claimed.any():
                    words = f"the true gradient of {other}{layout}: results swapped?"
                    yield Guess(name, "another", words, left, f"the gradient of {other}{layout}")
