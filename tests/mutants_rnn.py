"""Wrong backward passes of the RNN cell, each a correct one with a single realistic error."""

from typing import Any

import numpy as np
from planted import Family, Stale, at, fitting, planter, softmax

import rnngrad as rg
from rnngrad.cells.rnn import SHAPES, rnn_cell_forward

STATE = ("x_t", "s_prev", "U", "W", "ba")
HEAD = ("V", "by")
ALL = STATE + HEAD


def forward(x_t: Any, s_prev: Any, parameters: Any) -> Any:
    s_next, out_pred, _ = rnn_cell_forward(x_t, s_prev, parameters)
    return s_next, out_pred, {"s": s_next, "h": s_prev, "x": x_t, "N": x_t.shape[1]}


RULES = {
    "p": lambda q: softmax(q.V_in @ q.s + q.by_in),
    "dz": lambda q: q.p * (q.dout_pred - (q.dout_pred * q.p).sum(axis=0, keepdims=True)),  # at the logits
    "V": lambda q: q.dz @ q.s.T,
    "by": lambda q: q.dz.sum(axis=1, keepdims=True),
    "ds": lambda q: q.ds_next + q.V_in.T @ q.dz,
    "da": lambda q: (1 - q.s**2) * q.ds,  # at the preactivation
    "x_t": lambda q: q.U_in.T @ q.da,
    "s_prev": lambda q: q.W_in.T @ q.da,
    "U": lambda q: q.da @ q.x.T,
    "W": lambda q: q.da @ q.h.T,
    "ba": lambda q: q.da.sum(axis=1, keepdims=True),
}

cell = Family(
    "rnn_cell",
    forward,
    SHAPES,
    ("s_next", "out_pred"),
    RULES,
    cases=(
        rg.Case(m=3, n=2, k=4, N=5, seed=2),
        rg.Case(m=3, n=2, k=4, N=5, seed=3),
        rg.Case(m=1, n=2, k=3, N=2, seed=0),
        rg.Case(m=3, n=3, k=3, N=3, seed=4),
        rg.Case(m=4, n=2, k=2, N=3, seed=6, scale=2.0),
    ),
)

mutant = planter(cell)

MUTANTS = [
    # the derivative of tanh
    mutant(
        "derivative_one_minus_s",
        STATE,
        "1 - s_next in the place of the derivative of tanh",
        da=lambda q: (1 - q.s) * q.ds,
    ),
    mutant("derivative_missing", STATE, "the derivative of tanh at s_next missing", da=lambda q: q.ds),
    mutant(
        "derivative_twice",
        STATE,
        "the derivative of tanh at s_next applied twice",
        da=lambda q: (1 - q.s**2) ** 2 * q.ds,
    ),
    mutant(
        "derivative_at_the_preactivation",
        STATE,
        "of the preactivation as if that were s_next",
        da=lambda q: (1 - (q.U_in @ q.x + q.W_in @ q.h + q.ba_in) ** 2) * q.ds,
    ),
    mutant(
        "derivative_at_s_prev",
        STATE,
        "s_prev equals s_next: one in the place of the other",
        da=lambda q: (1 - q.h**2) * q.ds,
    ),
    mutant(
        "derivative_of_the_sigmoid",
        STATE,
        "s_next(1 - s_next) in the place of the derivative of tanh",
        da=lambda q: q.s * (1 - q.s) * q.ds,
    ),
    mutant("derivative_times_tanh", STATE, "a factor of s_next too many", da=lambda q: (1 - q.s**2) * q.s * q.ds),
    mutant("derivative_plus_eps", STATE, "cosine 1.0000, norm ratio 1", da=lambda q: (1 - q.s**2 + 1e-7) * q.ds),
    # the wrong matrix, the wrong way round
    mutant("s_prev_W_not_transposed", "s_prev", "right while W is symmetric", s_prev=lambda q: q.W_in @ q.da),
    mutant(
        "s_prev_through_U",
        "s_prev",
        "wrong only where m = n",
        s_prev=lambda q: fitting(lambda: q.U_in.T @ q.da, q.W_in.T @ q.da),
    ),
    mutant(
        "x_t_through_W",
        "x_t",
        "wrong only where m = n",
        x_t=lambda q: fitting(lambda: q.W_in.T @ q.da, q.U_in.T @ q.da),
    ),
    mutant(
        "x_t_U_not_transposed",
        "x_t",
        "right while U is symmetric",
        x_t=lambda q: fitting(lambda: q.U_in @ q.da, q.U_in.T @ q.da),
    ),
    mutant(
        "x_t_without_the_derivative", "x_t", "the derivative of tanh at s_next missing", x_t=lambda q: q.U_in.T @ q.ds
    ),
    mutant("dW_transposed", "W", "the transpose of the true gradient", W=lambda q: q.h @ q.da.T),
    mutant("dW_from_s_next", "W", "s_next in the place of s_prev", W=lambda q: q.da @ q.s.T),
    mutant("dW_from_x_t", "W", "the true gradient of U", W=lambda q: fitting(lambda: q.da @ q.x.T, q.da @ q.h.T)),
    mutant("dU_from_s_prev", "U", "the true gradient of W", U=lambda q: fitting(lambda: q.da @ q.h.T, q.da @ q.x.T)),
    mutant(
        "dU_transposed",
        "U",
        "the transpose of the true gradient",
        U=lambda q: fitting(lambda: q.x @ q.da.T, q.da @ q.x.T),
    ),
    mutant(
        "dU_and_dW_swapped",
        ("U", "W"),
        "results swapped",
        found=lambda q: (
            {name: getattr(q, name) for name in ALL} | ({"U": q.W, "W": q.U} if q.U.shape == q.W.shape else {})
        ),
    ),
    # the examples
    mutant(
        "dba_averaged",
        "ba",
        "1/N of the true gradient: averaged over N where the loss sums",
        ba=lambda q: q.da.mean(axis=1, keepdims=True),
    ),
    mutant("dba_not_summed", "ba", "not summed over N", ba=lambda q: q.da),
    mutant(
        "dba_summed_over_the_units",
        "ba",
        "wrong only where N = n",
        ba=lambda q: fitting(lambda: q.da.sum(axis=0)[:, None], q.da.sum(axis=1, keepdims=True)),
    ),
    mutant("dba_keepdims_dropped", "ba", "flattened: the numbers are right", ba=lambda q: q.da.sum(axis=1)),
    mutant("dW_averaged", "W", "1/N of the true gradient", W=lambda q: q.da @ q.h.T / q.N),
    mutant(
        "everything_averaged",
        ALL,
        "1/N of the true gradient",
        found=lambda q: {name: getattr(q, name) / q.N for name in ALL},
    ),
    mutant(
        "dU_of_the_first_example",
        "U",
        "nothing coming from the cotangent of s_next at all but the first index along N",
        U=lambda q: q.da[:, :1] @ q.x[:, :1].T,
    ),
    mutant(
        "ds_prev_rolled_over_the_examples",
        "s_prev",
        "rolled on by one along N",
        s_prev=lambda q: q.W_in.T @ np.roll(q.da, 1, axis=1),
    ),
    # the output head
    mutant("head_path_dropped", STATE, "nothing coming from the cotangent of out_pred", ds=lambda q: q.ds_next),
    mutant("state_path_dropped", STATE, "nothing coming from the cotangent of s_next", ds=lambda q: q.V_in.T @ q.dz),
    mutant(
        "head_path_V_not_transposed",
        STATE,
        "right while V is symmetric",
        ds=lambda q: q.ds_next + fitting(lambda: q.V_in @ q.dz, q.V_in.T @ q.dz),
    ),
    mutant(
        "softmax_diagonal_only",
        ALL,
        "only the diagonal of the Jacobian of the softmax out_pred",
        dz=lambda q: q.p * (1 - q.p) * q.dout_pred,
    ),
    mutant(
        "softmax_without_the_mean",
        ALL,
        "the mean missing, or wrong, in the Jacobian of the softmax out_pred",
        dz=lambda q: q.p * q.dout_pred,
    ),
    mutant(
        "softmax_as_cross_entropy",
        ALL,
        "a term that does not vanish where the cotangent is zero",
        dz=lambda q: q.p - q.dout_pred,
    ),
    mutant(
        "softmax_mean_over_the_examples",
        ALL,
        "the mean in the Jacobian of the softmax out_pred taken over axis 1",
        dz=lambda q: q.p * (q.dout_pred - (q.dout_pred * q.p).sum(axis=1, keepdims=True)),
    ),
    mutant("softmax_over_the_examples", ALL, "seen at N = 1", p=lambda q: softmax((q.V_in @ q.s + q.by_in).T).T),
    mutant("dV_from_s_prev", "V", "s_prev in the place of s_next", V=lambda q: q.dz @ q.h.T),
    mutant(
        "dV_last_row_zero",
        "V",
        "at the last index along k, where it is zero",
        V=lambda q: at(q.dz @ q.s.T, (-1,), lambda row: 0 * row),
    ),
    mutant("dby_averaged", "by", "1/N of the true gradient", by=lambda q: q.dz.mean(axis=1, keepdims=True)),
    mutant(
        "dby_off_by_a_class",
        "by",
        "rolled on by one along k",
        by=lambda q: np.roll(q.dz.sum(axis=1, keepdims=True), 1, axis=0),
    ),
    # the cotangent
    mutant(
        "cotangent_of_the_state_ignored",
        STATE,
        "right for a cotangent of ones",
        ds=lambda q: np.ones_like(q.s) + q.V_in.T @ q.dz,
    ),
    mutant("cotangent_of_the_prediction_ignored", ALL, "cotangent", dz=lambda q: q.p * (1 - q.p.sum(axis=0))),
    mutant(
        "cotangent_clipped",
        STATE,
        "clipping: it is right for small cotangents",
        ds=lambda q: np.clip(q.ds_next, -1, 1) + q.V_in.T @ q.dz,
    ),
    mutant("gradient_clipped", "W", "clipped to ±0.5", W=lambda q: np.clip(q.da @ q.h.T, -0.5, 0.5)),
    # size and sign
    mutant("dU_sign", "U", "with its sign turned", U=lambda q: -q.da @ q.x.T),
    mutant("dx_t_doubled", "x_t", "2 times the true gradient", x_t=lambda q: 2 * q.U_in.T @ q.da),
    mutant("dW_absolute", "W", "the absolute value of the true gradient", W=lambda q: abs(q.da @ q.h.T)),
    mutant("dU_rows_reversed", "U", "reversed along n", U=lambda q: (q.da @ q.x.T)[::-1]),
    mutant(
        "dW_one_entry_off",
        "W",
        "does not vanish where the cotangent is zero",
        W=lambda q: at(q.da @ q.h.T, (0, -1), lambda entry: entry + 0.01),
    ),
    mutant(
        "dW_one_entry_off_by_a_millionth",
        "W",
        "right but",
        W=lambda q: at(q.da @ q.h.T, (-1, 0), lambda e: e * (1 + 1e-6)),
    ),
    mutant(
        "dba_last_row_zero",
        "ba",
        "at the last index along n, where it is zero",
        ba=lambda q: at(q.da.sum(axis=1, keepdims=True), (-1,), lambda row: 0 * row),
    ),
    mutant("dW_rounded_to_single", "W", "rounding to float32", W=lambda q: (q.da @ q.h.T).astype(np.float32)),
    mutant("dU_rounded_to_six_places", "U", "rounding to 6 decimals", U=lambda q: np.round(q.da @ q.x.T, 6)),
    # not an array of its shape at all
    mutant("dW_flattened", "W", "flattened", W=lambda q: (q.da @ q.h.T).ravel()),
    mutant("dW_None", "W", "returned None for dW", W=lambda _: None),
    mutant("dW_list", "W", "returned a list for dW", W=lambda q: (q.da @ q.h.T).tolist()),
    mutant("dW_integer", "W", "an array of dtype int64 for dW", W=lambda q: (q.da @ q.h.T).astype(int)),
    mutant("dx_t_nan_in_an_entry", "x_t", "returned nan", x_t=lambda q: at(q.U_in.T @ q.da, (0, 0), lambda _: np.nan)),
    mutant(
        "dW_missing",
        "W",
        "returned no gradient for W",
        True,
        found=lambda q: {name: getattr(q, name) for name in ALL if name != "W"},
    ),
    # state kept between calls
    mutant("da_stale", STATE, "ignoring its cotangent|stale", da=Stale(RULES["da"])),
]
