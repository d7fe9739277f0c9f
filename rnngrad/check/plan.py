"""How many forward passes a check takes: what is known before it is made, and how a budget is divided.

What surrounds the numbers is set aside first: the run that is judged, the contract (one that is broken is looked at
with a few passes more), a pass for each tangent of a JVP, the runs in a narrow dtype. The rest is for the numerical
derivatives, which take what there is: fewer lines for the noise, inputs taken together, fewer steps, real differences
where a certificate for the complex step does not fit in.
"""

from collections.abc import Mapping
from sys import maxsize
from typing import Any

import numpy as np

from rnngrad.case import Case
from rnngrad.check.contract import FLOATING
from rnngrad.check.narrow import NARROW_RUNS, narrower
from rnngrad.check.protocol.rows import passes_of
from rnngrad.errors import InvalidPair
from rnngrad.numdiff.complex_step import PER_LADDER
from rnngrad.numdiff.ladder import LEAST
from rnngrad.numdiff.noise import EVALUATIONS, ONE_LINE
from rnngrad.pair import Pair

__all__ = ["GROUPS", "forward_passes", "limit_of"]

__tracebackhide__ = True

GROUPS = 8  # directions that are asked at once: with fewer inputs each has one of its own
CALM = 14  # evaluations a line where forward is smooth: of the calibration's smooth families no direction took more
LEAST_NUMBERS = 2 * ONE_LINE + 1 + LEAST  # noise on one line, once more where it is single precision; one direction


def forward_passes(pair: Pair, given: Case | Mapping[str, Any], *, effort: str = "auto", contract: bool = True) -> int:
    """Return how many forward passes `check` takes at most where forward is smooth and every gradient right.

    Takes what `check` takes, and runs nothing. Where a gradient is wrong, or forward has kinks or noise, more passes go
    into telling where and why; ``budget`` bounds these too.
    """
    sizes = input_sizes(pair, given)
    beside = 1 + aside(pair, given, len(sizes), contract) + EVALUATIONS + 1
    if effort == "entries":
        return beside + CALM * sum(sizes)
    return beside + 2 + PER_LADDER + CALM * (min(len(sizes), GROUPS) + 1)


def limit_of(pair: Pair, given: Case | Mapping[str, Any], inputs: int, budget: int | None, *, contract: bool) -> int:
    """Return how many evaluations a budget leaves for the numbers; raise InvalidPair where it cannot do."""
    if budget is None:
        return maxsize
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer):
        raise InvalidPair(f"budget={budget!r}; expected a number of forward passes")
    beside = 1 + aside(pair, given, inputs, contract)
    least = beside + LEAST_NUMBERS
    if budget < least:
        raise InvalidPair(f"budget={budget}; a check of {pair.name} takes at least {least} forward passes")
    return int(budget) - beside


def aside(pair: Pair, given: Case | Mapping[str, Any], inputs: int, contract: bool) -> int:
    """Return the forward passes that no numerical derivative is made of, but for the run that is judged."""
    asked = passes_of(pair) if contract else 0
    narrow = not isinstance(given, Case) and bool(narrower(pair, given))
    return asked + (inputs if pair.jvp is not None else 0) + (NARROW_RUNS if narrow else 0)


def input_sizes(pair: Pair, given: Case | Mapping[str, Any]) -> list[int]:
    """Return the number of components of each input to differentiate."""
    if isinstance(given, Case):
        shapes = {name: shape.sizes(given.dims) for name, shape in pair.shapes.items()}
        return [int(np.prod(shapes[name])) for name in pair.wrt or shapes]
    arrays = {name: np.asarray(value) for name, value in pair.arrays(given).items()}
    wanted = pair.wrt or [name for name, array in arrays.items() if array.dtype.kind in FLOATING]
    return [arrays[name].size * (2 if arrays[name].dtype.kind == "c" else 1) for name in wanted]
