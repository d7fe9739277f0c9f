"""A batch against its examples.

Along the declared dim the inputs are cut into parts. Forward runs on each, and decides for each output what a batch is
of its parts: their stack along one axis, their sum, or their mean weighted by their sizes. The cotangent of a part
follows from that, and then the gradients of inputs that have the dim are the stack of those of the parts, the others
their sum.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import Arrays
from rnngrad.check.protocol.rounding import COARSE, confirmed
from rnngrad.check.protocol.stir import stirred
from rnngrad.check.protocol.subject import Excess, Forwarded, Subject, beyond, breach
from rnngrad.result import Finding
from rnngrad.spec import Axis

__all__ = ["batched"]

SINGLES = 3  # a batch of so many examples is cut into all of them, a larger one into the first and the others
NEARBY = 2.0**-12  # relative distance of points close by
TIES = 2  # points close by at which an output has to fit no rule as well, before it is said to

Cut = tuple[int, int]


@dataclass(frozen=True)
class Rule:
    """How an output of a batch follows from those of its parts: ``axis`` is that of a stack, -1 for a sum or mean."""

    name: str
    axis: int
    join: Callable[[list[NDArray[Any]], list[float]], NDArray[Any]]

    def cotangents(self, whole: NDArray[Any], parts: list[NDArray[Any]], shares: list[float]) -> list[NDArray[Any]]:
        """Return the cotangent of each part; in a stack an example may have any number of rows."""
        if self.axis >= 0:
            ends = np.cumsum([part.shape[self.axis] for part in parts])
            return np.split(whole, ends[:-1], axis=self.axis)
        return [whole * share if self.name == "mean" else whole for share in shares]


def allowed(whole: NDArray[Any], parts: list[NDArray[Any]]) -> Iterator[Rule]:
    """Yield the rules that the shapes of an output allow."""
    if all(part.shape == whole.shape for part in parts):
        yield Rule("sum", -1, lambda parts, _: np.sum(parts, axis=0))
        yield Rule("mean", -1, lambda parts, shares: np.tensordot(shares, parts, axes=1))
    elif all(part.ndim == whole.ndim for part in parts):
        axes = [i for i in range(whole.ndim) if any(part.shape[i] != whole.shape[i] for part in parts)]
        if len(axes) == 1:
            yield Rule("stack", axes[0], lambda parts, _: np.concatenate(parts, axis=axes[0]))


def axis_of(subject: Subject, name: str) -> int | None:
    """Return the axis of an input that is the batch, counted from the end; None where there is none."""
    shape = subject.pair.shapes[name]
    found = [i for i, axis in enumerate(shape.axes) if isinstance(axis, Axis) and axis.text == subject.pair.batch]
    return found[0] - len(shape.axes) if found else None


def batched(subject: Subject) -> Iterator[Finding]:
    """Yield where a batch is not what its examples make."""
    dim = subject.pair.batch
    if dim is None or size_of(subject) < 2:
        return
    parts = parts_of(subject)
    if isinstance(parts, str):
        yield breach("batch", f"{parts}, for a part of the batch {dim} = {size_of(subject)}")
        return
    fitting = {name: rules_of(subject, name, parts) for name in subject.outputs}
    unruly = [name for name, rules in fitting.items() if not rules and not fits_close_by(subject, name)]
    for name in unruly:
        said = f"{name} of a batch is neither the stack nor the sum nor the mean of that of its examples"
        yield breach("batch", f"{said}, so {dim} is no batch")
    if not all(fitting.values()):
        return
    found = off_by(subject, parts, fitting)
    if isinstance(found, str):
        yield breach("batch", f"{found}, for a part of the batch {dim} = {size_of(subject)}")
        return
    for excess in confirmed(subject, unlike, found) if found else ():
        how = "the sum of those" if axis_of(subject, excess.name) is None else "the stack of those"
        said = f"backward gives {excess.got:.6g} for the batch, {how} of its examples is {excess.expected:.6g}"
        yield breach("batch", f"{excess.place}: {said}", excess.name)


def size_of(subject: Subject) -> int:
    """Return the size of the batch."""
    return int(subject.sizes[str(subject.pair.batch)])  # type: ignore[arg-type]  # a plain dim: Pair has checked it


def cuts(subject: Subject) -> list[Cut]:
    """Return the parts: each example of two or three, else the first and the others."""
    size = size_of(subject)
    return [(i, i + 1) for i in range(size)] if size <= SINGLES else [(0, 1), (1, size)]


def parts_of(subject: Subject) -> list[Forwarded] | str:
    """Return what forward returns for each part; words where it raises."""
    parts = [subject.forward(part_of(subject, subject.inputs, cut)) for cut in cuts(subject)]
    passed = [part for part in parts if not isinstance(part, str)]
    return passed if len(passed) == len(parts) else next(part for part in parts if isinstance(part, str))


def part_of(subject: Subject, arrays: Arrays, cut: Cut) -> Arrays:
    """Return the part of arrays like inputs; those without the batch as they are."""
    axes = {name: axis_of(subject, name) for name in arrays}
    return {
        name: array if axes[name] is None else np.take(array, range(*cut), axis=axes[name])
        for name, array in arrays.items()
    }


def rules_of(subject: Subject, name: str, parts: list[Forwarded]) -> list[Rule]:
    """Return the rules that give an output of the batch from those of its parts: two where all are 0."""
    whole, pieces = subject.outputs[name], [part.outputs[name] for part in parts]
    scale = max(float(np.abs(piece).max(initial=0.0)) for piece in [whole, *pieces])
    found = []
    for rule in allowed(whole, pieces):
        joined = rule.join(pieces, shares_of(subject))
        if joined.shape == whole.shape and not any(beyond({name: joined}, {name: whole}, COARSE, {name: scale})):
            found.append(rule)
    return found


def shares_of(subject: Subject) -> list[float]:
    """Return the share of the batch that each part is."""
    return [(stop - start) / size_of(subject) for start, stop in cuts(subject)]


def fits_close_by(subject: Subject, name: str) -> bool:
    """Tell whether an output follows a rule at a point close by, so that it is a tie that spoils it here."""
    for turn in range(1, TIES + 1):
        inputs = stirred(subject.inputs, NEARBY, turn)
        passed = subject.forward(inputs)
        if isinstance(passed, str):
            return True
        point = replace(subject, inputs=inputs, outputs=passed.outputs)
        parts = parts_of(point)
        if isinstance(parts, str) or rules_of(point, name, parts):
            return True
    return False


def off_by(subject: Subject, parts: list[Forwarded], fitting: dict[str, list[Rule]]) -> list[Excess] | str:
    """Return where the gradients of a batch are not made of those of its parts, by whatever rules fit the outputs."""
    first: list[Excess] | str | None = None
    for rules in product(*fitting.values()):
        made = joined_gradients(subject, parts, dict(zip(fitting, rules, strict=True)))
        if isinstance(made, str):
            return made
        expected, sizes = made
        found = list(beyond(subject.claimed, expected, COARSE, sizes))
        if not found:
            return found
        first = found if first is None else first
    return first or []


def joined_gradients(
    subject: Subject, parts: list[Forwarded], rules: dict[str, Rule]
) -> tuple[Arrays, dict[str, float]] | str:
    """Return the gradients that those of the parts make, and the size of the largest entry of all; or words."""
    shared = {
        name: rules[name].cotangents(whole, [part.outputs[name] for part in parts], shares_of(subject))
        for name, whole in subject.upstream.items()
    }
    found = []
    for number, (part, cut) in enumerate(zip(parts, cuts(subject), strict=True)):
        upstream = {name: upstreams[number] for name, upstreams in shared.items()}
        gradients = replace(subject, claimed=part_of(subject, subject.claimed, cut)).backward(part.cache, upstream)
        if isinstance(gradients, str):
            return gradients
        found.append({name: array.copy() for name, array in gradients.items()})
    made, sizes = {}, {}
    for name, whole in subject.claimed.items():
        pieces, axis = [part[name] for part in found], axis_of(subject, name)
        made[name] = np.sum(pieces, axis=0) if axis is None else np.concatenate(pieces, axis=axis)
        sizes[name] = max(float(np.abs(piece).max(initial=0.0)) for piece in [whole, *pieces])
    return made, sizes


def unlike(subject: Subject) -> Iterator[Excess]:
    """Yield where the gradients of a batch are not what those of its parts make, where all of it can be told."""
    parts = parts_of(subject)
    fitting = {} if isinstance(parts, str) else {name: rules_of(subject, name, parts) for name in subject.outputs}
    found = off_by(subject, parts, fitting) if fitting and not isinstance(parts, str) else ""
    yield from () if isinstance(found, str) else found
