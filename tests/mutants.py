"""Wrong backward passes of the RNN cell, each a correct one with a single realistic error.

`RULES` is a correct backward pass, one line for each quantity, computed in this order. A mutant replaces one line; it
names the gradients that come out wrong. An error that only fits some shapes (`fitting`) leaves the others right, as the
real ones do that hide until two dims are equal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from rnngrad.cells.rnn import RETURNS, SHAPES, rnn_cell_forward, softmax
from rnngrad.pair import Pair, pair

STATE = ("x_t", "s_prev", "U", "W", "ba")
HEAD = ("V", "by")
ALL = STATE + HEAD

RULES: dict[str, Callable[[SimpleNamespace], Any]] = {
    "p": lambda q: softmax(q.V_in @ q.s + q.by_in),
    "dz": lambda q: q.p * (q.do - (q.do * q.p).sum(axis=0, keepdims=True)),  # at the logits
    "V": lambda q: q.dz @ q.s.T,
    "by": lambda q: q.dz.sum(axis=1, keepdims=True),
    "ds": lambda q: q.ds_next + q.V_in.T @ q.dz,
    "da": lambda q: (1 - q.s**2) * q.ds,  # at the preactivation
    "x_t": lambda q: q.U_in.T @ q.da,
    "s_prev": lambda q: q.W_in.T @ q.da,
    "U": lambda q: q.da @ q.x.T,
    "W": lambda q: q.da @ q.h.T,
    "ba": lambda q: q.da.sum(axis=1, keepdims=True),
    "found": lambda q: {name: getattr(q, name) for name in ALL},
}


@dataclass(frozen=True)
class Mutant:
    """A wrong line, and the gradients that it spoils; ``raises`` where the check cannot even be made."""

    name: str
    wrong: tuple[str, ...]
    rules: dict[str, Callable[[SimpleNamespace], Any]]
    raises: bool = False

    def pair(self) -> Pair:
        """Return the pair of the cell's forward pass and this backward pass."""
        return pair_of(RULES | self.rules, self.name)


def pair_of(rules: dict[str, Callable[[SimpleNamespace], Any]], name: str) -> Pair:
    """Pair the cell's forward pass with the backward pass that some rules make."""

    def backward(ds_next: Any, do: Any, cache: Any) -> Any:
        s, h, x, parameters = cache
        given = {key + "_in": array for key, array in parameters.items()}
        q = SimpleNamespace(ds_next=ds_next, do=do, s=s, h=h, x=x, N=x.shape[1], **given)
        for quantity, rule in rules.items():
            setattr(q, quantity, rule(q))
        return q.found

    return pair(rnn_cell_forward, backward, inputs=SHAPES, returns=RETURNS, name=name)


correct = pair_of(RULES, "correct")


def fitting(wrong: Callable[[], Any], right: Any) -> Any:
    """Return the wrong array where it can be computed and has the right shape, else the right one."""
    try:
        array = wrong()
    except ValueError:
        return right
    return array if array.shape == right.shape else right


def at(array: Any, index: tuple[int, ...], change: Callable[[Any], Any]) -> Any:
    """Return an array with one entry changed."""
    out = array.copy()
    out[index] = change(out[index])
    return out


class Stale:
    """Return what was right at the first call of these shapes."""

    def __init__(self, right: Callable[[SimpleNamespace], Any]) -> None:
        self.right = right
        self.first: dict[tuple[int, ...], Any] = {}

    def __call__(self, q: SimpleNamespace) -> Any:
        value = self.right(q)
        return self.first.setdefault(value.shape, value)


def mutant(name: str, wrong: str | tuple[str, ...], raises: bool = False, /, **rules: Any) -> Mutant:
    """Write a row of the table."""
    return Mutant(name, (wrong,) if isinstance(wrong, str) else wrong, rules, raises)


MUTANTS = [
    # the derivative of tanh
    mutant("derivative_one_minus_s", STATE, da=lambda q: (1 - q.s) * q.ds),
    mutant("derivative_missing", STATE, da=lambda q: q.ds),
    mutant("derivative_twice", STATE, da=lambda q: (1 - q.s**2) ** 2 * q.ds),
    mutant(
        "derivative_at_the_preactivation",
        STATE,
        da=lambda q: (1 - (q.U_in @ q.x + q.W_in @ q.h + q.ba_in) ** 2) * q.ds,
    ),
    mutant("derivative_at_s_prev", STATE, da=lambda q: (1 - q.h**2) * q.ds),
    mutant("derivative_of_the_sigmoid", STATE, da=lambda q: q.s * (1 - q.s) * q.ds),
    mutant("derivative_times_tanh", STATE, da=lambda q: (1 - q.s**2) * q.s * q.ds),
    mutant("derivative_plus_eps", STATE, da=lambda q: (1 - q.s**2 + 1e-7) * q.ds),
    # the wrong matrix, the wrong way round
    mutant("s_prev_W_not_transposed", "s_prev", s_prev=lambda q: q.W_in @ q.da),
    mutant("s_prev_through_U", "s_prev", s_prev=lambda q: fitting(lambda: q.U_in.T @ q.da, q.W_in.T @ q.da)),
    mutant("x_t_through_W", "x_t", x_t=lambda q: fitting(lambda: q.W_in.T @ q.da, q.U_in.T @ q.da)),
    mutant("x_t_U_not_transposed", "x_t", x_t=lambda q: fitting(lambda: q.U_in @ q.da, q.U_in.T @ q.da)),
    mutant("x_t_without_the_derivative", "x_t", x_t=lambda q: q.U_in.T @ q.ds),
    mutant("dW_transposed", "W", W=lambda q: q.h @ q.da.T),
    mutant("dW_from_s_next", "W", W=lambda q: q.da @ q.s.T),
    mutant("dW_from_x_t", "W", W=lambda q: fitting(lambda: q.da @ q.x.T, q.da @ q.h.T)),
    mutant("dU_from_s_prev", "U", U=lambda q: fitting(lambda: q.da @ q.h.T, q.da @ q.x.T)),
    mutant("dU_transposed", "U", U=lambda q: fitting(lambda: q.x @ q.da.T, q.da @ q.x.T)),
    mutant(
        "dU_and_dW_swapped",
        ("U", "W"),
        found=lambda q: (
            {name: getattr(q, name) for name in ALL} | ({"U": q.W, "W": q.U} if q.U.shape == q.W.shape else {})
        ),
    ),
    # the examples
    mutant("dba_averaged", "ba", ba=lambda q: q.da.mean(axis=1, keepdims=True)),
    mutant("dba_not_summed", "ba", ba=lambda q: q.da),
    mutant(
        "dba_summed_over_the_units",
        "ba",
        ba=lambda q: fitting(lambda: q.da.sum(axis=0)[:, None], q.da.sum(axis=1, keepdims=True)),
    ),
    mutant("dba_keepdims_dropped", "ba", ba=lambda q: q.da.sum(axis=1)),
    mutant("dW_averaged", "W", W=lambda q: q.da @ q.h.T / q.N),
    mutant("everything_averaged", ALL, found=lambda q: {name: getattr(q, name) / q.N for name in ALL}),
    mutant("dU_of_the_first_example", "U", U=lambda q: q.da[:, :1] @ q.x[:, :1].T),
    mutant("ds_prev_rolled_over_the_examples", "s_prev", s_prev=lambda q: q.W_in.T @ np.roll(q.da, 1, axis=1)),
    # the output head
    mutant("head_path_dropped", STATE, ds=lambda q: q.ds_next),
    mutant("state_path_dropped", STATE, ds=lambda q: q.V_in.T @ q.dz),
    mutant(
        "head_path_V_not_transposed",
        STATE,
        ds=lambda q: q.ds_next + fitting(lambda: q.V_in @ q.dz, q.V_in.T @ q.dz),
    ),
    mutant("softmax_diagonal_only", ALL, dz=lambda q: q.p * (1 - q.p) * q.do),
    mutant("softmax_without_the_mean", ALL, dz=lambda q: q.p * q.do),
    mutant("softmax_as_cross_entropy", ALL, dz=lambda q: q.p - q.do),
    mutant("softmax_mean_over_the_examples", ALL, dz=lambda q: q.p * (q.do - (q.do * q.p).sum(axis=1, keepdims=True))),
    mutant("softmax_over_the_examples", ALL, p=lambda q: softmax((q.V_in @ q.s + q.by_in).T).T),
    mutant("dV_from_s_prev", "V", V=lambda q: q.dz @ q.h.T),
    mutant("dV_last_row_zero", "V", V=lambda q: at(q.dz @ q.s.T, (-1,), lambda row: 0 * row)),
    mutant("dby_averaged", "by", by=lambda q: q.dz.mean(axis=1, keepdims=True)),
    mutant("dby_off_by_a_class", "by", by=lambda q: np.roll(q.dz.sum(axis=1, keepdims=True), 1, axis=0)),
    # the cotangent
    mutant("cotangent_of_the_state_ignored", STATE, ds=lambda q: np.ones_like(q.s) + q.V_in.T @ q.dz),
    mutant("cotangent_of_the_prediction_ignored", ALL, dz=lambda q: q.p * (1 - q.p.sum(axis=0))),
    mutant("cotangent_clipped", STATE, ds=lambda q: np.clip(q.ds_next, -1, 1) + q.V_in.T @ q.dz),
    mutant("gradient_clipped", "W", W=lambda q: np.clip(q.da @ q.h.T, -0.5, 0.5)),
    # size and sign
    mutant("dU_sign", "U", U=lambda q: -q.da @ q.x.T),
    mutant("dx_t_doubled", "x_t", x_t=lambda q: 2 * q.U_in.T @ q.da),
    mutant("dW_absolute", "W", W=lambda q: abs(q.da @ q.h.T)),
    mutant("dU_rows_reversed", "U", U=lambda q: (q.da @ q.x.T)[::-1]),
    mutant("dW_one_entry_off", "W", W=lambda q: at(q.da @ q.h.T, (0, -1), lambda entry: entry + 0.01)),
    mutant("dW_one_entry_off_by_a_millionth", "W", W=lambda q: at(q.da @ q.h.T, (-1, 0), lambda e: e * (1 + 1e-6))),
    mutant("dba_last_row_zero", "ba", ba=lambda q: at(q.da.sum(axis=1, keepdims=True), (-1,), lambda row: 0 * row)),
    mutant("dW_rounded_to_single", "W", W=lambda q: (q.da @ q.h.T).astype(np.float32)),
    mutant("dU_rounded_to_six_places", "U", U=lambda q: np.round(q.da @ q.x.T, 6)),
    # not an array of its shape at all
    mutant("dW_flattened", "W", W=lambda q: (q.da @ q.h.T).ravel()),
    mutant("dW_None", "W", W=lambda _: None),
    mutant("dW_list", "W", W=lambda q: (q.da @ q.h.T).tolist()),
    mutant("dW_integer", "W", W=lambda q: (q.da @ q.h.T).astype(int)),
    mutant("dx_t_nan_in_an_entry", "x_t", x_t=lambda q: at(q.U_in.T @ q.da, (0, 0), lambda _: np.nan)),
    mutant("dW_missing", "W", True, found=lambda q: {name: getattr(q, name) for name in ALL if name != "W"}),
    # state kept between calls
    mutant("da_stale", STATE, da=Stale(RULES["da"])),
]
