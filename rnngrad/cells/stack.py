"""Layers of a cell on top of each other, in one direction of time or in both.

Layer l reads the states of layer l - 1, the first one reads xs. In both directions a layer is two runs, one through
time and one against it, and its states are those of both, one below the other: (T, 2n, N). As in torch, initial and
last states are stacked by layer, and within it by direction: (layers, n, N) or (2 layers, n, N); so are parameters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnngrad.cells.cell import Array, Cell, Parameters
from rnngrad.cells.gru import GRU
from rnngrad.cells.lstm import LSTM
from rnngrad.cells.sequence import MASK, Trace, sequence_backward, sequence_forward
from rnngrad.pair import pair

__all__ = ["gru_stack", "lstm_stack", "stack_backward", "stack_forward"]


@dataclass(frozen=True)
class Layers:
    """What `stack_backward` needs: the runs of each layer, one or two."""

    runs: list[list[Trace]]


def stack_forward(
    xs: Array,
    initial: Sequence[Array],
    parameters: Sequence[Parameters],
    mask: Array | None = None,
    *,
    cell: Cell,
    bidirectional: bool = False,
) -> tuple[Array, tuple[Array, ...], Layers]:
    """Run layers of a cell over xs (T, m, N).

    initial: for each state of the cell (runs, n, N), runs being layers, or twice as many in both directions;
    parameters: those of each run; mask is that of `sequence_forward`. Returns the states of the top layer, (T, n, N) or
    (T, 2n, N), the last states, shaped like the initial ones, and the cache for `stack_backward`.
    """
    width = 2 if bidirectional else 1
    if len(parameters) % width or not parameters or any(len(first) != len(parameters) for first in initial):
        given = f"{len(parameters)} parameters and {[len(first) for first in initial]} initial states"
        raise ValueError(
            f"{given}; expected one of each for each {'layer and direction' if bidirectional else 'layer'}"
        )
    layers, last = [], []
    for start in range(0, len(parameters), width):
        below, runs = [], []
        for direction in range(width):
            j = start + direction
            firsts = [first[j] for first in initial]
            states, trace = sequence_forward(cell, xs, firsts, parameters[j], mask=mask, reverse=direction == 1)
            last.append(
                [s[-1 if direction == 0 else 0] if len(s) else s_0 for s, s_0 in zip(states, firsts, strict=True)]
            )
            below.append(states[0])
            runs.append(trace)
        layers.append(runs)
        xs = np.concatenate(below, axis=1)
    return xs, tuple(np.stack(parts) for parts in zip(*last, strict=True)), Layers(layers)


def stack_backward(dstates: Array, dlast: Sequence[Array | None], cache: Layers) -> dict[str, Any]:
    """Return dxs, d + state + _0 shaped like the initial states, and dparameters, a list like the parameters.

    Takes the cotangents of the states of the top layer and of the last states, None for those without one.
    """
    found: list[dict[str, Array]] = []
    width = len(cache.runs[0])
    for start, runs in reversed(list(zip(range(0, width * len(cache.runs), width), cache.runs, strict=True))):
        above = np.split(dstates, width, axis=1)
        gradients = [
            sequence_backward(
                [ds, *[None] * (len(dlast) - 1)], trace, dlast=[None if d is None else d[start + i] for d in dlast]
            )
            for i, (ds, trace) in enumerate(zip(above, runs, strict=True))
        ]
        dstates = np.sum([one.pop("dxs") for one in gradients], axis=0)
        found = gradients + found
    firsts = [f"d{name}_0" for name in cache.runs[0][0].cell.states]
    return (
        {"dxs": dstates}
        | {name: np.stack([one.pop(name) for one in found]) for name in firsts}
        | {"dparameters": found}
    )


def lstm_stack_forward(
    xs: Array, s_0: Array, c_0: Array, parameters: Sequence[Parameters], mask: Array
) -> tuple[Array, Array, Array, Layers]:
    """Run two layers of an LSTM in both directions; returned are the states of the top layer and the last states."""
    states, (s_last, c_last), cache = stack_forward(xs, (s_0, c_0), parameters, mask, cell=LSTM, bidirectional=True)
    return states, s_last, c_last, cache


def lstm_stack_backward(dstates: Array, ds_last: Array, dc_last: Array, cache: Layers) -> dict[str, Any]:
    """Return the gradients of that."""
    return stack_backward(dstates, (ds_last, dc_last), cache)


def gru_stack_forward(xs: Array, s_0: Array, parameters: Sequence[Parameters]) -> tuple[Array, Array, Layers]:
    """Run two layers of a GRU; returned are the states of the top layer and the last states."""
    states, (s_last,), cache = stack_forward(xs, (s_0,), parameters, cell=GRU)
    return states, s_last, cache


def gru_stack_backward(dstates: Array, ds_last: Array, cache: Layers) -> dict[str, Any]:
    """Return the gradients of that."""
    return stack_backward(dstates, (ds_last,), cache)


lstm_stack = pair(
    lstm_stack_forward,
    lstm_stack_backward,
    inputs={
        "xs": "T m N",
        "s_0": "4 n N",
        "c_0": "4 n N",
        "parameters": [LSTM.parameters] * 2 + [LSTM.parameters | {"U": "4*n 2*n"}] * 2,
        "mask": MASK,
    },
    returns=("states", "s_last", "c_last", "cache"),
)
gru_stack = pair(
    gru_stack_forward,
    gru_stack_backward,
    inputs={"xs": "T m N", "s_0": "2 n N", "parameters": [GRU.parameters, GRU.parameters | {"U": "3*n n"}]},
    returns=("states", "s_last", "cache"),
)
