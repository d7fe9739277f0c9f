"""Arrays that lie otherwise in memory: Fortran-ordered, strided, read-only."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.protocol.linear import scaled, scales
from rnngrad.check.protocol.rounding import COARSE, confirmed
from rnngrad.check.protocol.subject import Excess, Handing, Subject, beyond, breach
from rnngrad.result import Finding

__all__ = ["CHANCE", "PAST", "at_once"]

CHANCE = {"random"}  # then nothing can be held against the first pass
PAST = {"state"}  # nor then
SMALL = 1 << 16  # bytes: larger arrays are not strided, which takes twice their memory


def strided(array: NDArray[Any]) -> NDArray[Any]:
    """Return every other row of an array."""
    rows = 2 * array.shape[0] if array.ndim and array.nbytes <= SMALL else None
    if rows is None:
        return array.copy()
    view = np.zeros((rows, *array.shape[1:]), array.dtype)[::2]
    view[...] = array
    return view


def fortran(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy in Fortran order."""
    return array.copy(order="F")


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that cannot be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Handing] = {"Fortran-ordered": fortran, "strided": strided, "read-only": frozen}


def all_at_once(array: NDArray[Any], *, writeable: bool) -> NDArray[Any]:
    """Return a copy that is Fortran-ordered, strided and read-only."""
    if array.ndim and array.nbytes <= SMALL:
        view = np.zeros((2 * array.shape[0], *array.shape[1:]), array.dtype, order="F")[::2]
        view[...] = array
    else:
        view = array.copy(order="F")
    view.flags.writeable = writeable
    return view


def at_once(subject: Subject, *, spoiled: bool) -> Iterator[Finding]:
    """Yield what is not linear and what depends on the layout, asked by the same calls.

    They get arrays of another layout, and cotangents of zeros and a huge multiple of the first ones. Where something
    looks broken, each is asked by itself.
    """
    handing = partial(all_at_once, writeable=spoiled)
    passed = subject.forward(handing=handing)
    if not isinstance(passed, str) and scales(subject, passed.cache, handing):
        return
    del passed
    found = list(scaled(subject))
    yield from found
    if not {one.kind for one in found} & (CHANCE | PAST):
        yield from laid_out(subject, spoiled=spoiled)


def laid_out(subject: Subject, *, spoiled: bool) -> Iterator[Finding]:
    """Yield what depends on the layout; what changes its arrays, as said elsewhere, gets some that it can change."""
    together = partial(all_at_once, writeable=spoiled)
    found = list(differences(subject, together))
    if not found:
        return
    layouts = {label: layout for label, layout in LAYOUTS.items() if not (spoiled and layout is frozen)}
    for label, layout in (layouts | {", ".join(layouts): together}).items():
        gradients = [one for one in differences(subject, layout) if isinstance(one, Excess)]
        troubles = [one for one in differences(subject, layout) if isinstance(one, str)]
        if troubles:
            yield breach("layout", f"{troubles[0]}, for {label} arrays")
            return
        real = confirmed(subject, partial(excesses, layout=layout), gradients) if gradients else []
        for excess in real:
            said = f"{excess.place}: for {label} arrays backward gives {excess.got:.6g}, else {excess.expected:.6g}"
            yield breach("layout", said, excess.name)
        if real:
            return


def differences(subject: Subject, layout: Handing) -> Iterator[Excess | str]:
    """Yield where the gradients differ for arrays of another layout; words where forward or backward raises."""
    passed = subject.forward(handing=layout)
    if isinstance(passed, str):
        yield passed
        return
    found = subject.backward(passed.cache, handing=layout)
    if isinstance(found, str):
        yield found
    else:
        yield from beyond(found, subject.claimed, COARSE)


def excesses(subject: Subject, layout: Handing) -> Iterator[Excess]:
    """Yield where the gradients differ for arrays of another layout."""
    return (one for one in differences(subject, layout) if isinstance(one, Excess))
