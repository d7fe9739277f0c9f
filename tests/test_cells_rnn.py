"""The RNN cell against arithmetic that shares nothing with it: loops over 60-digit numbers."""

import math

import mpmath as mp
import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell, rnn_cell_backward, rnn_cell_forward, rnn_cell_state, softmax

INPUTS = ("x_t", "s_prev", "U", "W", "V", "ba", "by")
STATE = ("dtanh", "dx_t", "ds_prev", "dU", "dW", "dba")
HEAD = ("dV", "dby")
SIZES = [(2, 3, 4, 2), (3, 2, 1, 1), (1, 1, 2, 3), (2, 2, 2, 2)]


def drawn(m, n, k, N, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = {"x_t": (m, N), "s_prev": (n, N), "U": (n, m), "W": (n, n), "V": (k, n), "ba": (n, 1), "by": (k, 1)}
    arrays = {name: scale * rng.standard_normal(shape) for name, shape in shapes.items()}
    return arrays, rng.standard_normal((n, N)), rng.standard_normal((k, N))


def split(arrays):
    return arrays["x_t"], arrays["s_prev"], {name: arrays[name] for name in INPUTS[2:]}


def forward_by_loops(arrays, tanh, exp):
    """Return state and prediction as nested lists, in whatever numbers the arrays and the two functions use."""
    x, s, U, W, V, ba, by = (arrays[name] for name in INPUTS)
    n, m, k, N = len(U), len(U[0]), len(V), len(x[0])
    state = [
        [
            tanh(sum(U[i][j] * x[j][c] for j in range(m)) + sum(W[i][j] * s[j][c] for j in range(n)) + ba[i][0])
            for c in range(N)
        ]
        for i in range(n)
    ]
    logits = [[sum(V[i][j] * state[j][c] for j in range(n)) + by[i][0] for c in range(N)] for i in range(k)]
    total = [sum(exp(logits[i][c]) for i in range(k)) for c in range(N)]
    return state, [[exp(logits[i][c]) / total[c] for c in range(N)] for i in range(k)]


def exact_gradient(arrays, name, ds_next, dout_pred):
    """Return the gradient of <ds_next, s_next> + <dout_pred, out_pred> by differences that are right to 30 digits."""
    with mp.workdps(60):
        exact = {key: [[mp.mpf(float(entry)) for entry in row] for row in array] for key, array in arrays.items()}
        step = mp.mpf(10) ** -18

        def weighted():
            state, prediction = forward_by_loops(exact, mp.tanh, mp.exp)
            terms = [(ds_next, state), (dout_pred, prediction)]
            return sum(
                mp.mpf(float(v)) * y
                for cotangent, output in terms
                for row_v, row_y in zip(cotangent, output, strict=True)
                for v, y in zip(row_v, row_y, strict=True)
            )

        gradient = np.empty(arrays[name].shape)
        for i, j in np.ndindex(gradient.shape):
            here = exact[name][i][j]
            exact[name][i][j] = here + step
            ahead = weighted()
            exact[name][i][j] = here - step
            gradient[i, j] = float((ahead - weighted()) / (2 * step))
            exact[name][i][j] = here
        return gradient


@pytest.mark.parametrize("sizes", SIZES)
def test_forward_is_the_two_formulas(sizes):
    arrays, _, _ = drawn(*sizes, seed=1)
    s_next, out_pred, _ = rnn_cell_forward(*split(arrays))
    state, prediction = forward_by_loops(arrays, math.tanh, math.exp)
    np.testing.assert_allclose(s_next, state, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(out_pred, prediction, rtol=1e-13)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("sizes", SIZES)
def test_every_gradient_is_that_of_both_outputs(sizes, name):
    arrays, ds_next, dout_pred = drawn(*sizes, seed=2)
    _, _, cache = rnn_cell_forward(*split(arrays))
    gradient = rnn_cell_backward(ds_next, cache, dout_pred)["d" + name]
    np.testing.assert_allclose(gradient, exact_gradient(arrays, name, ds_next, dout_pred), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", ["x_t", "s_prev", "U", "W", "ba"])
def test_without_dout_pred_the_gradients_are_those_of_the_state_alone(name):
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 2, seed=3)
    _, _, cache = rnn_cell_forward(*split(arrays))
    gradient = rnn_cell_backward(ds_next, cache)["d" + name]
    expected = exact_gradient(arrays, name, ds_next, np.zeros_like(dout_pred))
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


def test_dtanh_is_the_gradient_at_the_preactivation():
    arrays, ds_next, _ = drawn(2, 3, 4, 1, seed=4)
    _, _, cache = rnn_cell_forward(*split(arrays))
    zero = np.zeros((4, 1))
    expected = exact_gradient(arrays, "ba", ds_next, zero)  # at N = 1 the bias is added to the preactivation alone
    np.testing.assert_allclose(rnn_cell_backward(ds_next, cache)["dtanh"], expected, rtol=1e-12)


def test_the_original_run_gives_what_the_formulas_give():
    draw = np.random.RandomState(1).randn
    shapes = {"x_t": (3, 1), "s_prev": (5, 1), "W": (5, 5), "U": (5, 3), "V": (3, 5), "ba": (5, 1), "by": (3, 1)}
    arrays = {name: draw(*shape) for name, shape in shapes.items()}
    s_next, out_pred, _ = rnn_cell_forward(*split(arrays))
    state, prediction = forward_by_loops(arrays, math.tanh, math.exp)
    assert (s_next.shape, out_pred.shape) == ((5, 1), (3, 1))
    assert arrays["x_t"][0, 0] == pytest.approx(1.62434536366)  # the generator is the one that was meant
    np.testing.assert_allclose(s_next, state, rtol=1e-12)
    np.testing.assert_allclose(out_pred, prediction, rtol=1e-12)


def test_softmax_runs_over_the_classes_of_each_example():
    z = np.log([[1.0, 3.0], [2.0, 3.0], [1.0, 6.0]])
    np.testing.assert_allclose(softmax(z), [[0.25, 0.25], [0.5, 0.25], [0.25, 0.5]], rtol=1e-14)


@pytest.mark.parametrize("N", [1, 4])
def test_the_predictions_of_an_example_sum_to_one(N):
    arrays, _, _ = drawn(2, 3, 5, N, seed=5, scale=4.0)
    out_pred = rnn_cell_forward(*split(arrays))[1]
    np.testing.assert_allclose(out_pred.sum(axis=0), np.ones(N), rtol=1e-14)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ([1e4, 0.0, -1e4], [1.0, 0.0, 0.0]),
        ([1e4, 1e4, -1e4], [0.5, 0.5, 0.0]),
        ([-1e4, -1e4 + math.log(2), -1e4 + math.log(5)], [0.125, 0.25, 0.625]),
    ],
)
def test_logits_of_ten_thousand_neither_overflow_nor_vanish(by, expected):
    arrays, ds_next, dout_pred = drawn(2, 2, 3, 1, seed=6)
    arrays |= {"V": np.zeros((3, 2)), "by": np.array(by)[:, None]}
    _, out_pred, cache = rnn_cell_forward(*split(arrays))
    np.testing.assert_allclose(out_pred[:, 0], expected, rtol=1e-11)
    p = np.array(expected)
    by_hand = (np.diag(p) - np.outer(p, p)) @ dout_pred
    np.testing.assert_allclose(rnn_cell_backward(ds_next, cache, dout_pred)["dby"], by_hand, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_arrays_is_kept_by_every_output_and_gradient(dtype):
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 2, seed=7)
    x_t, s_prev, parameters = split({name: array.astype(dtype) for name, array in arrays.items()})
    s_next, out_pred, cache = rnn_cell_forward(x_t, s_prev, parameters)
    gradients = rnn_cell_backward(ds_next.astype(dtype), cache, dout_pred.astype(dtype))
    assert {array.dtype for array in (s_next, out_pred, *gradients.values())} == {np.dtype(dtype)}


def test_backward_returns_the_gradients_of_the_head_only_for_its_cotangent():
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 2, seed=8)
    cache = rnn_cell_forward(*split(arrays))[2]
    assert tuple(rnn_cell_backward(ds_next, cache)) == STATE
    assert set(rnn_cell_backward(ds_next, cache, dout_pred)) == {*STATE, *HEAD}


def test_each_gradient_has_the_shape_of_its_input():
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 5, seed=9)
    gradients = rnn_cell_backward(ds_next, rnn_cell_forward(*split(arrays))[2], dout_pred)
    assert {name: gradients["d" + name].shape for name in INPUTS} == {name: arrays[name].shape for name in INPUTS}


def test_the_cache_holds_the_state_and_what_went_in():
    arrays, _, _ = drawn(2, 3, 4, 2, seed=10)
    x_t, s_prev, parameters = split(arrays)
    s_next, _, cache = rnn_cell_forward(x_t, s_prev, parameters)
    assert all(kept is given for kept, given in zip(cache, (s_next, s_prev, x_t, parameters), strict=True))


def test_neither_pass_changes_what_it_was_given():
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 2, seed=11)
    for array in (*arrays.values(), ds_next, dout_pred):
        array.setflags(write=False)
    cache = rnn_cell_forward(*split(arrays))[2]
    cache[0].setflags(write=False)
    first, second = (rnn_cell_backward(ds_next, cache, dout_pred) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_nothing_is_printed(capsys):
    arrays, ds_next, dout_pred = drawn(2, 3, 4, 2, seed=12)
    rnn_cell_backward(ds_next, rnn_cell_forward(*split(arrays))[2], dout_pred)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("checked", "judged"), [(rnn_cell, INPUTS), (rnn_cell_state, ("x_t", "s_prev", "U", "W", "ba"))]
)
@pytest.mark.parametrize(
    "case",
    [
        rg.Case(m=1, n=1, k=1, N=1, seed=0),
        rg.Case(m=2, n=3, k=4, N=5, seed=1),
        rg.Case(m=3, n=3, k=3, N=3, seed=2, scale=4.0),
        rg.Case(m=4, n=2, k=5, N=1, seed=3, scale=16.0),
        rg.Case(m=5, n=4, k=2, N=3, seed=4, scale=0.0625),
        rg.Case(m=2, n=4, k=3, N=2, seed=5, fills={"x_t": "one-hot", "s_prev": "zeros"}),
    ],
    ids=repr,
)
def test_the_shipped_pairs_pass_on_every_gradient(checked, judged, case):
    report = rg.check(checked, case)
    assert {gradient.name: gradient.verdict.name for gradient in report.gradients} == dict.fromkeys(judged, "PASS")
