"""The vanilla RNN cell: one step with its output head, and its states over time.

    s_t = tanh(U x_t + W s_{t-1} + b_a)       or relu instead of tanh
    o_t = softmax(V s_t + b_y)                softmax over the k classes, for each example

N examples stand as columns:

    x_t   (m, N)    input                     U  (n, m)    input to state
    s_t   (n, N)    state                     W  (n, n)    state to state       ba  (n, 1)
    o_t   (k, N)    prediction                V  (k, n)    state to output      by  (k, 1)

Over time, with the gains gU, gW (n, 1) among the parameters, both products are normed: gU norm(U x_t) and
gW norm(W s_{t-1}).

The names follow Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 10.2.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from rnngrad.cells.cell import Array, Cell, Gradients, Parameters, Run, Tools, collect_sum
from rnngrad.cells.fit import bound, chosen, picked
from rnngrad.cells.sequence import MASK, Trace, sequence_backward, sequence_forward
from rnngrad.pair import pair

__all__ = [
    "CELLS",
    "rnn_backward",
    "rnn_cell",
    "rnn_cell_backward",
    "rnn_cell_forward",
    "rnn_cell_relu",
    "rnn_cell_state",
    "rnn_forward",
    "rnn_masked",
    "rnn_relu",
    "rnn_sequence",
]

Cache = tuple[Array, Array, Array, Parameters]
Function = Callable[..., Array]


def relu(a: Array, out: Array | None = None) -> Array:
    """Return a where it is positive, else 0."""
    return np.maximum(a, 0, out=out)


def tanh_slope(s: Array, out: Array | None = None) -> Array:
    """Return the slope of s = tanh a."""
    return np.subtract(1, np.multiply(s, s, out=out), out=out)


def relu_slope(s: Array, out: Array | None = None) -> Array:
    """Return the slope of s = relu a; 0 at the kink."""
    return np.greater(s, 0, out=np.empty_like(s) if out is None else out)


ACTIVATIONS: dict[str, tuple[Function, Function]] = {"tanh": (np.tanh, tanh_slope), "relu": (relu, relu_slope)}


def softmax(z: Array) -> Array:
    """Return softmax over the first axis, shifted by its maximum so that no logit overflows."""
    e = np.exp(z - z.max(axis=0, keepdims=True))
    return np.asarray(e / e.sum(axis=0, keepdims=True))


def rnn_cell_forward(
    x_t: Array, s_prev: Array, parameters: Parameters, *, activation: str = "tanh"
) -> tuple[Array, Array, Cache]:
    """Run one step of the cell.

    Takes x_t (m, N), s_prev (n, N) and the parameters U, W, V, ba, by; returns s_next (n, N), out_pred (k, N) and
    the cache for `rnn_cell_backward`. The dtype of the arrays is kept.
    """
    used = picked("parameters of rnn", PARAMETERS, parameters)
    bound(STEP | PARAMETERS, {"x_t": x_t, "s_prev": s_prev} | used)  # this step has always mixed dtypes as numpy does
    U, W, V, ba, by = used.values()
    act, _ = chosen("activation", activation, ACTIVATIONS)
    s_next = act(U @ x_t + W @ s_prev + ba)
    out_pred = softmax(V @ s_next + by)
    return s_next, out_pred, (s_next, s_prev, x_t, parameters)


def rnn_cell_backward(
    ds_next: Array, cache: Cache, dout_pred: Array | None = None, *, activation: str = "tanh"
) -> Gradients:
    """Return the gradients of one step.

    Takes the cotangents ds_next (n, N) and, where the prediction has one, dout_pred (k, N); activation as forward was
    given it. Returns dtanh, which is the gradient at the preactivation whatever the activation, and dx_t, ds_prev, dU,
    dW, dba; with dout_pred also dV and dby.
    """
    s_next, s_prev, x_t, parameters = cache
    U, W = parameters["U"], parameters["W"]
    head = {}
    if dout_pred is not None:
        V, by = parameters["V"], parameters["by"]
        out_pred = softmax(V @ s_next + by)
        dlogits = out_pred * (dout_pred - (dout_pred * out_pred).sum(axis=0, keepdims=True))
        head = {"dV": dlogits @ s_next.T, "dby": dlogits.sum(axis=1, keepdims=True)}
        ds_next = ds_next + V.T @ dlogits
    _, slope = chosen("activation", activation, ACTIVATIONS)
    dtanh = slope(s_next) * ds_next
    return {
        "dtanh": dtanh,
        "dx_t": U.T @ dtanh,
        "ds_prev": W.T @ dtanh,
        "dU": dtanh @ x_t.T,
        "dW": dtanh @ s_prev.T,
        "dba": dtanh.sum(axis=1, keepdims=True),
    } | head


def step(act: Function, t: int, run: Run, tools: Tools) -> None:
    """Take one step forward; the gate is the state."""
    s = run.a[t]
    s += tools.products[0](t, run.before[0][t])
    act(s, out=s)


def slopes(slope: Function, steps: slice, run: Run, k: Array) -> None:
    """Fill k with ds/da."""
    slope(run.after[0][steps], out=k[0])


def back(t: int, _run: Run, tools: Tools, k: Array, d: Array, cotangents: tuple[Array, ...]) -> None:
    """Take one step back."""
    (ds,) = cotangents
    np.multiply(k[0], ds, out=d[:, 0])
    tools.pullbacks[0](t, d, ds)


CELLS = {
    name: Cell(
        name=f"rnn with {name}",
        sigmoids=(False,),
        states=("s",),
        parameters={"U": "n m", "W": "n n", "ba": "n 1"},
        products=(1,),
        blocks=1,
        multipliers=1,
        keeps=False,
        step=partial(step, act),
        slopes=partial(slopes, slope),
        back=back,
        collect=collect_sum,
    )
    for name, (act, slope) in ACTIVATIONS.items()
}


def rnn_forward(
    xs: Array,
    s_0: Array,
    parameters: Parameters,
    mask: Array | None = None,
    *,
    activation: str = "tanh",
    reverse: bool = False,
) -> tuple[Array, Trace]:
    """Run the cell over time, without its output head.

    Takes xs (T, m, N), s_0 (n, N) and the parameters U, W, ba; returns the states of all steps (T, n, N) and the cache
    for `rnn_backward`. mask and reverse are those of `sequence_forward`.
    """
    cell = chosen("activation", activation, CELLS)
    (states,), cache = sequence_forward(cell, xs, (s_0,), parameters, mask=mask, reverse=reverse)
    return states, cache


def rnn_backward(dstates: Array, cache: Trace) -> Gradients:
    """Return the gradients over time, dxs, ds_0, dU, dW, dba, from the cotangents of all states (T, n, N)."""
    return sequence_backward((dstates,), cache)


def backward_from_both(ds_next: Array, dout_pred: Array, cache: Cache) -> Gradients:
    """Call `rnn_cell_backward` with both cotangents first, as `rnngrad.pair` hands them over."""
    return rnn_cell_backward(ds_next, cache, dout_pred)


def relu_backward(ds_next: Array, dout_pred: Array, cache: Cache) -> Gradients:
    """Do so for the pair `rnn_cell_relu`."""
    return rnn_cell_backward(ds_next, cache, dout_pred, activation="relu")


STEP = {"x_t": "m N", "s_prev": "n N"}
PARAMETERS = {"U": "n m", "W": "n n", "V": "k n", "ba": "n 1", "by": "k 1"}
SHAPES = STEP | {"parameters": PARAMETERS}
RETURNS = ("s_next", "out_pred", "cache")
SEQUENCE = {"xs": "T m N", "s_0": "n N", "parameters": CELLS["tanh"].parameters}
GAINS = {"gU": "n 1", "gW": "n 1"}

rnn_cell = pair(rnn_cell_forward, backward_from_both, inputs=SHAPES, returns=RETURNS)
rnn_cell_state = pair(
    rnn_cell_forward,
    rnn_cell_backward,
    inputs=SHAPES,
    returns=RETURNS,
    upstream=("s_next",),
    wrt=("x_t", "s_prev", "U", "W", "ba"),
    name="rnn_cell_state",
)
rnn_cell_relu = pair(
    partial(rnn_cell_forward, activation="relu"), relu_backward, inputs=SHAPES, returns=RETURNS, name="rnn_cell_relu"
)
rnn_sequence = pair(rnn_forward, rnn_backward, inputs=SEQUENCE, returns=("states", "cache"), name="rnn_sequence")
rnn_relu = pair(
    partial(rnn_forward, activation="relu"),
    rnn_backward,
    inputs=SEQUENCE,
    returns=("states", "cache"),
    name="rnn_relu",
)
rnn_masked = pair(
    partial(rnn_forward, reverse=True),
    rnn_backward,
    inputs=SEQUENCE | {"parameters": CELLS["tanh"].parameters | GAINS, "mask": MASK},
    returns=("states", "cache"),
    name="rnn_masked",
)
