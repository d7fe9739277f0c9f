"""Wrong backward passes of an LSTM cell; the gates i, f, o, g are the blocks of 4 n rows.

i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);  g = tanh(z_g);  z = W x + R h + b
c' = f c + i g;  h' = o tanh(c')
"""

from typing import Any

import numpy as np
from planted import Family, planter, rows, sigmoid

import rnngrad as rg

WEIGHTS = ("W", "R", "b")
BELOW = ("x", "h", *WEIGHTS)  # all that lies under the gates
ALL = ("x", "h", "c", *WEIGHTS)


def forward(x: Any, h: Any, c: Any, W: Any, R: Any, b: Any) -> Any:
    z = W @ x + R @ h + b
    i, f, o = np.split(sigmoid(z[: 3 * len(h)]), 3)
    g = np.tanh(z[3 * len(h) :])
    c_next = f * c + i * g
    tc = np.tanh(c_next)
    return o * tc, c_next, {"i": i, "f": f, "o": o, "g": g, "tc": tc}


lstm = Family(
    "lstm",
    forward,
    {"x": "m N", "h": "n N", "c": "n N", "W": "4*n m", "R": "4*n n", "b": "4*n 1"},
    ("h_next", "c_next"),
    rules={
        "dc": lambda q: q.dc_next + q.dh_next * q.o * (1 - q.tc**2),
        "di": lambda q: q.dc * q.g * q.i * (1 - q.i),
        "df": lambda q: q.dc * q.c_in * q.f * (1 - q.f),
        "do": lambda q: q.dh_next * q.tc * q.o * (1 - q.o),
        "dg": lambda q: q.dc * q.i * (1 - q.g**2),
        "dz": lambda q: np.concatenate([q.di, q.df, q.do, q.dg]),
        "x": lambda q: q.W_in.T @ q.dz,
        "h": lambda q: q.R_in.T @ q.dz,
        "c": lambda q: q.dc * q.f,
        "W": lambda q: q.dz @ q.x_in.T,
        "R": lambda q: q.dz @ q.h_in.T,
        "b": lambda q: q.dz.sum(axis=1, keepdims=True),
    },
    cases=(
        rg.Case(m=1, N=3, n=2, seed=3),
        rg.Case(m=1, N=2, n=2, seed=0),
        rg.Case(m=3, N=3, n=3, seed=4),
    ),
)

mutant = planter(lstm)

MUTANTS = [
    # the paths of the cell state
    mutant(
        "cell_path_ignored",
        ALL,
        "nothing coming from the cotangent of c_next",
        dc=lambda q: q.dh_next * q.o * (1 - q.tc**2),
    ),
    mutant("hidden_path_into_the_cell_missing", ALL, "h_next", dc=lambda q: q.dc_next),
    mutant("dc_tanh_missing", ALL, "the derivative of tanh at tc missing", dc=lambda q: q.dc_next + q.dh_next * q.o),
    mutant(
        "dc_tanh_twice",
        ALL,
        "the derivative of tanh at tc applied twice",
        dc=lambda q: q.dc_next + q.dh_next * q.o * (1 - q.tc**2) ** 2,
    ),
    mutant(
        "dc_tanh_at_the_activation",
        ALL,
        "at the activation tc",
        dc=lambda q: q.dc_next + q.dh_next * q.o * (1 - np.tanh(q.tc) ** 2),
    ),
    mutant(
        "dc_without_the_output_gate", ALL, "a factor of o missing", dc=lambda q: q.dc_next + q.dh_next * (1 - q.tc**2)
    ),
    mutant("dc_prev_without_the_forget_gate", "c", "a factor of f missing", c=lambda q: q.dc),
    mutant("dc_prev_through_the_input_gate", "c", "a factor of i in the place of f", c=lambda q: q.dc * q.i),
    mutant("dc_prev_zero", "c", "zero: the gradient is missing", c=lambda q: 0 * q.c_in),
    mutant(
        "dc_prev_without_the_hidden_path",
        "c",
        "nothing coming from the cotangent of h_next",
        c=lambda q: q.dc_next * q.f,
    ),
    # the gates
    mutant("input_gate_without_derivative", BELOW, "the derivative of sigmoid at i missing", di=lambda q: q.dc * q.g),
    mutant(
        "forget_gate_without_derivative", BELOW, "the derivative of sigmoid at f missing", df=lambda q: q.dc * q.c_in
    ),
    mutant(
        "output_gate_without_derivative", BELOW, "the derivative of sigmoid at o missing", do=lambda q: q.dh_next * q.tc
    ),
    mutant("candidate_without_derivative", BELOW, "the derivative of tanh at g missing", dg=lambda q: q.dc * q.i),
    mutant(
        "candidate_derivative_of_the_sigmoid",
        BELOW,
        "g(1 - g) in the place of the derivative of tanh",
        dg=lambda q: q.dc * q.i * q.g * (1 - q.g),
    ),
    mutant(
        "forget_gate_sign",
        BELOW,
        "in block 1 of the 4 along 4*n, where it is of the other sign",
        df=lambda q: -q.dc * q.c_in * q.f * (1 - q.f),
    ),
    mutant("output_gate_missing", BELOW, "in block 2 of the 4 along 4*n, where it is zero", do=lambda q: 0 * q.o),
    mutant(
        "input_gate_doubled",
        BELOW,
        "in block 0 of the 4 along 4*n, where it is 2 times",
        di=lambda q: 2 * q.dc * q.g * q.i * (1 - q.i),
    ),
    mutant(
        "forget_gate_from_the_new_cell",
        BELOW,
        "a factor of tc in the place of c",
        df=lambda q: q.dc * q.tc * q.f * (1 - q.f),
    ),
    mutant(
        "gates_stacked_in_another_order",
        BELOW,
        "blocks 1 and 2 of 4*n swapped",
        dz=lambda q: np.concatenate([q.di, q.do, q.df, q.dg]),
    ),
    mutant(
        "dW_blocks_swapped",
        "W",
        "blocks 0 and 3 of 4*n swapped",
        W=lambda q: np.concatenate([q.dg, q.df, q.do, q.di]) @ q.x_in.T,
    ),
    mutant(
        "db_last_block_zero",
        "b",
        "in block 3 of the 4 along 4*n, where it is zero",
        b=lambda q: rows(q.dz.sum(axis=1, keepdims=True), 3, lambda part: 0 * part),
    ),
    # the sums
    mutant("db_averaged", "b", "1/N of the true gradient", b=lambda q: q.dz.mean(axis=1, keepdims=True)),
    mutant(
        "weights_averaged",
        WEIGHTS,
        "1/N of the true gradient",
        W=lambda q: q.dz @ q.x_in.T / q.x_in.shape[1],
        R=lambda q: q.dz @ q.h_in.T / q.x_in.shape[1],
        b=lambda q: q.dz.mean(axis=1, keepdims=True),
    ),
    mutant("dR_from_the_new_state", "R", "in the place of", R=lambda q: q.dz @ (q.o * q.tc).T),
    mutant("dh_of_three_gates", "h", "", h=lambda q: q.R_in[: 3 * len(q.h_in)].T @ q.dz[: 3 * len(q.h_in)]),
    mutant("dx_negative", "x", "with its sign turned", x=lambda q: -q.W_in.T @ q.dz),
]
