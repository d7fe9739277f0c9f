"""Pairs that the tests of `rg.check` start from: a right one, a wrong one, and ways to make more."""

import numpy as np

import rnngrad as rg
from rnngrad.cells.rnn import RETURNS, SHAPES, backward_from_both, rnn_cell_forward

PASS, OPEN, FAIL = rg.Verdict.PASS, rg.Verdict.INCONCLUSIVE, rg.Verdict.FAIL


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def averaged_backward(dout, cache):
    dx, dw, db = affine_backward(dout, cache)
    return dx, dw / len(dout), db


AFFINE = {"x": "N d", "w": "d m", "b": "m"}
affine = rg.pair(affine_forward, affine_backward, inputs=AFFINE)
averaged = rg.pair(affine_forward, averaged_backward, inputs=AFFINE, name="averaged")
ARRAYS = {"x": np.array([[1.0, 2.0], [3.0, 4.0]]), "w": np.array([[0.5], [-0.25]]), "b": np.array([2.0])}
ONES = {"out": np.ones((2, 1))}
CASE = rg.Case(N=2, d=1, m=1, seed=0)


def elementwise(f, df, shape="n", name="f"):
    """Return the pair of a function and its derivative."""
    return rg.pair(f, lambda dout, x: dout * df(x), inputs={"x": shape}, name=name)


def spoiled_cell(change, name="W"):
    """Return the RNN cell with one gradient changed by a function."""

    def backward(ds_next, dout_pred, cache):
        gradients = backward_from_both(ds_next, dout_pred, cache)
        return gradients | {"d" + name: change(gradients["d" + name])}

    return rg.pair(rnn_cell_forward, backward, inputs=SHAPES, returns=RETURNS, name="spoiled")


def jittered(x):
    """Return x² with a tenth of noise that depends on the last bits of x."""
    real = np.real(x)
    noise = np.frompyfunc(lambda entry: hash(float(entry)) % 1000 / 1000, 1, 1)(real).astype(float)
    return real**2 + 0.1 * noise
