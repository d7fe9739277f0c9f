"""The whole gradient is a simple function of the true one: zero, a multiple, clipped, rounded, shifted by a term."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.diagnose.constants import named_factors
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View

__all__ = [
    "added",
    "added_cotangent",
    "clipped",
    "factor",
    "fitted",
    "multiple",
    "named_multiple",
    "rounded",
    "telling",
    "varying",
    "zero",
]

NEAR = 1e-2  # relative distance within which a fitted factor is tried by name
FEW = 3  # entries that a single term must explain where there is one case alone
DECIMALS = range(1, 13)
OTHERS = 2  # other cotangents for which a single number must be the same multiple
DIGITS = 3  # entries that must all be short decimals where there is one case alone: inputs are drawn as such


def zero(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is zero."""
    for name, view in stage.views.items():
        if not view.claimed.any():
            yield Guess(name, "zero", "zero: the gradient is missing", 0.0, "it is zero")


def fitted(view: View, among: NDArray[np.bool_]) -> float:
    """Return the multiple of the true gradient that comes closest to the claim."""
    true, claimed = view.true[among], view.claimed[among]
    square = float(np.vdot(true, true).real)
    return float(np.vdot(true, claimed).real) / square if square else 0.0


def named_multiple(scene: Scene, view: View, among: NDArray[np.bool_]) -> Iterator[tuple[str, str, float]]:
    """Yield the names of all factors that explain some entries, with what they may mean and what is left."""
    multiple = fitted(view, among)
    for name, value, hint in named_factors(scene):
        if abs(multiple - value) <= NEAR * abs(value):
            left = view.misfit(value * view.true, among)
            if np.isfinite(left):
                yield name, hint, left


def factor(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is a multiple of the true one by a factor that has a name."""
    for name, view in stage.views.items():
        for called, hint, left in named_multiple(stage.scene, view, view.known):
            if called == "minus":
                yield Guess(name, "sign", "the true gradient with its sign turned", left, "the sign is turned")
            else:
                yield Guess(name, "factor", f"{called} the true gradient{hint}", left, f"{called} the true gradient")


def multiple(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is a multiple of the true one by a factor without a name."""
    for name, view in stage.views.items():
        by = fitted(view, view.known)
        left = view.misfit(by * view.true)
        if np.isfinite(left) and (telling(view, view.known) >= stage.least(2) or steady(stage, name, by)):
            words = f"{beside_one(by)} times the true gradient: the same direction, cosine {np.sign(by):.0f}"
            yield Guess(name, "multiple", words, left, f"{beside_one(by)} times the true gradient")


def varying(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is a multiple of the true one by a factor that is another one in other cases."""
    for name, view in stage.views.items():
        by = fitted(view, view.known)
        left = view.misfit(by * view.true)
        if by and np.isfinite(left) and telling(view, view.known) >= stage.least(2):
            words = "a multiple of the true gradient, by a factor that depends on sizes or values"
            yield Guess(
                name, "multiple", words, left, f"{beside_one(by)} times the true gradient here", f"{by:.6g} here"
            )


def telling(view: View, among: NDArray[np.bool_]) -> int:
    """Return how many of some entries are not zero."""
    return int((among & (np.abs(view.true) > view.slack)).sum())


def steady(stage: Stage, name: str, by: float) -> bool:
    """Tell whether a gradient is the same multiple of the true one for other cotangents, of which there are several."""
    if sum(v.size for v in stage.scene.upstream.values()) < 2:
        return False
    rng = np.random.default_rng(0)
    for _ in range(OTHERS):
        others = {output: v * rng.uniform(0.5, 1.5, v.shape) for output, v in stage.scene.upstream.items()}
        view = stage.seen(stage.scene.backward(others), others)[name]
        if not np.isfinite(view.misfit(by * view.true)):
            return False
    return True


def beside_one(by: float) -> str:
    """Write a factor; where that would read 1, or -1, by how much it differs from that."""
    apart = abs(by) - 1
    if abs(apart) >= NEAR**2:
        return f"{by:.6g}"
    near = f"1 {'+' if apart > 0 else '-'} {abs(apart):.2g}"
    return f"-({near})" if by < 0 else near


def clipped(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient is the absolute value, or the conjugate, of the true one, or cut off beyond a bound."""
    for name, view in stage.views.items():
        changes = {"absolute value": abs(view.true), "complex conjugate": view.true.conj(), "real part": view.true.real}
        for called, predicted in changes.items():
            left = view.misfit(predicted)
            if np.isfinite(left) and (called != "absolute value" or same_when_turned(stage, name)):
                words = f"the {called} of the true gradient"
                yield Guess(name, called.split()[-1], words, left, words)
        bound = float(np.abs(view.claimed).max())
        left = view.misfit(np.clip(view.true.real, -bound, bound))
        if np.isfinite(left) and (np.abs(view.claimed) == bound).sum() > 1 < view.known.sum():
            yield Guess(name, "clipped", f"the true gradient clipped to ±{bound:.6g}", left, f"clipped to ±{bound:.4g}")


def same_when_turned(stage: Stage, name: str) -> bool:
    """Tell whether a gradient stays the same where all cotangents change their signs, as an absolute value does."""
    turned = stage.scene.backward({output: -v for output, v in stage.scene.upstream.items()})
    return np.array_equal(turned[name], stage.views[name].claimed)


def rounded(stage: Stage) -> Iterator[Guess]:
    """Guess that a gradient was rounded: to a narrower dtype, or to some decimals."""
    for name, view in stage.views.items():
        if view.claimed.dtype.kind != "f":
            continue
        apart = np.abs(view.claimed - view.true)[view.known]
        for dtype in (np.float16, np.float32):
            eps = float(np.finfo(dtype).eps)
            same = (view.claimed.astype(dtype) == view.claimed).all()
            if same and (apart <= 4 * eps * view.size).all():
                words = f"rounding to {dtype.__name__}: every entry is a {dtype.__name__} number"
                yield Guess(name, "precision", words, float(apart.max()) / view.size, f"rounded to {dtype.__name__}")
        for places in DECIMALS:
            same = (np.round(view.claimed, places) == view.claimed).all()
            half = (apart <= 0.5 * 10.0**-places + view.slack).all()
            if same and half and view.claimed.any() and len(apart) >= stage.least(DIGITS):
                words = f"rounding to {places} decimals"
                yield Guess(name, "precision", words, float(apart.max()) / view.size, f"rounded to {places} decimals")
                break


def added(stage: Stage) -> Iterator[Guess]:
    """Guess that the true gradient has something added to it: a constant, or a multiple of an array of its shape."""
    for name, view in stage.views.items():
        error = view.claimed - view.true
        terms = {"a constant": np.ones_like(view.true)} | {
            called: array for called, array in stage.cached.items() if array.shape == error.shape
        }
        for called, term in terms.items():
            some = view.known & np.isfinite(term)
            square = float(np.vdot(term[some], term[some]).real)
            by = float(np.vdot(term[some], error[some]).real) / square if square else 0.0
            left = view.misfit(view.true + by * term)
            if by and some.sum() >= stage.least(3) and np.isfinite(left):
                what = called if called == "a constant" else f"a multiple of {called}"
                yield Guess(name, "added", f"the true gradient with {what} added to it", left, f"{what} is added")


def added_cotangent(stage: Stage) -> Iterator[Guess]:
    """Guess that a direct path is missing or wrong: that multiples of a cotangent, times arrays at hand, are added."""
    for name, view in stage.views.items():
        finite = {called: a for called, a in stage.cached.items() if np.isfinite(a).all()}
        arrays = {called: a for called, a in finite.items() if a.shape == view.true.shape}
        terms = {}
        for output, v in stage.scene.upstream.items():
            if v.shape == view.true.shape:
                terms[f"the cotangent of {output}"] = v
                terms |= {f"the cotangent of {output} times {called}": v * a for called, a in arrays.items()}
        some = view.known
        yield from single(stage, view, terms)
        if not terms or some.sum() < 2 * len(terms):
            continue
        columns = np.stack([term[some] for term in terms.values()], axis=-1)
        by = np.linalg.lstsq(columns, (view.claimed - view.true)[some], rcond=None)[0]
        counts = [round(float(number)) for number in by]
        left = view.misfit(view.true + sum(n * term for n, term in zip(counts, terms.values(), strict=True)))
        if np.isfinite(left) and any(counts):
            parts = [f"{n:+d} times {term}" for n, term in zip(counts, terms, strict=True) if n]
            words = f"the true gradient with {' and '.join(parts)} added to it: a direct path is missing or wrong?"
            yield Guess(name, "path", words, left, "a direct path is missing or wrong")


def single(stage: Stage, view: View, terms: dict[str, NDArray[Any]]) -> Iterator[Guess]:
    """Guess that one term is missing, or added once too often, everywhere or in some entries."""
    for term, array in terms.items():
        for n in (-1, 1):
            for some, where in ((view.known, ""), (view.wrong, " in some entries")):
                left = view.misfit(view.true + n * array, some)
                if np.isfinite(left) and some.sum() >= stage.least(FEW):
                    words = f"the true gradient with {n:+d} times {term} added to it{where}"
                    said = f"{words}: a direct path is missing or wrong?"
                    yield Guess(view.name, "path", said, left, "a direct path is missing or wrong")
                    break
