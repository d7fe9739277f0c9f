"""Truncated backpropagation through time, and the function whose gradient it is.

Truncated, no gradient flows from a segment of some steps into the one before it. What comes out is no gradient of the
whole sequence, and a check of it as such fails. It is the gradient of a sequence that starts anew with each segment,

    s before the first step of segment j = starts_j

taken where the whole sequence came through: `segments_forward` is that function, and a pair with `segments_backward`;
`truncated_forward` finds the starts on its way and shares the backward pass.
"""

from collections.abc import Sequence

import numpy as np

from rnngrad.cells.cell import Array, Cell, Gradients, Parameters
from rnngrad.cells.fit import bound
from rnngrad.cells.gru import CELLS
from rnngrad.cells.lstm import LSTM
from rnngrad.cells.sequence import Trace, sequence_backward, sequence_forward
from rnngrad.pair import pair

__all__ = ["gru_segments", "lstm_segments", "segments_backward", "segments_forward", "truncated_forward"]


def segments_forward(
    xs: Array, starts: Sequence[Array], parameters: Parameters, *, cell: Cell, every: int
) -> tuple[tuple[Array, ...], list[Trace]]:
    """Run a cell over xs (T, m, N), from new starts (segments, n, N), one for each of its states, every so many steps.

    Returns all states, (T, n, N) for each state of the cell, and the cache for `segments_backward`.
    """
    cuts = cut(xs, every)
    bound({"starts": "segments n N"}, {"starts": starts[0]})
    if any(len(start) != len(cuts) for start in starts):
        raise ValueError(f"{[len(start) for start in starts]} starts, expected {len(cuts)}: {len(xs)} steps by {every}")
    runs = [
        sequence_forward(cell, xs[steps], [start[j] for start in starts], parameters) for j, steps in enumerate(cuts)
    ]
    return joined(runs), [cache for _, cache in runs]


def truncated_forward(
    xs: Array, initial: Sequence[Array], parameters: Parameters, *, cell: Cell, every: int
) -> tuple[tuple[Array, ...], list[Trace]]:
    """Run a cell over xs (T, m, N) from its initial states (n, N), for truncated backpropagation.

    Returns all states, those of `sequence_forward`, and the cache for `segments_backward`, whose ds_starts[0] belongs
    to the initial state.
    """
    runs: list[tuple[tuple[Array, ...], Trace]] = []
    for steps in cut(xs, every):
        starts = initial if not runs else [states[-1] for states in runs[-1][0]]
        runs.append(sequence_forward(cell, xs[steps], starts, parameters))
    return joined(runs), [cache for _, cache in runs]


def segments_backward(dstates: Sequence[Array | None], cache: list[Trace]) -> Gradients:
    """Return dxs, d + state + _starts (segments, n, N), and the gradients of the parameters, summed over segments."""
    cell = cache[0].cell
    ends = np.cumsum([len(trace.x) for trace in cache])
    parts = [slice(end - len(trace.x), end) for end, trace in zip(ends, cache, strict=True)]
    found = [
        sequence_backward([None if ds is None else ds[part] for ds in dstates], trace)
        for part, trace in zip(parts, cache, strict=True)
    ]
    dxs = np.concatenate([one.pop("dxs") for one in found])
    starts = {f"d{name}_starts": np.stack([one.pop(f"d{name}_0") for one in found]) for name in cell.states}
    return {"dxs": dxs} | starts | {name: np.sum([one[name] for one in found], axis=0) for name in found[0]}


def cut(xs: Array, every: int) -> list[slice]:
    """Return the segments of T steps, the last one shorter where every does not divide T; one where T is 0."""
    if every < 1:
        raise ValueError(f"every={every!r}, expected 1 or more steps")
    return [slice(start, start + every) for start in range(0, max(len(xs), 1), every)]


def joined(runs: Sequence[tuple[tuple[Array, ...], Trace]]) -> tuple[Array, ...]:
    """Return the states of all segments as one array for each state."""
    return tuple(np.concatenate(parts) for parts in zip(*(states for states, _ in runs), strict=True))


def lstm_segments_forward(
    xs: Array, s_starts: Array, c_starts: Array, parameters: Parameters
) -> tuple[Array, Array, list[Trace]]:
    """Run an LSTM that starts anew every two steps."""
    (states, cells), cache = segments_forward(xs, (s_starts, c_starts), parameters, cell=LSTM, every=2)
    return states, cells, cache


def lstm_segments_backward(dstates: Array, dcells: Array, cache: list[Trace]) -> Gradients:
    """Return its gradients."""
    return segments_backward((dstates, dcells), cache)


def gru_segments_forward(xs: Array, s_starts: Array, parameters: Parameters) -> tuple[Array, list[Trace]]:
    """Run a GRU that starts anew every three steps."""
    (states,), cache = segments_forward(xs, (s_starts,), parameters, cell=CELLS["after"], every=3)
    return states, cache


def gru_segments_backward(dstates: Array, cache: list[Trace]) -> Gradients:
    """Return its gradients."""
    return segments_backward((dstates,), cache)


lstm_segments = pair(
    lstm_segments_forward,
    lstm_segments_backward,
    inputs={"xs": "2*S m N", "s_starts": "S n N", "c_starts": "S n N", "parameters": LSTM.parameters},
    returns=("states", "cells", "cache"),
)
gru_segments = pair(
    gru_segments_forward,
    gru_segments_backward,
    inputs={"xs": "3*S m N", "s_starts": "S n N", "parameters": CELLS["after"].parameters},
    returns=("states", "cache"),
)
