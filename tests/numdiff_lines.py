"""What the numdiff tests start from: functions with their exact slopes, lines through a point, a count of calls."""

from dataclasses import replace

import numpy as np

from rnngrad.numdiff.sample import entry_lines


class Counted:
    """A function of a vector as numdiff calls it, returning a vector; counts its calls."""

    def __init__(self, f):
        self.f = f
        self.calls = 0

    def __call__(self, theta):
        self.calls += 1
        return np.atleast_1d(np.asarray(self.f(theta), dtype=np.float64))


def lines_of(f, theta, *, scale=1.0, v=None, sigma=1e-16, group=None, reuse=False):
    """Return the lines along every entry of theta, and the counted function."""
    theta = np.atleast_1d(np.asarray(theta, dtype=np.float64))
    counted = Counted(f)
    with np.errstate(all="ignore"):
        f0 = counted(theta)
    counted.calls = 0
    n = theta.size
    scales = np.broadcast_to(np.asarray(scale, dtype=np.float64), n).copy()
    weights = np.ones(f0.size) if v is None else np.asarray(v, dtype=np.float64)
    lines = entry_lines(counted, theta, weights, f0, np.arange(n), scales, sigma, reuse=reuse)
    return (lines if group is None else replace(lines, group=np.asarray(group))), counted


def parts(theta, *shapes):
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(theta, ends[:-1]), shapes, strict=True)]


def log_softmax(z):
    return z - np.log(np.exp(z).sum(axis=0))


def cell(theta, gain=1.0):
    x, h, U, W, V, b = parts(theta, (2, 2), (3, 2), (3, 2), (3, 3), (2, 3), (3, 1))
    s = np.tanh(gain * (U @ x + W @ h + b))
    return (s * np.array([[1.0, -2.0], [0.5, 3.0], [-1.5, 0.7]])).sum() + np.exp(log_softmax(V @ s))[0].sum()


def unrolled(theta):
    h, W, b = parts(theta, (3, 1), (3, 3), (3, 1))
    for _ in range(5):
        h = np.tanh(W @ h + b)
    return (h * np.array([[1.0], [2.0], [-1.0]])).sum()


def layer_norm(theta):
    centred = theta - theta.mean()
    return (centred / np.sqrt((centred**2).mean() + 1e-5) * np.linspace(-1, 2, theta.size)).sum()


FAMILIES = {  # function, number of parameters, scale of the values
    "cell": (cell, 34, 1.0),
    "saturated cell": (lambda t: cell(t, 8.0), 34, 1.0),
    "cell of small values": (cell, 34, 2.0**-6),
    "unrolled": (unrolled, 15, 1.0),
    "cross-entropy": (lambda t: -log_softmax(t.reshape(4, 3))[[0, 2, 1], [0, 1, 2]].sum(), 12, 3.0),
    "layer norm": (layer_norm, 8, 1.0),
    "product": (np.prod, 8, 2.0),
    "ill-scaled inputs": (lambda t: np.sin(t * 10.0 ** np.arange(6)).sum(), 6, 10.0 ** -np.arange(6)),
    "offset of a million": (lambda t: np.sin(t).sum() + 1e6, 6, 1.0),
    "polynomial": (lambda t: (t**5 - 3 * t**2).sum() + t[0] * t[1] * t[2], 6, 1.5),
    "exponential": (lambda t: np.exp(3 * t).sum(), 6, 1.0),
}


def exact_slope(f, x, d):
    """Return the slopes of f along d by a complex step of 1e-40 in extended precision: nothing subtracted or cut off.

    >>> exact_slope(np.exp, np.zeros(2), np.array([1.0, 2.0]))
    array([1., 2.])
    """
    point = x.astype(np.clongdouble) + d.astype(np.longdouble) * np.clongdouble(1e-40j)
    return np.asarray(np.asarray(f(point)).imag / np.longdouble(1e-40), dtype=np.float64)
