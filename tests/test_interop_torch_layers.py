"""Values and all gradients of the layers against torch's modules and autograd, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngrad.cells import layers, loss

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")

CLOSE = 1e-12  # relative to the tensor
SIZES = st.fixed_dictionaries({dim: st.integers(1, 6) for dim in ("T", "m", "n", "N")})
SEEDS = st.integers(0, 2**32 - 1)
fifteen = settings(max_examples=15, deadline=None)


def close(ours, theirs):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= CLOSE * np.abs(theirs).max()


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def tensors(*arrays):
    return [torch.tensor(array, requires_grad=True) for array in arrays]


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_affine_is_torchs_linear(sizes, seed):
    T, m, n, N = sizes["T"], sizes["m"], sizes["n"], sizes["N"]
    x, W, b, dy = drawn(seed, (T, m, N), (n, m), (n, 1), (T, n, N))
    y, cache = layers.affine_forward(x, W, b)
    found = layers.affine_backward(dy, cache)
    tx, tW, tb = tensors(x, W, b[:, 0])
    out = torch.nn.functional.linear(tx.permute(0, 2, 1), tW, tb).permute(0, 2, 1)
    out.backward(torch.tensor(dy))
    close(y, out)
    close(found["dx"], tx.grad)
    close(found["dW"], tW.grad)
    close(found["db"][:, 0], tb.grad)


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_layer_norm_is_torchs(sizes, seed):
    T, n, N = sizes["T"], sizes["n"] + 2, sizes["N"]  # of two features y is 1 and -1, and dx what cancelling leaves
    x, gain, bias, dy = drawn(seed, (T, n, N), (n, 1), (n, 1), (T, n, N))
    y, cache = layers.layer_norm_forward(x, gain, bias)
    found = layers.layer_norm_backward(dy, cache)
    tx, tgain, tbias = tensors(x, gain[:, 0], bias[:, 0])
    out = torch.nn.functional.layer_norm(tx.permute(0, 2, 1), (n,), tgain, tbias).permute(0, 2, 1)
    out.backward(torch.tensor(dy))
    close(y, out)
    close(found["dx"], tx.grad)
    close(found["dgain"][:, 0], tgain.grad)
    close(found["dbias"][:, 0], tbias.grad)


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_embedding_is_torchs(sizes, seed):
    T, v, n, N = sizes["T"], sizes["m"], sizes["n"], sizes["N"]
    E, dy = drawn(seed, (v, n), (T, n, N))
    indices = np.random.default_rng([seed, 1]).integers(0, v, (T, N))
    y, cache = layers.embedding_forward(indices, E)
    (tE,) = tensors(E)
    out = torch.nn.functional.embedding(torch.from_numpy(indices), tE).permute(0, 2, 1)
    out.backward(torch.tensor(dy))
    close(y, out)
    close(layers.embedding_backward(dy, cache)["dE"], tE.grad)


@pytest.mark.parametrize("average", [True, False])
@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_squared_error_is_torchs(average, sizes, seed):
    prediction, target, dloss = drawn(seed, (sizes["n"], sizes["N"]), (sizes["n"], sizes["N"]), ())
    value, cache = loss.squared_error_forward(prediction, target, average=average)
    found = loss.squared_error_backward(dloss, cache)
    tp, tt = tensors(prediction, target)
    out = torch.nn.MSELoss(reduction="mean" if average else "sum")(tp, tt)
    out.backward(torch.tensor(dloss))
    close(np.asarray(value), out)
    close(found["dprediction"], tp.grad)
    close(found["dtarget"], tt.grad)
