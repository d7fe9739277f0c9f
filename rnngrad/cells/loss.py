"""Losses, each with its backward pass.

    cross-entropy   L = sum -log p at the labels, p = softmax(logits) over the classes     dlogits = p - onehot(labels)
    squared error   L = sum (prediction - target)^2                                dprediction = 2 (prediction - target)

Sums run over all examples, or over those with mask 1; with average=True they are divided by how many those are, and
that of the squared error by the number of entries. Without any example the loss is 0.
"""

from functools import partial

import numpy as np

from rnngrad.cells.cell import Array, Gradients
from rnngrad.cells.fit import fitted, whole
from rnngrad.pair import pair
from rnngrad.spec import Array as Declared

__all__ = [
    "cross_entropy",
    "cross_entropy_backward",
    "cross_entropy_forward",
    "cross_entropy_masked",
    "cross_entropy_sum",
    "squared_error",
    "squared_error_backward",
    "squared_error_forward",
    "squared_error_sum",
]

Cache = tuple[Array, Array, Array]


def cross_entropy_forward(
    logits: Array, labels: Array, mask: Array | None = None, *, average: bool = True
) -> tuple[Array, Cache]:
    """Return the loss, a scalar, of logits (..., k, N) and labels (..., N), and the cache.

    labels are integers from 0 to k - 1, also where the mask (..., N), 0 or 1, is 0.
    """
    k = fitted({"logits": "*batch k N"}, {"logits": logits})["k"]
    examples = (*logits.shape[:-2], logits.shape[-1])
    whole("labels", labels, examples, int(k))  # type: ignore[arg-type]  # a plain dim is never a tuple
    if mask is not None:
        whole("mask", mask, examples, 2)
    shifted = logits - logits.max(axis=-2, keepdims=True, initial=-np.inf)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-2, keepdims=True))
    weight = np.ones(examples, logits.real.dtype) if mask is None else mask.astype(logits.real.dtype)
    if average:
        weight /= max(weight.sum(), 1)
    at_labels = np.take_along_axis(logs, labels[..., None, :], axis=-2)[..., 0, :]
    return -np.sum(at_labels * weight), (logs, labels, weight)


def cross_entropy_backward(dloss: Array, cache: Cache) -> Gradients:
    """Return dlogits."""
    logs, labels, weight = cache
    dlogits = np.exp(logs)
    at = labels[..., None, :]
    np.put_along_axis(dlogits, at, np.take_along_axis(dlogits, at, axis=-2) - 1, axis=-2)
    dlogits *= dloss * weight[..., None, :]
    return {"dlogits": dlogits}


def squared_error_forward(
    prediction: Array, target: Array, *, average: bool = True
) -> tuple[Array, tuple[Array, float]]:
    """Return the loss, a scalar, of a prediction and a target of one shape, and the cache."""
    fitted({"prediction": "...", "target": "..."}, {"prediction": prediction, "target": target})
    difference = prediction - target
    weight = 1 / max(difference.size, 1) if average else 1.0
    return np.sum(difference * difference) * weight, (difference, weight)


def squared_error_backward(dloss: Array, cache: tuple[Array, float]) -> Gradients:
    """Return dprediction and dtarget."""
    difference, weight = cache
    dprediction = 2 * weight * dloss * difference
    return {"dprediction": dprediction, "dtarget": -dprediction}


LABELS = Declared("*batch N", below="k")
LOGITS = {"logits": "*batch k N", "labels": LABELS}
ERROR = {"prediction": "...", "target": "..."}

cross_entropy = pair(cross_entropy_forward, cross_entropy_backward, inputs=LOGITS)
cross_entropy_sum = pair(
    partial(cross_entropy_forward, average=False), cross_entropy_backward, inputs=LOGITS, name="cross_entropy_sum"
)
cross_entropy_masked = pair(
    cross_entropy_forward,
    cross_entropy_backward,
    inputs=LOGITS | {"mask": Declared("*batch N", below=2)},
    name="cross_entropy_masked",
)
squared_error = pair(squared_error_forward, squared_error_backward, inputs=ERROR)
squared_error_sum = pair(
    partial(squared_error_forward, average=False), squared_error_backward, inputs=ERROR, name="squared_error_sum"
)
