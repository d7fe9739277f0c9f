"""Wrong backward passes of a GRU cell; the gates r, z and the candidate n are the blocks of 3 n rows.

r, z = sigmoid(a_r), sigmoid(a_z);  a = W x + b + R h, of the candidate W x + b + r (R h)
n = tanh(a_n);  h' = (1 - z) n + z h
"""

from typing import Any

import numpy as np
from planted import Family, planter, rows, sigmoid

import rnngrad as rg

BELOW = ("x", "h", "W", "R", "b")
ALL = BELOW


def forward(x: Any, h: Any, W: Any, R: Any, b: Any) -> Any:
    below, across = W @ x + b, R @ h
    size = len(h)
    r, z = np.split(sigmoid(below[: 2 * size] + across[: 2 * size]), 2)
    inner = across[2 * size :]
    n = np.tanh(below[2 * size :] + r * inner)
    return (1 - z) * n + z * h, {"r": r, "z": z, "n": n, "inner": inner}


gru = Family(
    "gru",
    forward,
    {"x": "m N", "h": "n N", "W": "3*n m", "R": "3*n n", "b": "3*n 1"},
    ("h_next",),
    rules={
        "dn": lambda q: q.dh_next * (1 - q.z) * (1 - q.n**2),
        "dz": lambda q: q.dh_next * (q.h_in - q.n) * q.z * (1 - q.z),
        "dr": lambda q: q.dn * q.inner * q.r * (1 - q.r),
        "below": lambda q: np.concatenate([q.dr, q.dz, q.dn]),
        "across": lambda q: np.concatenate([q.dr, q.dz, q.dn * q.r]),
        "x": lambda q: q.W_in.T @ q.below,
        "h": lambda q: q.R_in.T @ q.across + q.dh_next * q.z,
        "W": lambda q: q.below @ q.x_in.T,
        "R": lambda q: q.across @ q.h_in.T,
        "b": lambda q: q.below.sum(axis=1, keepdims=True),
    },
    cases=(
        rg.Case(m=1, N=3, n=2, seed=3),
        rg.Case(m=1, N=2, n=2, seed=0),
        rg.Case(m=3, N=3, n=3, seed=4),
    ),
)

mutant = planter(gru)

MUTANTS = [
    mutant(
        "candidate_without_derivative", ALL, "the derivative of tanh at n missing", dn=lambda q: q.dh_next * (1 - q.z)
    ),
    mutant(
        "candidate_derivative_twice",
        ALL,
        "the derivative of tanh at n applied twice",
        dn=lambda q: q.dh_next * (1 - q.z) * (1 - q.n**2) ** 2,
    ),
    mutant("candidate_through_z", ALL, "z in the place of 1 - z", dn=lambda q: q.dh_next * q.z * (1 - q.n**2)),
    mutant(
        "update_gate_without_derivative",
        ALL,
        "the derivative of sigmoid at z missing",
        dz=lambda q: q.dh_next * (q.h_in - q.n),
    ),
    mutant(
        "update_gate_sign",
        ALL,
        "in block 1 of the 3 along 3*n, where it is of the other sign",
        dz=lambda q: q.dh_next * (q.n - q.h_in) * q.z * (1 - q.z),
    ),
    mutant("update_gate_without_the_candidate", ALL, "block 1 of", dz=lambda q: q.dh_next * q.h_in * q.z * (1 - q.z)),
    mutant("reset_gate_without_derivative", ALL, "the derivative of sigmoid at r missing", dr=lambda q: q.dn * q.inner),
    mutant("reset_gate_missing", ALL, "in block 0 of the 3 along 3*n, where it is zero", dr=lambda q: 0 * q.r),
    mutant(
        "reset_gate_through_the_state",
        ALL,
        "a factor of h in the place of inner",
        dr=lambda q: q.dn * q.h_in * q.r * (1 - q.r),
    ),
    mutant("candidate_across_without_the_reset_gate", ("h", "R"), "a factor of r missing", across=lambda q: q.below),
    mutant("direct_path_dropped", "h", "-1 times the cotangent of h_next times z", h=lambda q: q.R_in.T @ q.across),
    mutant(
        "direct_path_through_one_minus_z",
        "h",
        "a direct path is missing or wrong",
        h=lambda q: q.R_in.T @ q.across + q.dh_next * (1 - q.z),
    ),
    mutant("only_the_direct_path", "h", "right while R is zero", h=lambda q: q.dh_next * q.z),
    mutant("dh_R_from_below", "h", "right while R is zero", h=lambda q: q.R_in.T @ q.below + q.dh_next * q.z),
    mutant(
        "blocks_swapped",
        ("x", "W", "b"),
        "blocks 0 and 1 of 3*n swapped",
        below=lambda q: np.concatenate([q.dz, q.dr, q.dn]),
    ),
    mutant(
        "dR_candidate_block_doubled",
        "R",
        "in block 2 of the 3 along 3*n, where it is 2 times",
        R=lambda q: rows(q.across @ q.h_in.T, 2, lambda part: 2 * part, 3),
    ),
    mutant("dR_from_the_new_state", "R", "in the place of", R=lambda q: q.across @ ((1 - q.z) * q.n + q.z * q.h_in).T),
    mutant("db_averaged", "b", "1/N of the true gradient", b=lambda q: q.below.mean(axis=1, keepdims=True)),
    mutant("db_flat", "b", "flattened", b=lambda q: q.below.sum(axis=1)),
    mutant("db_not_summed", "b", "not summed over N", b=lambda q: q.below),
    mutant("dx_reversed", "x", "reversed along m", x=lambda q: (q.W_in.T @ q.below)[::-1]),
    mutant("dx_halved", "x", "1/2 of the true gradient", x=lambda q: 0.5 * q.W_in.T @ q.below),
]
