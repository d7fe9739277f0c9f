"""How a side answers to changes: whether it follows those that are far below double precision.

In extended precision a change of 2^-55 moves a gradient in proportion as one of 2^-12 does, as long as nothing on the
way is rounded to double precision: what is stands still, or jumps. Only of a side that follows both alike is it known
that extended precision shows all of its rounding. What is changed is every input, and every array that forward hands to
backward: a saturated unit hardly depends on its inputs. They are changed apart, since forward may make much of a tiny
change where sums cancel, and a cast then follows.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import FLOATING, Arrays
from rnngrad.regress.run import run
from rnngrad.regress.side import Side, tensors_of, widened

__all__ = ["follows"]

WIDE = 2.0**-12  # many units of single precision, and of 1 - s for s close to 1
TINY = 2.0**-55  # no double moves by it: a quarter of their least spacing
TURNS = 4  # directions: in one of them two ways to an entry may cancel
ALIKE = 1 / 8  # of the answer, by which it may differ: curvature over the wide change, rounding over the tiny one
SEEN = 1 / 64  # of the entry: what depends less on something does not lose digits in it


def follows(side: Side, name: str) -> NDArray[np.bool_]:
    """Tell of each entry of a tensor whether it follows tiny changes as it follows wide ones."""
    like = side.extended[name]
    alike = np.ones(like.shape, bool)
    for turn, inside in product(range(TURNS), (True, False)):
        wide, tiny = (slope(side, name, partial(shifted, turn=turn), share, inside) for share in (WIDE, TINY))
        if wide is None or tiny is None:
            return np.zeros(like.shape, bool)
        alike &= np.abs(wide - tiny) <= ALIKE * np.abs(wide) + SEEN * np.abs(like)  # nan is not alike
    return alike


def slope(side: Side, name: str, shift: Callable[..., Arrays], share: float, inside: bool) -> NDArray[Any] | None:
    """Return the central difference of a tensor over a relative change of the inputs, or of what lies ``inside``.

    None where it does not come out.
    """
    like, ends, inputs = side.extended[name], [], widened(side.inputs)
    for way in (share, -share):
        change = partial(shift, share=way)
        place = (inputs, widened(side.upstream), change) if inside else (change(inputs), widened(side.upstream))
        end = tensors_of(run(side.pair, *place)).get(name)
        if end is None or (end.shape, end.dtype) != (like.shape, like.dtype):
            return None
        ends.append(end)
    return np.asarray((ends[0] - ends[1]) / np.longdouble(2 * share))


def shifted(arrays: Arrays, share: float, turn: int) -> Arrays:
    """Return arrays in their own precision, each entry off by a share of itself, a zero by that of the largest."""
    rng = np.random.default_rng(turn)
    moved = {}
    for name, array in arrays.items():
        signs = rng.choice([-1.0, 1.0], array.shape)
        if array.dtype.kind in FLOATING:
            size = np.where(array == 0, np.abs(array).max(initial=0.0) or 1.0, array)
            array = np.asarray(array + np.longdouble(share) * signs * size, array.dtype)
        moved[name] = array
    return moved
