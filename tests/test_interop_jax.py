"""Values and all gradients of the cells against jax.vjp of forwards that share nothing with them, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngrad.cells import gru, lstm, rnn
from rnngrad.cells.sequence import sequence_backward, sequence_forward

jax = pytest.importorskip("jax", reason="jax is not installed: pip install -e '.[interop]'")
jnp = jax.numpy

CLOSE = 1e-12  # relative to the tensor
EPS = float(np.finfo(np.float64).eps)
MOVED = 32.0  # times what an ulp in the inputs does: a layer norm over three nearly equal numbers is ill-conditioned
# T, m, n, N: few, since jax compiles each operation for each shape; a norm needs two inputs and three units, of fewer
# it leaves what cancelling leaves
SIZES = [(1, 3, 4, 2), (4, 2, 3, 5), (3, 5, 5, 2)]


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def norm(x):
    return (x - jnp.mean(x, axis=1, keepdims=True)) / jnp.sqrt(jnp.var(x, axis=1, keepdims=True) + 1e-5)


def gates(matrix, x, gain, g):
    """Return one product for each gate, by einsum over matrices of their own, normed where there is a gain."""
    p = jnp.einsum("gij,jN->giN", matrix.reshape(g, -1, matrix.shape[1]), x)
    return p if gain is None else norm(p) * gain.reshape(g, -1, 1)


def vanilla(act, x, states, p):
    (s,) = states
    return (act(gates(p["U"], x, p.get("gU"), 1)[0] + gates(p["W"], s, p.get("gW"), 1)[0] + p["ba"]),)


def long_short_term(x, states, p):
    s, c = states
    a = gates(p["U"], x, p.get("gU"), 4) + gates(p["W"], s, p.get("gW"), 4) + p["ba"].reshape(4, -1, 1)
    i, f, o = (jax.nn.sigmoid(a[j]) for j in (0, 1, 3))
    c = f * c + i * jnp.tanh(a[2])
    return o * jnp.tanh(c), c


def gated_after(x, states, p):
    (s,) = states
    a = gates(p["U"], x, p.get("gU"), 3) + p["ba"].reshape(3, -1, 1)
    h = gates(p["W"], s, p.get("gW"), 3)
    r, z = jax.nn.sigmoid(a[0] + h[0]), jax.nn.sigmoid(a[1] + h[1])
    return ((1 - z) * jnp.tanh(a[2] + r * (h[2] + p["bw"])) + z * s,)


def gated_before(x, states, p):
    (s,) = states
    a = gates(p["U"], x, p.get("gU"), 3) + p["ba"].reshape(3, -1, 1)
    h = gates(p["W"], s, p.get("gW"), 3)
    r, z = jax.nn.sigmoid(a[0] + h[0]), jax.nn.sigmoid(a[1] + h[1])
    return ((1 - z) * jnp.tanh(a[2] + gates(p["W"], r * s, p.get("gW"), 3)[2]) + z * s,)


KINDS = {
    "rnn tanh": (rnn.CELLS["tanh"], lambda *rest: vanilla(jnp.tanh, *rest)),
    "rnn relu": (rnn.CELLS["relu"], lambda *rest: vanilla(jax.nn.relu, *rest)),
    "lstm": (lstm.LSTM, long_short_term),
    "gru": (gru.GRU, gated_after),
    "gru reset before": (gru.GRU_BEFORE, gated_before),
}


def over_time(step, reverse, mask):
    def forward(xs, initial, parameters):
        states, found = initial, {}
        for t in reversed(range(len(xs))) if reverse else range(len(xs)):
            moved = step(xs[t], states, parameters)
            states = tuple(jnp.where(mask[t] == 1, new, old) for new, old in zip(moved, states, strict=True))
            found[t] = states
        return tuple(jnp.stack([found[t][j] for t in range(len(xs))]) for j in range(len(initial)))

    return forward


def close(ours, theirs, stirred=None):
    """Hold two arrays together; where their inputs, off by an ulp, move one of them further, that far."""
    theirs = np.asarray(theirs)
    moved = 0.0 if stirred is None else MOVED * np.abs(np.asarray(stirred) - theirs).max()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= max(CLOSE * np.abs(theirs).max(), moved, 1e-300)


@pytest.mark.parametrize("normed", [False, True], ids=["plain", "normed"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(sizes=st.sampled_from(SIZES), seed=st.integers(0, 2**32 - 1))
def test_a_sequence_is_jaxs(kind, reverse, normed, sizes, seed):
    cell, step = KINDS[kind]
    T, m, n, N = sizes
    rng = np.random.default_rng(seed)
    size = {"m": m, "n": n, "1": 1} | {f"{g}*n": g * n for g in (3, 4)}
    shapes = cell.parameters | ({"gU": f"{cell.gates}*n 1", "gW": f"{cell.gates}*n 1"} if normed else {})
    size["1*n"] = n
    parameters = {name: rng.standard_normal([size[dim] for dim in text.split()]) for name, text in shapes.items()}
    xs, initial = rng.standard_normal((T, m, N)), tuple(rng.standard_normal((n, N)) for _ in cell.states)
    dstates = tuple(rng.standard_normal((T, n, N)) for _ in cell.states)
    mask = rng.integers(0, 2, (T, N)) | (rng.random() < 0.5)

    states, cache = sequence_forward(cell, xs, initial, parameters, mask=mask, reverse=reverse)
    found = sequence_backward(dstates, cache)
    values, vjp = jax.vjp(over_time(step, reverse, mask), xs, initial, parameters)
    dxs, dinitial, dparameters = vjp(tuple(map(jnp.asarray, dstates)))
    off = {name: array * (1 + EPS * rng.uniform(-1, 1, array.shape)) for name, array in parameters.items()}
    near, vjp_near = jax.vjp(over_time(step, reverse, mask), xs, initial, off)
    nxs, ninitial, nparameters = vjp_near(tuple(map(jnp.asarray, dstates)))

    if not normed:
        near, nxs, ninitial, nparameters = values, dxs, dinitial, dparameters
    for ours, theirs, stirred in zip(states, values, near, strict=True):
        close(ours, theirs, stirred)
    close(found["dxs"], dxs, nxs)
    for name, theirs, stirred in zip(cell.states, dinitial, ninitial, strict=True):
        close(found[f"d{name}_0"], theirs, stirred)
    for name, theirs in dparameters.items():
        close(found["d" + name], theirs, nparameters[name])
