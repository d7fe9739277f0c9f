"""What a diagnosis says of all sizes and values is so at others than those that it was seen at."""

import numpy as np
import pytest

import rnngrad as rg


def told(pair, given, name):
    report = rg.check(pair, given)
    assert report[name].verdict is rg.Verdict.FAIL
    return " ".join(one.message for one in report[name].diagnoses)


def rnn(x, h0, Wx, Wh):
    states = [h0]
    for step in x:
        states.append(np.tanh(step @ Wx + states[-1] @ Wh))
    return np.stack(states[1:]), (x, Wx, Wh, states)


def accumulating(dout, cache):
    x, Wx, Wh, states = cache
    dx, dWx, dWh, back = np.zeros_like(x), 0, 0, np.zeros_like(states[0])
    for t in reversed(range(len(x))):
        da = (dout[t] + back) * (1 - states[t + 1] ** 2)
        dx[t], dWx, dWh = da @ Wx.T, dWx + x[t].T @ da, dWh + states[t].T @ da
        back = back + da @ Wh.T  # without back
    return dx, back, dWx, dWh


def scores(Q, K):
    return Q @ K.T / np.sqrt(Q.shape[1]), (Q, K)


def convolved(x, w):
    padded = np.pad(x, 1)
    return sum(w[:, k : k + 1] * padded[None, k : k + len(x)] for k in range(3)), padded


def shifted(dout, padded):
    rolled = np.roll(padded, 1)
    return {"dw": np.stack([(dout * rolled[k : k + dout.shape[1]]).sum(axis=1) for k in range(3)], axis=1)}


RNN = rg.pair(rnn, accumulating, inputs={"x": "T N D", "h0": "N H", "Wx": "D H", "Wh": "H H"}, name="rnn")
SCORES = rg.pair(scores, lambda d, c: (d @ c[1], d.T @ c[0]), inputs={"Q": "N d", "K": "M d"}, name="scores")
PRODUCT = rg.pair(
    lambda A, x: (A @ x, (A, x)), lambda d, c: (np.outer(d, c[1]), c[0] @ d), inputs={"A": "n n", "x": "n"}
)
SHIFTED = rg.pair(convolved, shifted, inputs={"x": "L", "w": "F 3"}, wrt=("w",), name="shifted")


@pytest.mark.parametrize("seed", range(3))
def test_a_lost_transpose_of_given_arrays_is_wrong_for_two_as_well(seed):
    rng = np.random.default_rng(seed)
    message = told(PRODUCT, {"A": rng.normal(size=(3, 3)), "x": rng.normal(size=3)}, "x")
    assert "right while A is symmetric" in message
    assert ">= 3" not in message


@pytest.mark.parametrize("T", [5, 6])
def test_what_holds_for_few_steps_alone_is_not_said_of_values(T):
    case = rg.Case(T=T, N=2, D=3, H=3, seed=1)
    assert "h0 is zero" not in told(RNN, case, "Wh")
    assert "right while Wh is zero" in told(RNN, case, "Wx")
    assert "an eps" not in told(RNN, case, "Wx")


@pytest.mark.parametrize("d", [2, 4, 9])
def test_a_root_is_not_taken_for_a_number_that_it_equals_here(d):
    assert "dQ and dK are consistent with sqrt(d) times" in told(SCORES, rg.Case(N=2, M=3, d=d, seed=0), "Q")


def test_a_shift_is_no_swap_with_a_block_of_zeros():
    assert "swapped" not in told(SHIFTED, rg.Case(L=5, F=4, seed=0), "w")


def test_the_real_part_of_a_complex_gradient_is_called_so():
    pair = rg.pair(
        lambda z, w: (z * w, (z, w)),
        lambda d, c: ((d * c[1].conj()).real, d * c[0].conj()),
        inputs={"z": "n", "w": "n"},
    )
    rng = np.random.default_rng(0)
    given = {name: rng.normal(size=4) + 1j * rng.normal(size=4) for name in "zw"}
    assert "dz is consistent with the real part of the true gradient" in told(pair, given, "z")


def test_where_the_true_gradient_is_a_multiple_of_an_array_its_factor_is_no_term():
    def forward(x, mu, logs):
        z = (x - mu) * np.exp(-logs)
        return (-0.5 * z**2 - logs).sum(), (z, logs)

    def backward(dout, cache):
        z, logs = cache
        dmu, dlogs = (dout * z * np.exp(-logs)).sum(axis=0), (dout * (z**2 - 1)).sum(axis=0)
        return -dout * z * np.exp(-2 * logs), dmu, dlogs

    pair = rg.pair(forward, backward, inputs={"x": "N D", "mu": "D", "logs": "D"})
    message = told(pair, rg.Case(N=4, D=3, seed=1), "x")
    assert "the true gradient times a factor of its own at each index, the same along N" in message


def test_a_sign_that_is_turned_in_a_part_is_not_put_down_to_an_activation():
    def forward(x):
        largest = x.max(axis=1)
        return x.sum(axis=1), np.abs(largest), (x, largest)

    def backward(dsum, dm, cache):
        x, largest = cache
        return dsum[:, None] + dm[:, None] * (x == largest[:, None])

    pair = rg.pair(forward, backward, inputs={"x": "N 2"}, returns=("sum", "m", "cache"))
    for seed in range(6):
        report = rg.check(pair, rg.Case(N=3, seed=seed))
        assert "derivative of" not in str(report)
        assert "in the place of all" not in str(report)
