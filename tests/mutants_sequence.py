"""Wrong backward passes of an RNN over time: h_t = tanh(U x_t + W h_{t-1} + b), all states are outputs."""

from typing import Any

import numpy as np
from planted import Adding, Family, at, fitting, planter

import rnngrad as rg

ALL = ("xs", "h0", "U", "W", "b")


def forward(xs: Any, h0: Any, U: Any, W: Any, b: Any) -> Any:
    states = [h0]
    for x in xs:
        states.append(np.tanh(U @ x + W @ states[-1] + b))
    return np.stack(states[1:]), {"hs": np.stack(states[1:]), "prev": np.stack(states[:-1])}


sequence = Family(
    "sequence",
    forward,
    {"xs": "T m N", "h0": "n N", "U": "n m", "W": "n n", "b": "n 1"},
    ("hs",),
    rules={},
    carried={"back": "h0"},
    step={
        "dh": lambda q: q.dhs[q.t] + q.back,
        "da": lambda q: (1 - q.hs[q.t] ** 2) * q.dh,
        "x": lambda q: q.U_in.T @ q.da,
        "U": lambda q: q.U + q.da @ q.xs_in[q.t].T,
        "W": lambda q: q.W + q.da @ q.prev[q.t].T,
        "b": lambda q: q.b + q.da.sum(axis=1, keepdims=True),
        "back": lambda q: q.W_in.T @ q.da,
    },
    after={"xs": lambda q: np.stack(q.log["x"][::-1]), "h0": lambda q: q.back},
    cases=(
        rg.Case(T=4, m=1, N=3, n=2, seed=3),
        rg.Case(T=4, m=1, N=3, n=2, seed=4),
        rg.Case(T=3, m=2, N=2, n=2, seed=0),
        rg.Case(T=5, m=3, N=3, n=3, seed=4, scale=0.5),
    ),
)


def truncated(steps: int) -> Any:
    """Return a rule for all gradients that follows every cotangent only so many steps back."""

    def found(q: Any) -> dict[str, Any]:
        out = {name: np.zeros_like(getattr(q, name + "_in")) for name in ALL}
        for t in range(len(q.dhs)):
            dh = q.dhs[t]
            for s in range(t, max(t - steps, 0) - 1, -1):
                da = (1 - q.hs[s] ** 2) * dh
                dh = q.W_in.T @ da
                out["xs"][s] += q.U_in.T @ da
                out["U"] += da @ q.xs_in[s].T
                out["W"] += da @ q.prev[s].T
                out["b"] += da.sum(axis=1, keepdims=True)
            if t <= steps:
                out["h0"] += dh
        return out

    return found


mutant = planter(sequence)

MUTANTS = [
    # what flows back
    mutant("nothing_flows_back", ALL, "is missing", back=lambda q: np.zeros_like(q.h0_in)),
    mutant("truncated_after_1", ALL, "truncated after 1 step", found=truncated(1)),
    mutant("truncated_after_2", ALL, "truncated after 2 steps", found=truncated(2)),
    mutant("back_through_W_not_transposed", ALL, "while W is symmetric", back=lambda q: q.W_in @ q.da),
    mutant(
        "back_without_the_derivative",
        ALL,
        "recurrent term|derivative of tanh at hs missing",
        back=lambda q: q.W_in.T @ q.dh,
    ),
    mutant("back_doubled", ALL, "recurrent term|seen at T = 1", back=lambda q: 2 * q.W_in.T @ q.da),
    mutant("back_with_the_sign_turned", ALL, "recurrent term|seen at T = 1", back=lambda q: -q.W_in.T @ q.da),
    mutant(
        "back_overwrites_the_cotangent",
        ALL,
        "hs at all but the last index along T",
        dh=lambda q: q.back if q.t < len(q.dhs) - 1 else q.dhs[q.t],
    ),
    mutant(
        "last_step_only",
        ALL,
        "hs at all but the last index along T",
        dh=lambda q: q.back + q.dhs[q.t] * (q.t == len(q.dhs) - 1),
    ),
    # the derivative of tanh
    mutant("derivative_missing", ALL, "the derivative of tanh at hs missing, seen at T = 1", da=lambda q: q.dh),
    mutant(
        "derivative_twice",
        ALL,
        "the derivative of tanh at hs applied twice, seen at T = 1",
        da=lambda q: (1 - q.hs[q.t] ** 2) ** 2 * q.dh,
    ),
    mutant(
        "derivative_at_the_activation",
        ALL,
        "at the activation hs instead of the preactivation, seen at T = 1",
        da=lambda q: (1 - np.tanh(q.hs[q.t]) ** 2) * q.dh,
    ),
    mutant(
        "derivative_of_the_sigmoid",
        ALL,
        "in the place of the derivative of tanh, seen at T = 1",
        da=lambda q: q.hs[q.t] * (1 - q.hs[q.t]) * q.dh,
    ),
    # off by one
    mutant("dW_from_the_same_step", "W", "off by one in time", W=lambda q: q.W + q.da @ q.hs[q.t].T),
    mutant("dW_wraps_at_the_first_step", "W", "as index -1 does at step 0", W=lambda q: q.W + q.da @ q.hs[q.t - 1].T),
    mutant(
        "dW_without_the_initial_state",
        "W",
        "right while h0 is zero",
        W=lambda q: q.W + (q.da @ q.prev[q.t].T) * (q.t > 0),
    ),
    mutant(
        "dU_from_the_next_step", "U", "off by one in time", U=lambda q: q.U + q.da @ q.xs_in[(q.t + 1) % len(q.xs_in)].T
    ),
    mutant("dxs_rolled", "xs", "rolled on by one along T", xs=lambda q: np.roll(np.stack(q.log["x"][::-1]), 1, axis=0)),
    mutant("dxs_shifted", "xs", "moved back by one along T", xs=lambda q: np.stack([*q.log["x"][::-1][1:], 0 * q.x])),
    mutant("dxs_not_turned_round", "xs", "reversed along T", xs=lambda q: np.stack(q.log["x"])),
    mutant("dh0_before_the_weights", "h0", "", h0=lambda q: q.dh),
    # sums over time
    mutant("db_of_the_first_step_only", "b", "right whenever T = 1", b=lambda q: q.da.sum(axis=1, keepdims=True)),
    mutant("dW_of_the_first_step_only", "W", "right whenever T = 1", W=lambda q: q.da @ q.prev[q.t].T),
    mutant(
        "db_averaged_over_time",
        "b",
        "1/T of the true gradient",
        b=lambda q: q.b + q.da.sum(axis=1, keepdims=True) / len(q.dhs),
    ),
    mutant(
        "dU_averaged_over_time_and_examples",
        "U",
        "1/(T*N) of the true gradient",
        U=lambda q: q.U + q.da @ q.xs_in[q.t].T / len(q.dhs) / q.da.shape[1],
    ),
    mutant(
        "dxs_first_step_zero",
        "xs",
        "at the first index along T, where it is zero",
        xs=lambda q: at(np.stack(q.log["x"][::-1]), 0, lambda x: 0 * x),
    ),
    mutant(
        "dxs_averaged_over_time",
        "xs",
        "averaged over T",
        xs=lambda q: np.mean(q.log["x"], axis=0) + np.zeros_like(q.xs_in),
    ),
    # the rest
    mutant("dh0_zero", "h0", "zero: the gradient is missing", h0=lambda q: 0 * q.back),
    mutant("db_not_summed_over_the_examples", "b", "not summed over N", b=lambda q: q.b + q.da),
    mutant(
        "dU_transposed",
        "U",
        "the transpose of the true gradient",
        U=lambda q: q.U + fitting(lambda: q.xs_in[q.t] @ q.da.T, q.da @ q.xs_in[q.t].T),
    ),
    mutant("back_clipped", ALL, "clipping", back=lambda q: np.clip(q.W_in.T @ q.da, -0.1, 0.1)),
    mutant("dW_adds_up_over_calls", "W", "backward adds to what it returned before", found=None),
]
MUTANTS[-1].rules["found"] = (
    lambda adding: lambda q: {name: adding(q) if name == "W" else getattr(q, name) for name in ALL}
)(Adding(lambda q: q.W))
