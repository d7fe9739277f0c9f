"""A claimed gradient beside the true one, and whether something else explains it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.compare import LIMIT
from rnngrad.check.diagnose.scene import Scene
from rnngrad.check.diagnose.truth import Truth
from rnngrad.numdiff.scale import norm
from rnngrad.spec import Axis

__all__ = ["LEFT", "View", "largest", "likeness", "named_axes", "view_of"]

LEFT = 0.05  # share of the error that an explanation may leave: where bars are as wide as the error, anything fits them


@dataclass(frozen=True)
class View:
    """The gradient of one input: what is claimed, what is true (nan where nobody looked), by how much they may differ.

    ``axes`` names each axis as it was declared, or by its number; ``blocks`` says how many blocks of equal size it has.
    """

    name: str
    key: str
    claimed: NDArray[Any]
    true: NDArray[Any]
    slack: float
    axes: tuple[str, ...]
    blocks: tuple[int, ...]

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """Return the entries that are known."""
        return np.asarray(np.isfinite(self.true))

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Return the entries that are known to be wrong."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.claimed - self.true) > self.slack)

    @cached_property
    def size(self) -> float:
        """Return the largest of all entries."""
        return max(largest(self.claimed), self.largest)

    @cached_property
    def largest(self) -> float:
        """Return the largest entry of the true gradient."""
        return largest(self.true)

    def misfit(self, predicted: NDArray[Any], among: NDArray[np.bool_] | None = None) -> float:
        """Return by how much a prediction misses the claim, relative to the largest entry; inf where beyond the bars.

        Only entries that are known, or ``among`` some, count. A larger prediction may miss by as much more; where that
        is no small part of the error, nothing is explained.
        """
        some = np.isfinite(predicted) if among is None else np.isfinite(predicted) & among
        if not some.any():
            return np.inf
        apart = float(np.abs(predicted - self.claimed)[some].max())
        scale = max(1.0, largest(predicted) / self.largest if self.largest else 1.0)
        fits = apart <= self.slack * scale and apart <= LEFT * largest((self.claimed - self.true)[some])
        return apart / (self.size or 1.0) if fits else np.inf


def likeness(view: View) -> str:
    """Say how alike the claimed and the true gradient are, all known entries taken together."""
    claimed, true = np.abs(view.claimed[view.known]), np.abs(view.true[view.known])
    sizes = norm(claimed.ravel()), norm(true.ravel())
    if not all(sizes):
        return f"backward has norm {sizes[0]:.2g}, the true gradient {sizes[1]:.2g}"
    product = float(np.vdot(view.true[view.known], view.claimed[view.known]).real)
    return f"cosine {product / sizes[0] / sizes[1]:.4f}, norm ratio {sizes[0] / sizes[1]:.4g}"


def largest(array: NDArray[Any]) -> float:
    """Return the size of the largest finite entry of an array."""
    return float(np.max(np.abs(array), initial=0.0, where=np.isfinite(array)))


def view_of(
    scene: Scene,
    truth: Truth,
    name: str,
    claimed: Mapping[str, NDArray[Any]],
    cotangents: Mapping[str, NDArray[Any]],
) -> View:
    """Return the view of one gradient, claimed for some cotangents."""
    true, bar = truth.gradient(name, cotangents)
    axes, blocks = named_axes(scene, name)
    return View(name, scene.pair.claim(name), claimed[name], true, LIMIT * bar, axes, blocks)


def named_axes(scene: Scene, name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the declared text of each axis of an input, and how many blocks it is a multiple of."""
    count = len(scene.point.shape(name))
    declared = scene.pair.shapes[name].axes if name in scene.pair.shapes else ()
    if len(declared) != count or not all(isinstance(axis, Axis) for axis in declared):
        return tuple(f"axis {i}" for i in range(count)), (1,) * count
    axes = [axis for axis in declared if isinstance(axis, Axis)]
    return tuple(axis.text for axis in axes), tuple(map(blocks_of, axes))


def blocks_of(axis: Axis) -> int:
    """Return how many blocks an axis is declared to have: 4 of ``4*n`` and of ``4``, else 1."""
    if not axis.terms:
        return max(axis.constant, 1)
    return axis.terms[0][1] if len(axis.terms) == 1 and not axis.constant else 1
