"""Correct pairs for `difficult.py`: layers, losses and likelihoods as people write them, their gradients by hand.

Some are written in the form that loses digits, on purpose: a logistic from tanh, a variance as the difference of two
means, a derivative 1 - tanh² that cancels beside one that does not.
"""

from typing import Any

import numpy as np

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell

__all__ = ["PAIRS", "SATURATING", "sequence"]


def sequence_forward(xs: Any, h0: Any, W: Any, U: Any) -> Any:
    hs = [h0]
    for x in xs:
        hs.append(np.tanh(W @ hs[-1] + U @ x))
    return np.array(hs[1:]).reshape(len(xs), *h0.shape), (xs, hs, W, U)


def sequence_backward(dout: Any, cache: Any) -> Any:
    xs, hs, W, U = cache
    dxs, dh, dW, dU = np.zeros_like(xs), np.zeros_like(hs[0]), np.zeros_like(W), np.zeros_like(U)
    for t in reversed(range(len(xs))):
        da = (1 - hs[t + 1] ** 2) * (dh + dout[t])
        dW += da @ hs[t].T
        dU += da @ xs[t].T
        dxs[t] = U.T @ da
        dh = W.T @ da
    return dxs, dh, dW, dU


def relu_forward(xs: Any, h0: Any, W: Any, U: Any) -> Any:
    hs = [h0]
    for x in xs:
        hs.append(np.maximum(W @ hs[-1] + U @ x, 0))
    return hs[-1].copy(), (xs, hs, W, U)


def relu_backward(dout: Any, cache: Any) -> Any:
    xs, hs, W, U = cache
    dxs, dh, dW, dU = np.zeros_like(xs), dout, np.zeros_like(W), np.zeros_like(U)
    for t in reversed(range(len(xs))):
        da = (hs[t + 1] > 0) * dh
        dW += da @ hs[t].T
        dU += da @ xs[t].T
        dxs[t] = U.T @ da
        dh = W.T @ da
    return dxs, dh, dW, dU


def logistic_from_tanh(z: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * z))


def logistic(z: Any) -> Any:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


def lstm_forward(x: Any, h: Any, c: Any, W: Any, R: Any) -> Any:
    i, f, g, o = np.split(W @ x + R @ h, 4)
    i, f, g, o = logistic_from_tanh(i), logistic_from_tanh(f), np.tanh(g), logistic_from_tanh(o)
    c_next = f * c + i * g
    return o * np.tanh(c_next), c_next, (x, h, c, W, R, i, f, g, o, c_next)


def lstm_backward(dh: Any, dc: Any, cache: Any) -> Any:
    x, h, c, W, R, i, f, g, o, c_next = cache
    t = np.tanh(c_next)
    dc = dc + dh * o * (1 - t**2)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * t * o * (1 - o)])
    return W.T @ da, R.T @ da, dc * f, da @ x.T, da @ h.T


def gru_forward(x: Any, h: Any, W: Any, R: Any) -> Any:
    (wr, wz, wn), (ur, uz, un) = np.split(W, 3), np.split(R, 3)
    r, z = logistic(wr @ x + ur @ h), logistic(wz @ x + uz @ h)
    n = np.tanh(wn @ x + un @ (r * h))
    return z * h + (1 - z) * n, (x, h, W, R, r, z, n)


def gru_backward(dout: Any, cache: Any) -> Any:
    x, h, W, R, r, z, n = cache
    ur, uz, un = np.split(R, 3)
    dn = dout * (1 - z) * (1 - n**2)
    drh = un.T @ dn
    dr, dz = drh * h * r * (1 - r), dout * (h - n) * z * (1 - z)
    da = np.concatenate([dr, dz, dn])
    dR = np.concatenate([dr @ h.T, dz @ h.T, dn @ (r * h).T])
    return W.T @ da, dout * z + drh * r + ur.T @ dr + uz.T @ dz, da @ x.T, dR


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def attention_forward(q: Any, k: Any, v: Any) -> Any:
    p = softmax(q @ k.T / q.shape[1] ** 0.5)
    return p @ v, (q, k, v, p)


def attention_backward(dout: Any, cache: Any) -> Any:
    q, k, v, p = cache
    dp = dout @ v.T
    ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / q.shape[1] ** 0.5
    return ds @ k, ds.T @ q, p.T @ dout


def norm_forward(x: Any, gamma: Any, beta: Any) -> Any:
    sigma = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / sigma
    return gamma * x_hat + beta, (x_hat, sigma, gamma)


def norm_backward(dout: Any, cache: Any) -> Any:
    x_hat, sigma, gamma = cache
    d = dout * gamma
    means = d.mean(axis=1, keepdims=True) + x_hat * (d * x_hat).mean(axis=1, keepdims=True)
    return (d - means) / sigma, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def entropy_forward(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    labels = np.arange(len(z)) % z.shape[1]
    return (np.log(e.sum(axis=1)) - (z - z.max(axis=1, keepdims=True))[np.arange(len(z)), labels]).mean(), (p, labels)


def entropy_backward(dout: Any, cache: Any) -> Any:
    p, labels = cache
    dz = p.copy()
    dz[np.arange(len(p)), labels] -= 1
    return dout * dz / len(p)


def log_sum_exp(z: Any) -> Any:
    top = z.max(axis=1)
    return top + np.log(np.exp(z - top[:, None]).sum(axis=1))


def softplus(z: Any) -> Any:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def gauss_forward(x: Any, mean: Any, rho: Any) -> Any:
    sigma = softplus(rho)
    z = (x - mean) / sigma
    return -(z**2 / 2 + np.log(sigma)).sum(axis=0), (z, sigma, rho)


def gauss_backward(dout: Any, cache: Any) -> Any:
    z, sigma, rho = cache
    dx = -dout * z / sigma
    return dx, -dx.sum(axis=0), (dout * (z**2 - 1) * (logistic(rho) / sigma)).sum(axis=0)


def unit_forward(x: Any) -> Any:
    size = np.sqrt((x**2).sum(axis=1, keepdims=True))
    return x / size, (x / size, size)


def unit_backward(dout: Any, cache: Any) -> Any:
    u, size = cache
    return (dout - u * (u * dout).sum(axis=1, keepdims=True)) / size


def dense_forward(x: Any, w: Any, b: Any) -> Any:
    z = x @ w + b
    return np.tanh(z), (x, w, z)


def dense_backward(dout: Any, cache: Any) -> Any:
    x, w, z = cache
    dz = dout / np.cosh(z) ** 2
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)


def spread_forward(x: Any) -> Any:
    return (x**2).mean(axis=1) - x.mean(axis=1) ** 2, (x,)


def spread_backward(dout: Any, cache: Any) -> Any:
    (x,) = cache
    return dout[:, None] * 2 * (x - x.mean(axis=1, keepdims=True)) / x.shape[1]


def elu_backward(dout: Any, x: Any) -> Any:
    return dout * np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))


def solve_forward(A: Any, b: Any) -> Any:
    y = np.linalg.solve(A, b)
    return y, (A, y)


def solve_backward(dout: Any, cache: Any) -> Any:
    A, y = cache
    db = np.linalg.solve(A.T, dout)
    return -db @ y.T, db


STEPS = {"xs": "T m N", "h0": "n N", "W": "n n", "U": "n m"}
sequence = rg.pair(sequence_forward, sequence_backward, inputs=STEPS)
lstm = rg.pair(lstm_forward, lstm_backward, inputs={"x": "m N", "h": "n N", "c": "n N", "W": "4*n m", "R": "4*n n"})
gru = rg.pair(gru_forward, gru_backward, inputs={"x": "m N", "h": "n N", "W": "3*n m", "R": "3*n n"})
dense = rg.pair(dense_forward, dense_backward, inputs={"x": "N d", "w": "d m", "b": "m"})
SATURATING = (rnn_cell, sequence, lstm, gru, dense)
PAIRS = (
    *SATURATING,
    rg.pair(relu_forward, relu_backward, inputs=STEPS, name="relu_sequence"),
    rg.pair(attention_forward, attention_backward, inputs={"q": "N d", "k": "K d", "v": "K e"}),
    rg.pair(norm_forward, norm_backward, inputs={"x": "N d", "gamma": "d", "beta": "d"}, name="layer_norm"),
    rg.pair(entropy_forward, entropy_backward, inputs={"z": "N C"}),
    rg.pair(log_sum_exp, lambda dout, z: dout[:, None] * softmax(z), inputs={"z": "N C"}),
    rg.pair(gauss_forward, gauss_backward, inputs={"x": "N d", "mean": "d", "rho": "d"}),
    rg.pair(unit_forward, unit_backward, inputs={"x": "N d+1"}),
    rg.pair(spread_forward, spread_backward, inputs={"x": "N d"}),
    rg.pair(softplus, lambda dout, z: dout * logistic(z), inputs={"z": "N d"}),
    rg.pair(
        lambda z: 1 / (1 + np.exp(-z)), lambda d, z: d / (2 + np.exp(z) + np.exp(-z)), inputs={"z": "N d"}, name="exp"
    ),
    rg.pair(lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), elu_backward, inputs={"x": "N d"}, name="elu"),
    rg.pair(solve_forward, solve_backward, inputs={"A": "n n", "b": "n k"}),
)
