"""Backward passes written twice: as one derives them, and reordered, as one rewrites them."""

import numpy as np

import rnngrad as rg


def sigmoid(z):
    return (1 + np.tanh(z / 2)) / 2


# ---- an LSTM over time -------------------------------------------------------------------------------------------


def lstm_forward(xs, h0, c0, W, R, b):
    n, h, c, steps, hs = len(h0), h0, c0, [], []
    for x in xs:
        z = W @ x + R @ h + b
        i, f, o = sigmoid(z[:n]), sigmoid(z[n : 2 * n]), sigmoid(z[2 * n : 3 * n])
        g, prev = np.tanh(z[3 * n :]), (h, c)
        c = f * c + i * g
        h = o * np.tanh(c)
        steps.append((x, *prev, i, f, o, g, c))
        hs.append(h)
    return np.stack(hs), (steps, W, R, b)


def lstm_backward(dhs, cache):
    steps, W, R, b = cache
    dW, dR, db = np.zeros_like(W), np.zeros_like(R), np.zeros_like(b)
    dh, dc, dxs = np.zeros_like(dhs[0]), np.zeros_like(dhs[0]), []
    for dout, (x, h, c_prev, i, f, o, g, c) in zip(dhs[::-1], steps[::-1], strict=True):
        dh, tc = dh + dout, np.tanh(c)
        dc = dc + dh * o * (1 - tc**2)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dh * tc * o * (1 - o), dc * i * (1 - g**2)]
        )
        dW, dR, db = dW + dz @ x.T, dR + dz @ h.T, db + dz.sum(axis=1, keepdims=True)
        dxs.append(W.T @ dz)
        dh, dc = R.T @ dz, dc * f
    return np.stack(dxs[::-1]), dh, dc, dW, dR, db


def lstm_reordered(dhs, cache):
    steps, W, R, _ = cache
    dh, dc = np.zeros_like(dhs[0]), np.zeros_like(dhs[0])
    dzs = []
    for t in reversed(range(len(steps))):
        _, _, c_prev, i, f, o, g, c = steps[t]
        dh, tc = dhs[t] + dh, np.tanh(c)
        dc = (1 - tc) * (1 + tc) * (o * dh) + dc
        dz = [
            (i - i * i) * (g * dc),
            (f - f * f) * (dc * c_prev),
            (o - o * o) * (tc * dh),
            (1 - g) * (1 + g) * (i * dc),
        ]
        dzs.append(np.concatenate(dz))
        dh, dc = (dzs[-1].T @ R).T, f * dc
    every = np.stack(dzs[::-1])
    xs, hs = np.stack([step[0] for step in steps]), np.stack([step[1] for step in steps])
    dW, dR = np.einsum("tgb,tmb->gm", every, xs), np.einsum("tgb,tnb->gn", every, hs)
    return np.einsum("gm,tgb->tmb", W, every), dh, dc, dW, dR, every.sum(axis=(0, 2))[:, None]


# ---- a vanilla RNN cell ------------------------------------------------------------------------------------------


def rnn_forward(x, h, U, W, b):
    s = np.tanh(U @ x + W @ h + b)
    return s, (x, h, U, W, s)


def rnn_backward(ds, cache):
    x, h, U, W, s = cache
    da = (1 - s**2) * ds
    return U.T @ da, W.T @ da, da @ x.T, da @ h.T, da.sum(axis=1, keepdims=True)


def rnn_reordered(ds, cache):
    x, h, U, W, s = cache
    da = ds - ds * s * s
    joined = np.hstack([U, W]).T @ da
    weights = da @ np.vstack([x, h]).T
    return (
        joined[: len(x)],
        joined[len(x) :],
        weights[:, : len(x)],
        weights[:, len(x) :],
        da @ np.ones((da.shape[1], 1)),
    )


# ---- layer norm, softmax cross-entropy, affine -------------------------------------------------------------------


def norm_forward(x, gamma, beta):
    mean, var = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
    inverse = 1 / np.sqrt(var + 1e-5)
    hat = (x - mean) * inverse
    return gamma * hat + beta, (hat, inverse, gamma)


def norm_backward(dout, cache):
    hat, inverse, gamma = cache
    dhat, d = dout * gamma, hat.shape[1]
    inner = dhat * d - dhat.sum(axis=1, keepdims=True) - hat * (dhat * hat).sum(axis=1, keepdims=True)
    return inverse / d * inner, (dout * hat).sum(axis=0), dout.sum(axis=0)


def norm_reordered(dout, cache):
    hat, inverse, gamma = cache
    dhat = gamma * dout
    dx = (dhat - dhat.mean(axis=1, keepdims=True) - hat * (hat * dhat).mean(axis=1, keepdims=True)) * inverse
    return dx, np.einsum("nd,nd->d", hat, dout), np.ones(len(dout)) @ dout


def loss_forward(z, t):
    shifted = z - z.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(t * logs).sum() / len(z), (logs, t)


def loss_backward(dout, cache):
    logs, t = cache
    p, n = np.exp(logs), len(t)
    return dout * (p * t.sum(axis=1, keepdims=True) - t) / n, -dout * logs / n


def loss_reordered(dout, cache):
    logs, t = cache
    scale = dout / len(t)
    e = np.exp(logs - logs.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return scale * (t.sum(axis=1, keepdims=True) * p) - scale * t, logs * -scale


def affine_forward(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def affine_reordered(dout, cache):
    x, w = cache
    return (
        (w @ dout.T).T,
        sum(np.outer(one, other) for one, other in zip(x[::-1], dout[::-1], strict=True)),
        np.ones(len(dout)) @ dout,
    )


FAMILIES = {
    "lstm": (
        lstm_forward,
        lstm_backward,
        lstm_reordered,
        {"xs": "T m N", "h0": "n N", "c0": "n N", "W": "4*n m", "R": "4*n n", "b": "4*n 1"},
    ),
    "rnn": (rnn_forward, rnn_backward, rnn_reordered, {"x": "m N", "h": "n N", "U": "n m", "W": "n n", "b": "n 1"}),
    "norm": (norm_forward, norm_backward, norm_reordered, {"x": "N d", "gamma": "d", "beta": "d"}),
    "loss": (loss_forward, loss_backward, loss_reordered, {"z": "N c", "t": "N c"}),
    "affine": (affine_forward, affine_backward, affine_reordered, {"x": "N d", "w": "d m", "b": "m"}),
}
PAIRS = {
    name: (rg.pair(f, b, inputs=inputs, name=name), rg.pair(f, r, inputs=inputs, name=f"{name}_reordered"))
    for name, (f, b, r, inputs) in FAMILIES.items()
}
