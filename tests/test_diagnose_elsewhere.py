"""A gradient that is right for another value of an input is called so."""

import numpy as np
import pytest

import rnngrad as rg


def correlate(x, w):
    h, k = w.shape
    rows, columns = x.shape[1] - h + 1, x.shape[2] - k + 1
    return sum(x[:, i : i + rows, j : j + columns] * w[i, j] for i in range(h) for j in range(k)), (x, w)


def correlate_backward(kernel):
    def backward(dout, cache):
        x, w = cache
        dx, dw, used = np.zeros_like(x), np.zeros_like(w), kernel(w)
        for i, j in np.ndindex(w.shape):
            window = np.s_[:, i : i + dout.shape[1], j : j + dout.shape[2]]
            dx[window] += dout * used[i, j]
            dw[i, j] = (x[window] * dout).sum()
        return dx, dw

    return rg.pair(correlate, backward, inputs={"x": "N H+h-1 K+k-1", "w": "h k"}, name="correlate")


def scan(a, u):
    h = np.zeros((len(u) + 1, *u.shape[1:]))
    for t in range(len(u)):
        h[t + 1] = a[t] * h[t] + np.sin(u[t])
    return h[1:].copy(), (a, u, h)


def scan_backward(dh, cache):
    a, u, h = cache
    da, du, carried = np.zeros_like(a), np.zeros_like(u), np.zeros_like(u[0])
    for t in reversed(range(len(u))):
        carried = carried + dh[t]
        da[t], du[t] = carried * h[t], carried * np.cos(u[t])
        carried = carried * a[t - 1]
    return da, du


CASE = rg.Case(N=2, H=2, K=3, h=2, k=3, seed=1)


@pytest.mark.parametrize(
    ("pair", "case", "name", "words"),
    [
        (correlate_backward(lambda w: w[::-1, ::-1]), CASE, "x", "the true gradient at w reversed along h and k: is w"),
        (correlate_backward(lambda w: w[:, ::-1]), CASE, "x", "the true gradient at w reversed along k: is w the same"),
        (correlate_backward(lambda w: -w), CASE, "x", "the true gradient with its sign turned"),
        (
            rg.pair(scan, scan_backward, inputs={"a": "T n", "u": "T n"}),
            rg.Case(T=4, n=2, seed=0),
            "u",
            "the true gradient at a rolled on by one along T: is a the same in forward and in backward?",
        ),
    ],
)
def test_a_gradient_at_another_value_of_an_input_is_called_so(pair, case, name, words):
    report = rg.check(pair, case)
    assert report[name].verdict is rg.Verdict.FAIL
    assert any(words in one.message for one in report[name].diagnoses), report[name].diagnoses


def test_where_forward_takes_no_other_values_the_search_goes_on():
    def forward(x, w):
        if (w < 0).any():
            raise ValueError("w is negative")
        return x * w + x**2 * w[::-1], (x, w)

    pair = rg.pair(
        forward,
        lambda d, c: (d * (c[1][::-1] + 2 * c[0] * c[1]), d * c[0] + (d * c[0] ** 2)[::-1]),
        inputs={"x": "n", "w": "n"},
    )
    report = rg.check(pair, {"x": np.array([0.3, 1.2, -0.7, 0.4]), "w": np.array([0.2, 1.0, 0.5, 2.0])})
    assert "the true gradient at w reversed along n" in report["x"].diagnoses[0].message
