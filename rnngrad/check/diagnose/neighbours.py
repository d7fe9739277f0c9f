"""Other cases of a pair, at which a guess must hold too: in a small case one number may stand for many reasons.

Where N = 2, a half may be 1/N; where n = 1, all is transposed, reversed and permuted; where N = H, one stands for the
other. So what was found at the given case is asked again at one with sizes that are all different, and only if that
does not do at one where those are equal that are equal here.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from rnngrad.case import Case
from rnngrad.check.diagnose.scene import Scene
from rnngrad.spec import dim_names

__all__ = ["neighbours", "output_axes", "roomy"]

FIRST = 3  # the least size with which a reversal, a roll and a swap are three different things
ENTRIES = 600  # of all inputs together: beyond, the sizes start at 2


def neighbours(scene: Scene) -> Iterator[Scene]:
    """Yield the same pair at other cases: all dims different; those equal that are equal here."""
    shapes = scene.pair.shapes
    if not shapes or not all(np.any(cotangent) for cotangent in scene.upstream.values()):
        return  # there all cotangents are drawn
    names = [name for name, group in dim_names(shapes.values()).items() if not group]
    groups = {name: size for name, size in scene.sizes.items() if name not in names}
    values = sorted({scene.dims[name] for name in names})
    apart = [unlike(scene, names, first) for first in (FIRST, FIRST - 1)]
    alike = [{name: first + values.index(scene.dims[name]) for name in names} for first in (FIRST, FIRST - 1)]
    cases = [*apart, *alike] if len(values) < len(names) else apart
    within = [dims for dims in cases if entries(scene, groups | dims) <= ENTRIES]
    beyond = [dims for dims in cases if dims not in within and min(dims.values(), default=0) < FIRST]
    for dims in (*within, *beyond):
        try:
            yield scene.at(at(scene, groups | dims))
        except Exception:
            continue


def unlike(scene: Scene, names: Sequence[str], first: int) -> dict[str, int]:
    """Return sizes that are all different, and none that of the given case: there 2 may be the root of 4."""
    found: dict[str, int] = {}
    for name in names:
        found[name] = next(size for size in count(first) if size not in found.values() and size != scene.dims[name])
    return found


def roomy(scene: Scene) -> Iterator[Scene]:
    """Yield the same pair at a case where integers have room to differ: more of them are allowed than there are."""
    shapes = scene.pair.shapes
    grown: dict[str, int] = {}
    for name, shape in shapes.items():
        if shape.below is not None and len(shape.below.terms) == 1:
            [(dim, _)] = shape.below.terms
            grown[dim] = max(grown.get(dim, 0), scene.inputs[name].size + 1)
    if grown:
        yield scene.at(at(scene, scene.sizes | grown))


def entries(scene: Scene, dims: dict[str, Any]) -> float:
    """Return the number of entries of all inputs with such sizes; infinite where these do not fit."""
    try:
        return sum(size_of(shape.sizes(dims)) for shape in scene.pair.shapes.values())
    except Exception:
        return np.inf


def at(scene: Scene, dims: dict[str, Any]) -> Case:
    """Return a case with such sizes, its values drawn, one-hot where they are in the given case."""
    fills = {name: fill for name, fill in (scene.case.fills if scene.case else {}).items() if fill == "one-hot"}
    seed = scene.case.seed if scene.case else 0
    return Case(fills=fills, seed=seed + 1, **dims)


def size_of(shape: tuple[int, ...]) -> int:
    """Return the number of entries of a shape."""
    total = 1
    for size in shape:
        total *= size
    return total


def output_axes(scene: Scene) -> dict[str, tuple[str, ...]]:
    """Name the axes of each output by the dims that have their sizes, "" where none or several have."""
    sizes = list(scene.dims.values())
    by_size = {size: name for name, size in scene.dims.items() if sizes.count(size) == 1}
    return {output: tuple(by_size.get(size, "") for size in array.shape) for output, array in scene.outputs().items()}
