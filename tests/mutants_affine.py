"""Wrong backward passes of affine layers: y = x w + b, and relu(x w + b)."""

from typing import Any

import numpy as np
from planted import Adding, Family, Stale, at, fitting, planter

import rnngrad as rg

ALL = ("x", "w", "b")
INPUTS = {"x": "N d", "w": "d m", "b": "m"}
RULES = {
    "da": lambda q: q.dy,
    "x": lambda q: q.da @ q.w_in.T,
    "w": lambda q: q.x_in.T @ q.da,
    "b": lambda q: q.da.sum(axis=0),
}
CASES = (
    rg.Case(N=4, d=3, m=2, seed=3),
    rg.Case(N=4, d=3, m=2, seed=4),
    rg.Case(N=2, d=1, m=1, seed=0),
    rg.Case(N=3, d=3, m=3, seed=4),
    rg.Case(N=4, d=3, m=2, seed=5, scale=4.0),
)


def forward(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, {}


def relu_forward(x: Any, w: Any, b: Any) -> Any:
    a = x @ w + b
    return np.where(a > 0, a, 0.0), {"a": a}


affine = Family("affine", forward, INPUTS, ("y",), RULES, cases=CASES)
dense = Family("dense", relu_forward, INPUTS, ("y",), RULES | {"da": lambda q: q.dy * (q.a > 0)}, cases=CASES)

mutant = planter(affine)
layer = planter(dense)

MUTANTS = [
    mutant(
        "dx_w_not_transposed", "x", "while w is symmetric", x=lambda q: fitting(lambda: q.da @ q.w_in, q.da @ q.w_in.T)
    ),
    mutant("dw_transposed", "w", "the transpose of the true gradient", w=lambda q: q.da.T @ q.x_in),
    mutant("dw_transposed_and_reshaped", "w", "transpose", w=lambda q: (q.da.T @ q.x_in).reshape(q.w_in.shape)),
    mutant("dw_averaged", "w", "1/N of the true gradient", w=lambda q: q.x_in.T @ q.da / len(q.x_in)),
    mutant("db_averaged", "b", "1/N of the true gradient", b=lambda q: q.da.mean(axis=0)),
    mutant("db_not_summed", "b", "not summed over N", b=lambda q: q.da),
    mutant("db_kept", "b", "laid out in another shape", b=lambda q: q.da.sum(axis=0, keepdims=True)),
    mutant("db_summed_over_all", "b", "summed over m", b=lambda q: np.full_like(q.b_in, q.da.sum())),
    mutant("db_of_the_first_example", "b", "at all but the first index along N", b=lambda q: q.da[0].copy()),
    mutant(
        "db_over_the_outputs",
        "b",
        "wrong only where N = m",
        b=lambda q: fitting(lambda: q.da.sum(axis=1), q.da.sum(axis=0)),
    ),
    mutant(
        "dw_with_weight_decay",
        "w",
        "does not vanish where the cotangent is zero",
        w=lambda q: q.x_in.T @ q.da + 0.1 * q.w_in,
    ),
    mutant("dw_without_the_last_example", "w", "at the last index along N", w=lambda q: q.x_in[:-1].T @ q.da[:-1]),
    mutant(
        "dx_divided_by_the_root_of_d",
        "x",
        "1/sqrt(d) of the true gradient",
        x=lambda q: q.da @ q.w_in.T / np.sqrt(q.x_in.shape[1]),
    ),
    mutant("dx_doubled", "x", "2 times the true gradient", x=lambda q: 2 * q.da @ q.w_in.T),
    mutant("dx_off_by_a_percent", "x", "1.01 times the true gradient", x=lambda q: 1.01 * q.da @ q.w_in.T),
    mutant("dx_sign", "x", "with its sign turned", x=lambda q: -q.da @ q.w_in.T),
    mutant(
        "dw_diagonal_zero",
        "w",
        "on the diagonal, where it is zero",
        w=lambda q: at(
            q.x_in.T @ q.da, np.eye(*q.w_in.shape, dtype=bool) & (q.w_in.shape[0] == q.w_in.shape[1]), lambda d: 0 * d
        ),
    ),
    mutant("dw_upper_half", "w", "below the diagonal, where it is zero", w=lambda q: np.triu(q.x_in.T @ q.da)),
    mutant(
        "dw_norm_capped",
        "w",
        "clipping",
        w=lambda q: (lambda dw: dw * min(1.0, 0.1 / np.linalg.norm(dw)))(q.x_in.T @ q.da),
    ),
    mutant("cotangent_of_ones", ALL, "right for a cotangent of ones", da=lambda q: np.ones_like(q.dy)),
    mutant("cotangent_squared", ALL, "not linear in the cotangent", da=lambda q: q.dy * abs(q.dy)),
    mutant(
        "dw_in_half_precision",
        "w",
        "rounding to float16",
        w=lambda q: (q.x_in.T @ q.da).astype(np.float16).astype(float),
    ),
    mutant("dw_stale", "w", "a stale value|what an earlier call saw", w=Stale(lambda q: q.x_in.T @ q.da)),
    mutant(
        "db_adds_up_over_calls", "b", "backward adds to what it returned before", b=Adding(lambda q: q.da.sum(axis=0))
    ),
    layer("mask_missing", ALL, "the derivative of relu at y missing", da=lambda q: q.dy),
    layer("mask_of_the_cotangent", ALL, "not linear in the cotangent", da=lambda q: q.dy * (q.dy > 0)),
    layer("mask_turned", ALL, "", da=lambda q: q.dy * (q.a <= 0)),
    layer("mask_as_a_factor", ALL, "a factor of a too many", da=lambda q: q.dy * np.where(q.a > 0, q.a, 0)),
    layer(
        "mask_leaks", ALL, "relu at y missing, or wrong where that is 0", da=lambda q: q.dy * np.where(q.a > 0, 1, 0.01)
    ),
]
