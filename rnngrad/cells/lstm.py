"""The LSTM cell.

    i, f, o = sigmoid(U x_t + W s_{t-1} + b_a)      g = tanh(U x_t + W s_{t-1} + b_a)      each with n rows of its own
    c_t = f c_{t-1} + i g
    s_t = o tanh(c_t)

N examples stand as columns; the gates are stacked in the order i, f, g, o:

    x_t   (m, N)    input                     U   (4n, m)    input to gates
    s_t   (n, N)    state                     W   (4n, n)    state to gates
    c_t   (n, N)    cell state                ba  (4n, 1)

With the gains gU, gW (4n, 1) among the parameters both products are normed, gate by gate: gU norm(U x_t) and
gW norm(W s_{t-1}).

Hochreiter and Schmidhuber, "Long Short-Term Memory" (1997), with the forget gate of Gers, Schmidhuber and Cummins
(2000), as in torch.nn.LSTM, whose two biases add up to ba.
"""

from functools import partial

import numpy as np

from rnngrad.cells.cell import Array, Cell, Gradients, Parameters, Run, Tools, collect_sum, squash
from rnngrad.cells.sequence import MASK, Trace, sequence_backward, sequence_forward
from rnngrad.pair import pair

__all__ = [
    "LSTM",
    "lstm_backward",
    "lstm_cell",
    "lstm_cell_backward",
    "lstm_cell_forward",
    "lstm_forward",
    "lstm_masked",
    "lstm_sequence",
]


def step(t: int, run: Run, tools: Tools) -> None:
    """Take one step forward."""
    (s, c), c_prev = run.after, run.before[1][t]
    a, c, tanh_c, work = run.a[t], c[t], run.kept[t], tools.work
    a += tools.products[0](t, run.before[0][t])
    squash(a, tools.half, tools.rest)
    i, f, g, o = a
    np.multiply(f, c_prev, out=c)
    c += np.multiply(i, g, out=work)
    np.tanh(c, out=tanh_c)
    np.multiply(o, tanh_c, out=s[t])


def slopes(steps: slice, run: Run, k: Array) -> None:
    """Fill k with dc/da for i, f, g, with ds/da for o, and with ds/dc."""
    i, f, g, o = run.a[steps].swapaxes(0, 1)
    s, c_prev, tanh_c = run.after[0][steps], run.before[1][steps], run.kept[steps]
    di, df, dg, do, ds_dc = k
    one_less = np.subtract(1, i, out=do)
    np.multiply(i, g, out=di)
    np.subtract(i, np.multiply(di, g, out=dg), out=dg)  # i (1 - g^2)
    di *= one_less  # g i (1 - i)
    np.multiply(c_prev, f, out=df)
    df *= np.subtract(1, f, out=do)  # c_prev f (1 - f)
    np.multiply(s, np.subtract(1, o, out=do), out=do)  # tanh(c) o (1 - o)
    np.subtract(o, np.multiply(s, tanh_c, out=ds_dc), out=ds_dc)  # o (1 - tanh(c)^2)


def back(t: int, run: Run, tools: Tools, k: Array, d: Array, cotangents: tuple[Array, ...]) -> None:
    """Take one step back."""
    ds, dc = cotangents
    k[3:] *= ds
    dc += k[4]
    k[:3] *= dc
    dc *= run.a[t, 1]
    d.swapaxes(0, 1)[...] = k[:4]
    tools.pullbacks[0](t, d, ds)


LSTM = Cell(
    name="lstm",
    sigmoids=(True, True, False, True),
    states=("s", "c"),
    parameters={"U": "4*n m", "W": "4*n n", "ba": "4*n 1"},
    products=(4,),
    blocks=4,
    multipliers=5,
    keeps=True,
    step=step,
    slopes=slopes,
    back=back,
    collect=collect_sum,
)


def lstm_cell_forward(x_t: Array, s_prev: Array, c_prev: Array, parameters: Parameters) -> tuple[Array, Array, Trace]:
    """Run one step of the cell.

    Takes x_t (m, N), s_prev (n, N), c_prev (n, N) and the parameters U, W, ba; returns s_next (n, N), c_next (n, N) and
    the cache for `lstm_cell_backward`.
    """
    states, cells, cache = lstm_forward(x_t[None], s_prev, c_prev, parameters)
    return states[0], cells[0], cache


def lstm_cell_backward(ds_next: Array, dc_next: Array, cache: Trace) -> Gradients:
    """Return the gradients of one step: dx_t, ds_prev, dc_prev, dU, dW, dba."""
    found = lstm_backward(ds_next[None], dc_next[None], cache)
    return {"dx_t": found.pop("dxs")[0], "ds_prev": found.pop("ds_0"), "dc_prev": found.pop("dc_0")} | found


def lstm_forward(
    xs: Array, s_0: Array, c_0: Array, parameters: Parameters, mask: Array | None = None, *, reverse: bool = False
) -> tuple[Array, Array, Trace]:
    """Run the cell over time.

    Takes xs (T, m, N), s_0 (n, N), c_0 (n, N) and the parameters U, W, ba; returns the states and the cell states of
    all steps, (T, n, N) each, and the cache for `lstm_backward`. mask and reverse are those of `sequence_forward`.
    """
    (states, cells), cache = sequence_forward(LSTM, xs, (s_0, c_0), parameters, mask=mask, reverse=reverse)
    return states, cells, cache


def lstm_backward(dstates: Array, dcells: Array | None, cache: Trace) -> Gradients:
    """Return the gradients over time: dxs, ds_0, dc_0, dU, dW, dba.

    Takes the cotangents of all states and cell states, (T, n, N) each; dcells is None where only states are used.
    """
    return sequence_backward((dstates, dcells), cache)


STEP = {"x_t": "m N", "s_prev": "n N", "c_prev": "n N"}
SEQUENCE = {"xs": "T m N", "s_0": "n N", "c_0": "n N"}
GAINS = {"gU": "4*n 1", "gW": "4*n 1"}
RETURNS = ("states", "cells", "cache")

lstm_cell = pair(
    lstm_cell_forward,
    lstm_cell_backward,
    inputs=STEP | {"parameters": LSTM.parameters},
    returns=("s_next", "c_next", "cache"),
)
lstm_sequence = pair(
    lstm_forward,
    lstm_backward,
    inputs=SEQUENCE | {"parameters": LSTM.parameters},
    returns=RETURNS,
    name="lstm_sequence",
)
lstm_masked = pair(
    partial(lstm_forward, reverse=True),
    lstm_backward,
    inputs=SEQUENCE | {"parameters": LSTM.parameters | GAINS, "mask": MASK},
    returns=RETURNS,
    name="lstm_masked",
)
