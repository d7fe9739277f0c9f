"""One run of a pair as it stands: what came back, or what was raised, with nothing judged."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.check.contract import FLOATING, Arrays, described, number_array
from rnngrad.check.prepare import checked_cotangents
from rnngrad.errors import InvalidPair, named
from rnngrad.pair import Pair
from rnngrad.regress.handed import Change, handed

__all__ = ["Run", "drawn_cotangents", "forward_of", "run"]

__tracebackhide__ = True


@dataclass(frozen=True)
class Run:
    """Outputs and gradients by name, as they came back; ``odd`` says in words what is no array of numbers.

    ``layouts`` says how each tensor lay in memory, under the names that `tensors_of` gives it.
    ``raised`` is the type and the words of an exception, and its role; None where there was none.
    """

    outputs: Arrays
    gradients: Arrays
    odd: Mapping[str, str]
    raised: tuple[str, str] | None = None
    layouts: Mapping[str, str] = field(default_factory=dict)


def forward_of(pair: Pair, inputs: Arrays) -> Run:
    """Run forward alone."""
    return tried(pair, inputs, None)


def run(pair: Pair, inputs: Arrays, upstream: Arrays, change: Change | None = None) -> Run:
    """Run forward and backward once, on copies; ``change`` may change the arrays that forward hands to backward."""
    return tried(pair, inputs, upstream, change)


def tried(pair: Pair, inputs: Arrays, upstream: Arrays | None, change: Change | None = None) -> Run:
    """Run a pair; an exception becomes words."""
    role, outputs = "forward", {}
    try:
        returned, cache = pair.forward({name: array.copy() for name, array in inputs.items()})
        odd = {f"output {key}": described(value) for key, value in returned.items() if number_array(value) is None}
        outputs = {key: np.array(value) for key, value in returned.items() if number_array(value) is not None}
        if upstream is None:
            return Run(outputs, {}, odd)
        role = "backward"
        cache = cache if change is None else handed(cache, change)
        raw = pair.backward({name: array.copy() for name, array in upstream.items()}, cache)
        known = {name: raw[name] for name in inputs if name in raw}
        odd |= {name: described(value) for name, value in known.items() if number_array(value) is None}
        gradients = {name: np.array(value) for name, value in known.items() if name not in odd}
        lying = {name: layout(np.asarray(raw[name])) for name in gradients}
        lying |= {f"output {name}": layout(np.asarray(returned[name])) for name in outputs}
        return Run(outputs, gradients, odd, layouts=lying)
    except (MemoryError, InvalidPair):
        raise
    except Exception as error:
        return Run(outputs, {}, {}, (type(error).__name__, f"{role} raises {named(error)}"))


def drawn_cotangents(pair: Pair, outputs: Arrays, seed: int, first_stream: int) -> Arrays:
    """Draw a cotangent for each output, in its dtype; raise InvalidPair where one cannot have any."""
    unfit = [f"{name} ({array.dtype})" for name, array in outputs.items() if array.dtype.kind not in FLOATING]
    if unfit or not outputs:
        raise InvalidPair(f"outputs of {pair.name} that can have no cotangent: {unfit}; expected floating-point arrays")
    wide: Arrays = {name: array.astype(FLOATING[array.dtype.kind]) for name, array in outputs.items()}
    drawn: dict[str, Any] = checked_cotangents(pair, wide, None, seed, first_stream)
    return {name: array.astype(outputs[name].dtype) for name, array in drawn.items()}


def layout(array: NDArray[Any]) -> str:
    """Say how the entries of an array lie in memory; axes of one entry do not count."""
    squeezed = array.squeeze()
    if squeezed.flags.c_contiguous:
        return "C"
    return "Fortran" if squeezed.flags.f_contiguous else "strided"
