"""None in the place of an optional cotangent."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rnngrad.check.protocol.rounding import COARSE, seen, unexplained
from rnngrad.check.protocol.subject import Subject, beyond, breach
from rnngrad.errors import InvalidPair
from rnngrad.result import Finding

__all__ = ["left_out"]

__tracebackhide__ = True


def left_out(subject: Subject) -> Iterator[Finding]:
    """Yield what None for the cotangent of an optional output does that zeros do not; a missing gradient is zeros."""
    pair = subject.pair
    unknown = [name for name in pair.optional if name not in subject.outputs]
    if unknown:
        raise InvalidPair(f"optional names {unknown}; the outputs of {pair.name} are {list(subject.outputs)}")
    for output in pair.optional:
        zeros = subject.rerun(subject.upstream | {output: np.zeros_like(subject.upstream[output])})
        if isinstance(zeros, str):
            continue  # told by the checks of linearity
        none = replace(subject, lenient=True).rerun(subject.upstream | {output: None})
        if isinstance(none, str):
            yield breach("optional", f"{none}, with None for d{output}: expected what zeros give")
            continue
        sizes = {name: float(np.abs(array).max(initial=0.0)) for name, array in subject.claimed.items()}
        found = seen(subject, list(beyond(none, zeros, COARSE, sizes)))
        for excess in unexplained(subject, found, inputs=False):
            said = f"with None for d{output} backward gives {excess.got:.6g}, with zeros {excess.expected:.6g}"
            yield breach("optional", f"{excess.place}: {said}", excess.name)
