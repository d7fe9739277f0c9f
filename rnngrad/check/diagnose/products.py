"""A term that is a matrix product of arrays at hand: missing, of the other sign, or in the place of another one.

Of y = x^T W x the gradient of x has two terms, and of x x^T as well. A gradient is linear in the cotangent, so a term
is a product of a cotangent and an array, or one of two arrays that a cotangent scales row by row.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View

__all__ = ["product_wrong"]

Array = NDArray[Any]
FEW = 3  # entries that a product must explain where there is one case alone
MANY = 16  # arrays at hand beyond which their products are too many to try
MOST = 2**16  # multiplications of one product, where all that fit are tried
MULTIPLES = (-1.0, 1.0, -2.0, 2.0, -0.5, 0.5, -4.0, 4.0)  # of a term missing, too many, halved, or of the other sign


def product_wrong(stage: Stage) -> Iterator[Guess]:
    """Guess that the error is a simple multiple of a product of matrices at hand, or one such in another's place."""
    for view in stage.views.values():
        if view.known.sum() < stage.least(FEW):
            continue
        error = view.claimed - view.true
        terms = {term: array for term, array in products(stage, view.true.shape) if array.any()}
        for term, array in terms.items():
            some = array[view.known]
            by = nearest(float(np.vdot(some, error[view.known]).real), float(np.vdot(some, some).real))
            words = f"the true gradient with {by:+g} times {term} added to it: a term is missing or wrong?"
            yield from fitting(stage, view, words, f"{term} is missing or wrong", by * array)
        for (one, a), (other, b) in permutations(terms.items(), 2):
            words = f"the true gradient with {one} added and {other} taken off: one in the place of the other?"
            yield from fitting(stage, view, words, f"{one} and {other} in each other's place", a - b)


def nearest(product: float, square: float) -> float:
    """Return the multiple among those tried that is closest to a fitted one."""
    return min(MULTIPLES, key=lambda by: abs(by * square - product))


def fitting(stage: Stage, view: View, words: str, brief: str, error: Array) -> Iterator[Guess]:
    """Yield a guess where it is asked for and leaves nothing of the error."""
    left = view.misfit(view.true + error) if stage.wants(words) else np.inf
    if np.isfinite(left):
        yield Guess(view.name, "term", words, left, brief)


def products(stage: Stage, shape: tuple[int, ...]) -> Iterator[tuple[str, Array]]:
    """Yield the products of a shape that are linear in a cotangent, as they are written in numpy."""
    kept = {called: a for called, a in stage.cached.items() if a.ndim in (1, 2) and np.isfinite(a).all()}
    if len(kept) > MANY:
        return
    for output, v in stage.scene.upstream.items():
        if v.ndim == 2:
            for called, a in kept.items():
                yield from ordered(stage, {f"d{output}": v}, {called: a}, shape)
        if v.ndim < 2:
            rows = v if v.ndim == 0 else v[:, None]
            written = f"d{output}" if v.ndim == 0 else f"d{output}[:, None]"
            for (one, a), (other, b) in permutations(kept.items(), 2):
                for term, product in ordered(stage, {one: a}, {other: b}, shape):
                    if v.ndim == 0 or v.shape == shape[:1]:
                        yield f"{written} * ({term})", (rows if product.ndim > 1 else v) * product


def ordered(
    stage: Stage, one: dict[str, Array], other: dict[str, Array], shape: tuple[int, ...]
) -> Iterator[tuple[str, Array]]:
    """Yield the products of two arrays, each transposed or not, in either order, that fit a shape and are asked for."""
    for (first, a), (second, b) in permutations([*one.items(), *other.items()], 2):
        for left, p in turned(first, a):
            for right, q in turned(second, b):
                fits = p.shape[-1] == q.shape[0] and p.shape[:-1] + q.shape[1:] == shape
                if fits and (stage.wanted is not None or p.size * q.size <= MOST * len(q)):
                    term = f"{left} @ {right}"
                    if stage.wanted is None or any(term in words for words in stage.wanted):
                        yield term, p @ q


def turned(called: str, a: Array) -> Iterator[tuple[str, Array]]:
    """Yield an array, and a matrix transposed as well, as they are written."""
    yield called, a
    if a.ndim == 2:
        yield f"{called}.T", a.T
