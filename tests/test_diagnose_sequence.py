"""An error inside a cell that is run over time is named by what it does in a single step."""

import numpy as np
import pytest

import rnngrad as rg


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(x, h, c, Wx, Wh, b):
    """Run an LSTM over x (N, T, D), its gates in the order i, f, o, g; all that is kept of a step is in a tuple."""
    H, states, cache = h.shape[1], [], []
    for t in range(x.shape[1]):
        a = x[:, t] @ Wx + h @ Wh + b
        i, f, o = (sigmoid(a[:, k * H : (k + 1) * H]) for k in range(3))
        g = np.tanh(a[:, 3 * H :])
        after = f * c + i * g
        cache.append((x[:, t], h, c, i, f, o, g, np.tanh(after)))
        h, c = o * np.tanh(after), after
        states.append(h)
    return np.stack(states, axis=1), (cache, Wx, Wh)


def right(dc, dh, step):
    _, _, c, i, f, o, g, tanh_c = step
    dc = dc + dh * o * (1 - tanh_c**2)
    return dc, [dc * g * i * (1 - i), dc * c * f * (1 - f), dh * tanh_c * o * (1 - o), dc * i * (1 - g**2)]


def no_tanh(dc, dh, step):
    _, _, c, i, f, o, g, tanh_c = step
    dc = dc + dh * o
    return dc, [dc * g * i * (1 - i), dc * c * f * (1 - f), dh * tanh_c * o * (1 - o), dc * i * (1 - g**2)]


def no_sigmoid(dc, dh, step):
    dc, (di, df, do, dg) = right(dc, dh, step)
    return dc, [di, df / (1 - step[4]), do, dg]


def swapped(dc, dh, step):
    dc, (di, df, do, dg) = right(dc, dh, step)
    return dc, [di, do, df, dg]


def square(dc, dh, step):
    dc, (di, df, do, _) = right(dc, dh, step)
    return dc, [di, df, do, dc * step[3] * (1 - step[6]) ** 2]


def not_squashed(dc, dh, step):
    dc, (di, df, do, dg) = right(dc, dh, step)
    return dc, [di, df, do / step[7] * np.arctanh(step[7]), dg]


def lstm(gates):
    def backward(dout, kept):
        cache, Wx, Wh = kept
        dx, dWx, dWh, db = np.zeros((*dout.shape[:2], len(Wx))), np.zeros_like(Wx), np.zeros_like(Wh), 0
        dh = dc = np.zeros_like(dout[:, 0])
        for t in reversed(range(dout.shape[1])):
            dc, blocks = gates(dc, dout[:, t] + dh, cache[t])
            da = np.concatenate(blocks, axis=1)
            dx[:, t], dh, dc = da @ Wx.T, da @ Wh.T, dc * cache[t][4]
            dWx, dWh, db = dWx + cache[t][0].T @ da, dWh + cache[t][1].T @ da, db + da.sum(axis=0)
        return dx, dh, dc, dWx, dWh, db

    shapes = {"x": "N T D", "h": "N H", "c": "N H", "Wx": "D 4*H", "Wh": "H 4*H", "b": "4*H"}
    return rg.pair(forward, backward, inputs=shapes, name=gates.__name__)


CASE = rg.Case(N=2, T=3, D=3, H=4, seed=0)
WRONG = [
    (no_tanh, "the derivative of tanh at cache[0][0][7] missing", "blocks 0, 1 and 3"),
    (no_sigmoid, "a factor of 1 - cache[0][0][4] missing", "block 1"),
    (swapped, "the true gradient with blocks 1 and 2 of 4*H swapped", "blocks 1 and 2"),
    (not_squashed, "the preactivation of tanh in the place of cache[0][0][7]", "block 2"),
    (square, "(1 - cache[0][0][6])² in the place of the derivative of tanh", "block 3"),
]


def test_the_right_one_passes():
    assert rg.check(lstm(right), CASE).verdict is rg.Verdict.PASS


@pytest.mark.parametrize(("gates", "words", "blocks"), WRONG, ids=[gates.__name__ for gates, _, _ in WRONG])
def test_an_error_of_a_gate_is_named_and_what_follows_from_it(gates, words, blocks):
    report = rg.check(lstm(gates), CASE)
    for name in ("Wx", "Wh", "b"):
        assert f"consistent with {words}, seen at T = 1" in report[name].diagnoses[0].message
    for name, weight in ("x", "Wx"), ("h", "Wh"):
        [only] = report[name].diagnoses
        zero = f"right while {blocks} of {weight} {'are' if 'blocks' in blocks else 'is'} zero"
        assert only.message == (
            f"d{name} is consistent with an error that follows from that of dWx: it is {zero}, "
            f"and dWx is consistent with {words}, both seen at T = 1{' (H = 4)' if 'H' in words else ''}"
        )


def test_what_tells_for_which_values_it_is_right_comes_before_what_tells_only_where_it_is_wrong():
    found = [one.message for one in rg.check(lstm(no_sigmoid), CASE)["c"].diagnoses]
    assert found[0].startswith("dc is right while Wh is zero")
    assert "wrong for later ones" in found[1]
