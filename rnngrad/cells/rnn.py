"""The vanilla RNN cell, one step, with its output head.

    s_t = tanh(U x_t + W s_{t-1} + b_a)
    o_t = softmax(V s_t + b_y)                softmax over the k classes, for each example

N examples stand as columns:

    x_t   (m, N)    input                     U  (n, m)    input to state
    s_t   (n, N)    state                     W  (n, n)    state to state       ba  (n, 1)
    o_t   (k, N)    prediction                V  (k, n)    state to output      by  (k, 1)

The names follow Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 10.2.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rnngrad.pair import pair

__all__ = ["rnn_cell", "rnn_cell_backward", "rnn_cell_forward", "rnn_cell_state"]

Array = NDArray[np.floating]
Parameters = Mapping[str, Array]
Cache = tuple[Array, Array, Array, Parameters]


def softmax(z: Array) -> Array:
    """Return softmax over the first axis, shifted by its maximum so that no logit overflows."""
    e = np.exp(z - z.max(axis=0, keepdims=True))
    return np.asarray(e / e.sum(axis=0, keepdims=True))


def rnn_cell_forward(x_t: Array, s_prev: Array, parameters: Parameters) -> tuple[Array, Array, Cache]:
    """Run one step of the cell.

    Takes x_t (m, N), s_prev (n, N) and the parameters U, W, V, ba, by; returns s_next (n, N), out_pred (k, N) and
    the cache for `rnn_cell_backward`. The dtype of the arrays is kept.
    """
    U, W, V, ba, by = (parameters[name] for name in ("U", "W", "V", "ba", "by"))
    s_next = np.tanh(U @ x_t + W @ s_prev + ba)
    out_pred = softmax(V @ s_next + by)
    return s_next, out_pred, (s_next, s_prev, x_t, parameters)


def rnn_cell_backward(ds_next: Array, cache: Cache, dout_pred: Array | None = None) -> dict[str, Array]:
    """Return the gradients of one step.

    Takes the cotangents ds_next (n, N) and, where the prediction has one, dout_pred (k, N). Returns dtanh, which is
    the gradient at the preactivation, and dx_t, ds_prev, dU, dW, dba; with dout_pred also dV and dby.
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
    dtanh = (1 - s_next**2) * ds_next
    return {
        "dtanh": dtanh,
        "dx_t": U.T @ dtanh,
        "ds_prev": W.T @ dtanh,
        "dU": dtanh @ x_t.T,
        "dW": dtanh @ s_prev.T,
        "dba": dtanh.sum(axis=1, keepdims=True),
    } | head


def backward_from_both(ds_next: Array, dout_pred: Array, cache: Cache) -> dict[str, Array]:
    """Call `rnn_cell_backward` with both cotangents first, as `rnngrad.pair` hands them over."""
    return rnn_cell_backward(ds_next, cache, dout_pred)


SHAPES = {
    "x_t": "m N",
    "s_prev": "n N",
    "parameters": {"U": "n m", "W": "n n", "V": "k n", "ba": "n 1", "by": "k 1"},
}
RETURNS = ("s_next", "out_pred", "cache")

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
