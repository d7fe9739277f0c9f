"""Wrong backward passes of softmax with cross-entropy, the mean over the examples, and of softmax and its logarithm."""

from typing import Any

import numpy as np
from planted import Family, fitting, planter, softmax

import rnngrad as rg


def forward(logits: Any, targets: Any) -> Any:
    p = softmax(logits, axis=1)
    return -np.sum(targets * np.log(p)) / len(logits), {"p": p}


loss = Family(
    "loss",
    forward,
    {"logits": "N k", "targets": "N k"},
    ("loss",),
    rules={
        "mass": lambda q: q.targets_in.sum(axis=1, keepdims=True),
        "apart": lambda q: q.p * q.mass - q.targets_in,
        "logits": lambda q: q.dloss * q.apart / len(q.p),
    },
    wrt=("logits",),
    cases=(
        rg.Case(N=4, k=3, seed=3),
        rg.Case(N=2, k=3, seed=2),
        rg.Case(N=3, k=3, seed=4),
        rg.Case(N=3, k=4, seed=4, fills={"targets": "one-hot"}),
    ),
)


def softmax_forward(z: Any) -> Any:
    p = softmax(z, axis=1)
    return p, np.log(p), {"p": p}


heads = Family(
    "softmax",
    softmax_forward,
    {"z": "N k"},
    ("p", "logp"),
    rules={
        "of_p": lambda q: q.p * (q.dp - (q.dp * q.p).sum(axis=1, keepdims=True)),
        "of_logp": lambda q: q.dlogp - q.p * q.dlogp.sum(axis=1, keepdims=True),
        "z": lambda q: q.of_p + q.of_logp,
    },
    cases=(rg.Case(N=4, k=3, seed=3), rg.Case(N=2, k=3, seed=2), rg.Case(N=3, k=3, seed=4)),
)

mutant = planter(loss)
head = planter(heads)

MUTANTS = [
    mutant("sign", "logits", "with its sign turned", apart=lambda q: q.targets_in - q.p * q.mass),
    mutant("summed", "logits", "N times the true gradient", logits=lambda q: q.dloss * q.apart),
    mutant("averaged_twice", "logits", "1/N of the true gradient", logits=lambda q: q.dloss * q.apart / len(q.p) ** 2),
    mutant(
        "averaged_over_classes_too", "logits", "1/k of the true gradient", logits=lambda q: q.dloss * q.apart / q.p.size
    ),
    mutant(
        "averaged_over_classes", "logits", "N/k of the true gradient", logits=lambda q: q.dloss * q.apart / q.p.shape[1]
    ),
    mutant("targets_forgotten", "logits", "a multiple of targets added", apart=lambda q: q.p * q.mass),
    mutant("probabilities_forgotten", "logits", "a missing or wrong term", apart=lambda q: -q.targets_in),
    mutant("targets_taken_for_one_hot", "logits", "along k a multiple of", apart=lambda q: q.p - q.targets_in),
    mutant(
        "cotangent_ignored",
        "logits",
        "it stays the same when that is doubled (right for a cotangent of ones",
        logits=lambda q: q.apart / len(q.p),
    ),
    mutant("gradient_of_the_likelihood", "logits", "", apart=lambda q: q.p * (q.p * q.mass - q.targets_in)),
    mutant(
        "softmax_over_the_examples", "logits", "", apart=lambda q: softmax(q.logits_in, axis=0) * q.mass - q.targets_in
    ),
    mutant(
        "transposed",
        "logits",
        "the transpose of the true gradient",
        logits=lambda q: fitting(lambda: (q.dloss * q.apart / len(q.p)).T, q.dloss * q.apart / len(q.p)),
    ),
    mutant(
        "first_example_only",
        "logits",
        "at all but the first index along N, where it is zero",
        logits=lambda q: q.dloss * q.apart / len(q.p) * (np.arange(len(q.p)) == 0)[:, None],
    ),
    mutant("flattened", "logits", "flattened", logits=lambda q: (q.dloss * q.apart / len(q.p)).ravel()),
    mutant(
        "clipped_to_a_hundredth", "logits", "clip", logits=lambda q: np.clip(q.dloss * q.apart / len(q.p), -0.01, 0.01)
    ),
    head(
        "diagonal_only",
        "z",
        "only the diagonal of the Jacobian of the softmax p",
        of_p=lambda q: q.p * (1 - q.p) * q.dp,
    ),
    head(
        "without_the_mean",
        "z",
        "the mean missing, or wrong, in the Jacobian of the softmax p",
        of_p=lambda q: q.p * q.dp,
    ),
    head("jacobian_missing", "z", "the whole Jacobian of the softmax p missing", of_p=lambda q: q.dp),
    head(
        "mean_over_the_examples",
        "z",
        "of the softmax p taken over axis 0",
        of_p=lambda q: q.p * (q.dp - (q.dp * q.p).sum(axis=0)),
    ),
    head(
        "log_without_the_sum",
        "z",
        "the sum missing, or wrong, in the Jacobian of the log-softmax logp",
        of_logp=lambda q: q.dlogp,
    ),
    head(
        "log_mean_for_the_sum",
        "z",
        "comes with the cotangent of logp alone",
        of_logp=lambda q: q.dlogp - q.p * q.dlogp.mean(axis=1, keepdims=True),
    ),
    head("log_path_dropped", "z", "nothing coming from the cotangent of logp", of_logp=lambda q: 0 * q.p),
    head("p_path_dropped", "z", "nothing coming from the cotangent of p", of_p=lambda q: 0 * q.p),
    head(
        "log_sign",
        "z",
        "comes with the cotangent of logp alone",
        of_logp=lambda q: -q.dlogp + q.p * q.dlogp.sum(axis=1, keepdims=True),
    ),
]
