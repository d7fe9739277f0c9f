"""The GRU cell, its reset gate after the recurrent product, or before it.

    r, z = sigmoid(U x_t + W s_{t-1} + b_a)                      each with n rows of its own, and so has u:
    u    = tanh(U x_t + b_a + r (W s_{t-1} + b_w))               reset after the product
    u    = tanh(U x_t + b_a + W (r s_{t-1}))                     reset before it
    s_t  = (1 - z) u + z s_{t-1}

N examples stand as columns; the gates are stacked in the order r, z, u:

    x_t   (m, N)    input                     U   (3n, m)    input to gates
    s_t   (n, N)    state                     W   (3n, n)    state to gates
    u     (n, N)    new state proposed        ba  (3n, 1)                      bw  (n, 1)    only with reset after

With the gains gU, gW (3n, 1) among the parameters both products are normed, gate by gate: gU norm(U x_t) and
gW norm(W s_{t-1}).

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (2014), have the reset before; torch.nn.GRU
has it after, with two biases, of which those of r and z add up in ba. torch calls u n.
"""

from functools import partial

import numpy as np

from rnngrad.cells.cell import Array, Cell, Gradients, Parameters, Run, Tools, squash
from rnngrad.cells.fit import chosen
from rnngrad.cells.product import Pullback
from rnngrad.cells.sequence import MASK, Trace, sequence_backward, sequence_forward
from rnngrad.pair import pair

__all__ = [
    "CELLS",
    "GRU",
    "GRU_BEFORE",
    "gru_backward",
    "gru_before",
    "gru_before_masked",
    "gru_cell",
    "gru_cell_backward",
    "gru_cell_forward",
    "gru_forward",
    "gru_masked",
    "gru_sequence",
]


def step_after(t: int, run: Run, tools: Tools) -> None:
    """Take one step forward, the reset gate after the product."""
    s_prev, s = run.before[0][t], run.after[0][t]
    a, h, work = run.a[t], run.kept[t], tools.work
    p = tools.products[0](t, s_prev)
    a[:2] += p[:2]
    squash(a[:2], tools.half[:2], tools.rest[:2])
    r, z, u = a
    np.add(p[2], run.parameters["bw"].T, out=h)
    u += np.multiply(r, h, out=work)
    np.tanh(u, out=u)
    mix(s, z, u, s_prev)


def slopes_after(steps: slice, run: Run, k: Array) -> None:
    """Fill k with ds/da for r, z, with ds/d(W s + b_w), and with ds/da for u."""
    (r, z, u), h = run.a[steps].swapaxes(0, 1), run.kept[steps]
    dr, dz, dh, du = k
    slopes_of_mix(z, u, run.before[0][steps], dz, du, work=dr)
    np.multiply(r, du, out=dh)
    np.multiply(h, np.subtract(1, r, out=dr), out=dr)
    dr *= dh


def back_after(t: int, run: Run, tools: Tools, k: Array, d: Array, cotangents: tuple[Array, ...]) -> None:
    """Take one step back, the reset gate after the product."""
    (ds,) = cotangents
    np.multiply(k, ds, out=d.swapaxes(0, 1))
    ds *= run.a[t, 1]
    ds += tools.pullbacks[0](t, d[:, :3], tools.work)


def collect_after(run: Run, pullbacks: tuple[Pullback, ...], d: Array) -> tuple[Gradients, Array]:
    """Collect: the gradient at W s + b_w differs from that at U x + b_a in the rows of u."""
    found = pullbacks[0].gradients(d[:, :, :3], run.before[0]) | {"dbw": d[:, :, 2].sum(axis=(0, 1))[:, None]}
    d[:, :, 2] = d[:, :, 3]
    return found, d[:, :, :3]


def step_before(t: int, run: Run, tools: Tools) -> None:
    """Take one step forward, the reset gate before the product."""
    s_prev, s = run.before[0][t], run.after[0][t]
    a, h = run.a[t], run.kept[t]
    a[:2] += tools.products[0](t, s_prev)
    squash(a[:2], tools.half[:2], tools.rest[:2])
    r, z, u = a
    np.multiply(r, s_prev, out=h)
    a[2:] += tools.products[1](t, h)
    np.tanh(u, out=u)
    mix(s, z, u, s_prev)


def slopes_before(steps: slice, run: Run, k: Array) -> None:
    """Fill k with d(r s)/da for r and ds/da for z and u."""
    (r, z, u), s_prev = run.a[steps].swapaxes(0, 1), run.before[0][steps]
    dr, dz, du = k
    slopes_of_mix(z, u, s_prev, dz, du, work=dr)
    np.multiply(r, np.subtract(1, r, out=dr), out=dr)
    dr *= s_prev


def back_before(t: int, run: Run, tools: Tools, k: Array, d: Array, cotangents: tuple[Array, ...]) -> None:
    """Take one step back, the reset gate before the product."""
    (ds,) = cotangents
    r, z, _ = run.a[t]
    np.multiply(k[1:], ds, out=d[:, 1:].swapaxes(0, 1))
    ds *= z
    dh = tools.pullbacks[1](t, d[:, 2:], tools.work)
    np.multiply(k[0], dh, out=d[:, 0])
    dh *= r
    ds += dh
    ds += tools.pullbacks[0](t, d[:, :2], tools.work)


def collect_before(run: Run, pullbacks: tuple[Pullback, ...], d: Array) -> tuple[Gradients, Array]:
    """Collect: the rows of u were multiplied with r s."""
    gates = pullbacks[0].gradients(d[:, :, :2], run.before[0])
    new = pullbacks[1].gradients(d[:, :, 2:], run.kept)
    return {name: np.concatenate([gates[name], new[name]]) for name in gates}, d


def mix(s: Array, z: Array, u: Array, s_prev: Array) -> None:
    """Fill s with (1 - z) u + z s_prev."""
    np.subtract(s_prev, u, out=s)
    s *= z
    s += u


def slopes_of_mix(z: Array, u: Array, s_prev: Array, dz: Array, du: Array, *, work: Array) -> None:
    """Fill dz with (s_prev - u) z (1 - z), and du with (1 - z) (1 - u^2)."""
    np.subtract(1, z, out=dz)
    np.multiply(dz, np.subtract(1, np.multiply(u, u, out=du), out=du), out=du)
    dz *= z
    dz *= np.subtract(s_prev, u, out=work)


GRU = Cell(
    name="gru",
    sigmoids=(True, True, False),
    states=("s",),
    parameters={"U": "3*n m", "W": "3*n n", "ba": "3*n 1", "bw": "n 1"},
    products=(3,),
    blocks=4,
    multipliers=4,
    keeps=True,
    step=step_after,
    slopes=slopes_after,
    back=back_after,
    collect=collect_after,
)
GRU_BEFORE = Cell(
    name="gru with reset before",
    sigmoids=(True, True, False),
    states=("s",),
    parameters={"U": "3*n m", "W": "3*n n", "ba": "3*n 1"},
    products=(2, 1),
    blocks=3,
    multipliers=3,
    keeps=True,
    step=step_before,
    slopes=slopes_before,
    back=back_before,
    collect=collect_before,
)
CELLS = {"after": GRU, "before": GRU_BEFORE}


def gru_cell_forward(x_t: Array, s_prev: Array, parameters: Parameters, *, reset: str = "after") -> tuple[Array, Trace]:
    """Run one step of the cell.

    Takes x_t (m, N), s_prev (n, N) and the parameters U, W, ba, and bw with reset="after"; returns s_next (n, N) and
    the cache for `gru_cell_backward`.
    """
    states, cache = gru_forward(x_t[None], s_prev, parameters, reset=reset)
    return states[0], cache


def gru_cell_backward(ds_next: Array, cache: Trace) -> Gradients:
    """Return the gradients of one step: dx_t, ds_prev, dU, dW, dba, and dbw with reset="after"."""
    found = gru_backward(ds_next[None], cache)
    return {"dx_t": found.pop("dxs")[0], "ds_prev": found.pop("ds_0")} | found


def gru_forward(
    xs: Array,
    s_0: Array,
    parameters: Parameters,
    mask: Array | None = None,
    *,
    reset: str = "after",
    reverse: bool = False,
) -> tuple[Array, Trace]:
    """Run the cell over time.

    Takes xs (T, m, N), s_0 (n, N) and the parameters U, W, ba, and bw with reset="after"; returns the states of all
    steps (T, n, N) and the cache for `gru_backward`. mask and reverse are those of `sequence_forward`.
    """
    (states,), cache = sequence_forward(
        chosen("reset", reset, CELLS), xs, (s_0,), parameters, mask=mask, reverse=reverse
    )
    return states, cache


def gru_backward(dstates: Array, cache: Trace) -> Gradients:
    """Return the gradients over time: dxs, ds_0, dU, dW, dba, and dbw with reset="after".

    Takes the cotangents of all states (T, n, N).
    """
    return sequence_backward((dstates,), cache)


STEP = {"x_t": "m N", "s_prev": "n N"}
SEQUENCE = {"xs": "T m N", "s_0": "n N"}
GAINS = {"gU": "3*n 1", "gW": "3*n 1"}
RETURNS = ("states", "cache")

gru_cell = pair(
    gru_cell_forward,
    gru_cell_backward,
    inputs=STEP | {"parameters": GRU.parameters},
    returns=("s_next", "cache"),
)
gru_sequence = pair(
    gru_forward,
    gru_backward,
    inputs=SEQUENCE | {"parameters": GRU.parameters},
    returns=RETURNS,
    name="gru_sequence",
)
gru_masked = pair(
    partial(gru_forward, reverse=True),
    gru_backward,
    inputs=SEQUENCE | {"parameters": GRU.parameters | GAINS, "mask": MASK},
    returns=RETURNS,
    name="gru_masked",
)
gru_before = pair(
    partial(gru_forward, reset="before"),
    gru_backward,
    inputs=SEQUENCE | {"parameters": GRU_BEFORE.parameters},
    returns=RETURNS,
    name="gru_before",
)
gru_before_masked = pair(
    partial(gru_forward, reset="before", reverse=True),
    gru_backward,
    inputs=SEQUENCE | {"parameters": GRU_BEFORE.parameters | GAINS, "mask": MASK},
    returns=RETURNS,
    name="gru_before_masked",
)
