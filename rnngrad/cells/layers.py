"""Layers without memory, each with its backward pass: affine, embedding, layer norm, dropout.

Examples stand as columns; any axes before the last two are more examples, such as the T steps of a sequence.

    affine         y = W x + b                                 dW = sum dy x^T     db = sum dy     dx = W^T dy
    embedding      y = the rows of E at the indices            dE = sum of dy at each index
    layer norm     y = gain norm(x) + bias                     over the features of each example; see `norm`
    dropout        y = x mask / (1 - rate)                     dx = dy mask / (1 - rate)
"""

import numpy as np

from rnngrad.cells.cell import Array, Gradients
from rnngrad.cells.fit import fitted, whole
from rnngrad.cells.norm import norm, norm_backward
from rnngrad.pair import pair
from rnngrad.spec import Array as Declared

__all__ = [
    "affine",
    "affine_backward",
    "affine_forward",
    "dropout",
    "dropout_backward",
    "dropout_forward",
    "embedding",
    "embedding_backward",
    "embedding_forward",
    "layer_norm",
    "layer_norm_backward",
    "layer_norm_forward",
]


def affine_forward(x: Array, W: Array, b: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return y (..., n, N) for x (..., m, N), W (n, m), b (n, 1), and the cache for `affine_backward`."""
    fitted(AFFINE, {"x": x, "W": W, "b": b})
    return W @ x + b, (x, W)


def affine_backward(dy: Array, cache: tuple[Array, Array]) -> Gradients:
    """Return dx, dW, db from dy (..., n, N)."""
    x, W = cache
    examples = int(np.prod((*dy.shape[:-2], dy.shape[-1])))
    columns = np.moveaxis(dy, -2, 0).reshape(len(W), examples)
    inputs = np.moveaxis(x, -2, 0).reshape(W.shape[1], examples)
    return {"dx": W.T @ dy, "dW": columns @ inputs.T, "db": columns.sum(axis=1, keepdims=True)}


def embedding_forward(indices: Array, E: Array) -> tuple[Array, tuple[Array, Array]]:
    """Return y (..., n, N), the rows of E (v, n) at indices (..., N), and the cache for `embedding_backward`."""
    fitted({"E": "v n"}, {"E": E})
    whole("indices", indices, np.shape(indices), len(E))
    return E[indices].swapaxes(-1, -2).copy(), (indices, E)


def embedding_backward(dy: Array, cache: tuple[Array, Array]) -> Gradients:
    """Return dE from dy (..., n, N)."""
    indices, E = cache
    dE = np.zeros_like(E)
    np.add.at(dE, indices, dy.swapaxes(-1, -2))
    return {"dE": dE}


def layer_norm_forward(x: Array, gain: Array, bias: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Return y for x (..., n, N), gain (n, 1), bias (n, 1), and the cache for `layer_norm_backward`."""
    fitted(LAYER_NORM, {"x": x, "gain": gain, "bias": bias})
    normed, inverse = norm(x, axis=-2)
    return gain * normed + bias, (normed, inverse, gain)


def layer_norm_backward(dy: Array, cache: tuple[Array, Array, Array]) -> Gradients:
    """Return dx, dgain, dbias from dy (..., n, N)."""
    normed, inverse, gain = cache
    examples = (*range(dy.ndim - 2), dy.ndim - 1)
    return {
        "dx": norm_backward(gain * dy, normed, inverse, axis=-2),
        "dgain": (dy * normed).sum(axis=examples)[:, None],
        "dbias": dy.sum(axis=examples)[:, None],
    }


def dropout_forward(x: Array, mask: Array, *, rate: float = 0.5) -> tuple[Array, Array]:
    """Return y for x and a mask of its shape, 0 where it is dropped and 1 elsewhere, and the cache.

    rate: the share of the entries that is dropped on average, 0 <= rate < 1; what is kept is scaled up by it.
    """
    fitted({"x": "..."}, {"x": x})
    whole("mask", mask, x.shape, 2)
    if not 0 <= rate < 1:
        raise ValueError(f"rate={rate!r}, expected 0 <= rate < 1")
    kept = np.multiply(mask, 1 / (1 - rate), dtype=x.real.dtype)
    return x * kept, kept


def dropout_backward(dy: Array, kept: Array) -> Gradients:
    """Return dx."""
    return {"dx": dy * kept}


AFFINE = {"x": "*batch m N", "W": "n m", "b": "n 1"}
LAYER_NORM = {"x": "*batch n N", "gain": "n 1", "bias": "n 1"}

affine = pair(affine_forward, affine_backward, inputs=AFFINE)
embedding = pair(embedding_forward, embedding_backward, inputs={"indices": Declared("*batch N", below="v"), "E": "v n"})
layer_norm = pair(layer_norm_forward, layer_norm_backward, inputs=LAYER_NORM)
dropout = pair(dropout_forward, dropout_backward, inputs={"x": "...", "mask": Declared("...", below=2)})
