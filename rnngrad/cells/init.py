"""Parameters to begin with, drawn by a numpy.random.Generator.

Matrices from inputs are uniform with Glorot and Bengio's (2010) variance 2 / (m + n) for each gate, matrices from
states orthogonal (Saxe, McClelland and Ganguli, 2014) for each gate, biases 0, but those of an LSTM's forget gate 1
(Jozefowicz, Zaremba and Sutskever, 2015), gains 1.
"""

from typing import Any

import numpy as np

from rnngrad.cells.cell import Array

__all__ = ["affine_parameters", "glorot", "gru_parameters", "lstm_parameters", "orthogonal", "rnn_parameters"]

Parameters = dict[str, Array]


def glorot(rng: np.random.Generator, n: int, m: int, dtype: Any = np.float64) -> Array:
    """Return an (n, m) matrix, uniform with variance 2 / (n + m)."""
    bound = np.sqrt(6 / max(n + m, 1))
    return rng.uniform(-bound, bound, (n, m)).astype(dtype)


def orthogonal(rng: np.random.Generator, n: int, dtype: Any = np.float64) -> Array:
    """Return an orthogonal (n, n) matrix, uniformly distributed (Mezzadri, 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    return np.asarray(q * np.sign(np.diag(r)), dtype)


def rnn_parameters(
    rng: np.random.Generator, m: int, n: int, *, k: int | None = None, normed: bool = False, dtype: Any = np.float64
) -> Parameters:
    """Return U, W, ba of a vanilla cell; with k classes also V, by of its head, normed also gU, gW."""
    found = gated(rng, 1, m, n, normed, dtype)
    if k is not None:
        found |= {"V": glorot(rng, k, n, dtype), "by": np.zeros((k, 1), dtype)}
    return found


def lstm_parameters(
    rng: np.random.Generator, m: int, n: int, *, normed: bool = False, dtype: Any = np.float64
) -> Parameters:
    """Return U, W, ba of an LSTM; normed also gU, gW."""
    found = gated(rng, 4, m, n, normed, dtype)
    found["ba"][n : 2 * n] = 1
    return found


def gru_parameters(
    rng: np.random.Generator, m: int, n: int, *, reset: str = "after", normed: bool = False, dtype: Any = np.float64
) -> Parameters:
    """Return U, W, ba of a GRU, and bw with reset="after"; normed also gU, gW."""
    found = gated(rng, 3, m, n, normed, dtype)
    return found | ({"bw": np.zeros((n, 1), dtype)} if reset == "after" else {})


def affine_parameters(rng: np.random.Generator, m: int, n: int, dtype: Any = np.float64) -> Parameters:
    """Return W, b of an affine layer from m to n features."""
    return {"W": glorot(rng, n, m, dtype), "b": np.zeros((n, 1), dtype)}


def gated(rng: np.random.Generator, g: int, m: int, n: int, normed: bool, dtype: Any) -> Parameters:
    """Return U, W, ba for g gates, and their gains."""
    found = {
        "U": np.concatenate([glorot(rng, n, m, dtype) for _ in range(g)]),
        "W": np.concatenate([orthogonal(rng, n, dtype) for _ in range(g)]),
        "ba": np.zeros((g * n, 1), dtype),
    }
    return found | ({"gU": np.ones((g * n, 1), dtype), "gW": np.ones((g * n, 1), dtype)} if normed else {})
