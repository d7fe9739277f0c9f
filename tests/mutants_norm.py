"""Wrong backward passes of layer norm: y = gamma (x - mean) / sqrt(var + eps) + beta over the features."""

from typing import Any

import numpy as np
from planted import Family, fitting, planter

import rnngrad as rg

EPS = 1e-3


def forward(x: Any, gamma: Any, beta: Any) -> Any:
    centred = x - x.mean(axis=1, keepdims=True)
    std = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPS)
    return gamma * centred / std + beta, {"centred": centred, "std": std, "hat": centred / std}


norm = Family(
    "layer_norm",
    forward,
    {"x": "N d", "gamma": "d", "beta": "d"},
    ("y",),
    rules={
        "dhat": lambda q: q.dy * q.gamma_in,
        "mean": lambda q: q.dhat.mean(axis=1, keepdims=True),
        "along": lambda q: (q.dhat * q.hat).mean(axis=1, keepdims=True),
        "x": lambda q: (q.dhat - q.mean - q.hat * q.along) / q.std,
        "gamma": lambda q: (q.dy * q.hat).sum(axis=0),
        "beta": lambda q: q.dy.sum(axis=0),
    },
    cases=(rg.Case(N=3, d=4, seed=3), rg.Case(N=2, d=3, seed=0), rg.Case(N=4, d=4, seed=4)),
)

mutant = planter(norm)

MUTANTS = [
    mutant("term_through_the_mean_missing", "x", "the same at every index along d", mean=lambda q: 0),
    mutant("term_through_the_variance_missing", "x", "along d a multiple of", along=lambda q: 0),
    mutant("both_terms_missing", "x", "along d a constant and a multiple of", mean=lambda q: 0, along=lambda q: 0),
    mutant(
        "sum_for_the_mean", "x", "the same at every index along d", mean=lambda q: q.dhat.sum(axis=1, keepdims=True)
    ),
    mutant(
        "variance_term_summed",
        "x",
        "along d a multiple of",
        along=lambda q: (q.dhat * q.hat).sum(axis=1, keepdims=True),
    ),
    mutant(
        "variance_term_sign",
        "x",
        "along d a multiple of",
        along=lambda q: -(q.dhat * q.hat).mean(axis=1, keepdims=True),
    ),
    mutant("gamma_missing", "x", "a factor of gamma missing", dhat=lambda q: q.dy),
    mutant(
        "gamma_missing_in_the_means",
        "x",
        "right while gamma is constant",
        mean=lambda q: q.gamma_in * q.dy.mean(axis=1, keepdims=True),
        along=lambda q: q.gamma_in * (q.dy * q.hat).mean(axis=1, keepdims=True),
    ),
    mutant("std_missing", "x", "a factor of std too many", x=lambda q: q.dhat - q.mean - q.hat * q.along),
    mutant("std_twice", "x", "a factor of std missing", x=lambda q: (q.dhat - q.mean - q.hat * q.along) / q.std**2),
    mutant(
        "variance_for_std",
        "x",
        "along d a multiple of",
        along=lambda q: (q.dhat * q.hat).mean(axis=1, keepdims=True) / q.std,
    ),
    mutant(
        "eps_left_out",
        "x",
        "an eps left out",
        x=lambda q: (lambda std, hat: (q.dhat - q.mean - hat * (q.dhat * hat).mean(axis=1, keepdims=True)) / std)(
            q.centred.std(axis=1, keepdims=True), q.centred / q.centred.std(axis=1, keepdims=True)
        ),
    ),
    mutant(
        "eps_left_out_of_gamma",
        "gamma",
        "an eps left out",
        gamma=lambda q: (q.dy * q.centred / q.centred.std(axis=1, keepdims=True)).sum(axis=0),
    ),
    mutant(
        "variance_of_a_sample",
        "x",
        "along d a multiple of",
        along=lambda q: (q.dhat * q.hat).sum(axis=1, keepdims=True) / (q.hat.shape[1] - 1),
    ),
    mutant(
        "axis_of_the_examples",
        "x",
        "",
        mean=lambda q: q.dhat.mean(axis=0),
        along=lambda q: (q.dhat * q.hat).mean(axis=0),
    ),
    mutant("dgamma_averaged", "gamma", "1/N of the true gradient", gamma=lambda q: (q.dy * q.hat).mean(axis=0)),
    mutant("dgamma_not_summed", "gamma", "not summed over N", gamma=lambda q: q.dy * q.hat),
    mutant(
        "dgamma_over_the_features",
        "gamma",
        "wrong only where N = d",
        gamma=lambda q: fitting(lambda: (q.dy * q.hat).sum(axis=1), (q.dy * q.hat).sum(axis=0)),
    ),
    mutant("dgamma_from_x", "gamma", "a factor of x in the place of hat", gamma=lambda q: (q.dy * q.x_in).sum(axis=0)),
    mutant(
        "dgamma_not_normalised", "gamma", "a factor of std too many", gamma=lambda q: (q.dy * q.centred).sum(axis=0)
    ),
    mutant(
        "dgamma_and_dbeta_swapped",
        ("gamma", "beta"),
        "results swapped",
        found=lambda q: {"x": q.x, "gamma": q.beta, "beta": q.gamma},
    ),
    mutant("dbeta_averaged", "beta", "1/N of the true gradient", beta=lambda q: q.dy.mean(axis=0)),
    mutant("dbeta_kept", "beta", "laid out in another shape", beta=lambda q: q.dy.sum(axis=0, keepdims=True)),
    mutant("dbeta_one_number", "beta", "summed over d", beta=lambda q: np.full_like(q.beta_in, q.dy.sum())),
    mutant("dbeta_of_the_last_example", "beta", "at all but the last index along N", beta=lambda q: q.dy[-1].copy()),
]
