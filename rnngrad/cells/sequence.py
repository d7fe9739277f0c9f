"""A cell over time: forward over T steps, and backpropagation through time.

    a = U x_t + b for all steps                        da, and what comes with it, step by step from the last
    then step by step  s_t = cell(a_t, W s_{t-1})      then for all steps
                                                       dU = sum da_t x_t^T, dW = sum dp_t s_{t-1}^T, dx_t = U^T da_t

This is the only loop over time. Where a mask is 0 the step does not count for that example: its states stay as they
were. With reverse=True time runs from the last step to the first, and the initial state stands after the last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rnngrad.cells.cell import Array, Cell, Gradients, Parameters, Run, Tools
from rnngrad.cells.fit import fitted, picked, whole
from rnngrad.cells.memory import room
from rnngrad.cells.norm import norm, norm_backward
from rnngrad.cells.product import Normed, flat, multiply, multiply_back, normed_of, outer, product_of, pullback_of, tall
from rnngrad.spec import Array as Declared

__all__ = ["MASK", "Trace", "mask_of", "sequence_backward", "sequence_forward"]

GAINS = ("gU", "gW")
MASK = Declared("T N", below=2)  # a mask as pairs declare it
BLOCK = 2**18  # bytes of slopes that are made at once: what fits the second cache is still there when it is used


@dataclass(frozen=True)
class Trace:
    """What `sequence_backward` needs of a run: the cell, its inputs (T, N, m), and what was kept of each step.

    ``absent`` (T, N, 1) is the mask turned round, or None; ``inputs`` belongs to a normed U x, ``normed`` to the
    normed products with W.
    """

    cell: Cell
    x: Array
    run: Run
    reverse: bool
    absent: Array | None
    inputs: Normed | None
    normed: tuple[Normed | None, ...]

    def order(self, steps: range) -> Sequence[int]:
        """Return steps in the order of time."""
        return steps[::-1] if self.reverse else steps


def sequence_forward(
    cell: Cell,
    xs: Array,
    initial: Sequence[Array],
    parameters: Mapping[str, Array],
    *,
    mask: Array | None = None,
    reverse: bool = False,
) -> tuple[tuple[Array, ...], Trace]:
    """Run a cell over xs (T, m, N) from its initial states (n, N).

    mask: 0 or 1 for each step and example, (T, N); see `mask_of`. Returns all states, (T, n, N) for each state of the
    cell, and the cache for `sequence_backward`. Raises ValueError where shapes, dtypes or the mask do not fit.
    """
    used = checked(cell, xs, initial, parameters)
    dtype = np.result_type(xs, *initial, *used.values())
    absent = None if mask is None else absences(mask, xs)
    T, m, N = xs.shape
    n = initial[0].shape[0]
    steps = T if cell.keeps else 0
    inner = [(steps, cell.gates, N, n), (T, N, m), (steps, N, n)]
    gates, x, kept, *states = room(dtype, *inner, *[(T + 1, N, n)] * len(initial))
    x[...] = xs.swapaxes(1, 2)
    if absent is not None:
        np.copyto(x, 0, where=absent)
    for s, first in zip(states, initial, strict=True):
        s[-1 if reverse else 0] = first.T
    first_to_last, second_on = tuple(s[:-1] for s in states), tuple(s[1:] for s in states)
    before, after = (second_on, first_to_last) if reverse else (first_to_last, second_on)
    a = gates if cell.keeps else after[0][:, None]
    inputs = at_inputs(x, used, a)
    run = Run(a, before, after, kept, used)
    normed = tuple(normed_of(used.get("gW"), g, before[0]) for g in cell.products)
    trace = Trace(cell, x, run, reverse, absent, inputs, normed)
    forward_in_time(trace)
    return tuple(s.copy().swapaxes(1, 2) for s in after), trace


def forward_in_time(trace: Trace) -> None:
    """Take all steps, from the first to the last."""
    run, absent = trace.run, trace.absent
    tools = tools_of(trace, back=False)
    for t in trace.order(range(len(run.a))):
        trace.cell.step(t, run, tools)
        if absent is not None:
            for s_prev, s in zip(run.before, run.after, strict=True):
                np.copyto(s[t], s_prev[t], where=absent[t])


def sequence_backward(
    dstates: Sequence[Array | None], trace: Trace, *, dlast: Sequence[Array | None] | None = None
) -> Gradients:
    """Return the gradients of a run: dxs (T, m, N), d + initial state, such as ds_0 (n, N), and d + parameter.

    dstates are the cotangents of all states, (T, n, N) for each state of the cell, dlast further ones of the states
    that time ends with, (n, N); None stands for one that is zero.
    """
    cell, x, run = trace.cell, trace.x, trace.run
    T, _, N, n = run.a.shape
    upstream = [cotangent_rows(name, ds, run.after[0]) for name, ds in zip(cell.states, dstates, strict=True)]
    ends = [None] * len(cell.states) if dlast is None else dlast
    (d,) = room(run.a.dtype, (T, N, cell.blocks, n))
    tools = tools_of(trace, back=True)
    last = [cotangent_rows(f"last {name}", ds, tools.work) for name, ds in zip(cell.states, ends, strict=True)]
    ds = tuple(np.zeros_like(tools.work) if end is None else end.copy() for end in last)
    back_in_time(trace, tools, d, upstream, ds)
    found, da = cell.collect(run, tools.pullbacks, d)
    at_gates, da = gradients_at_gates(trace, da)
    return (
        {"dxs": multiply_back(da, run.parameters["U"])}
        | {f"d{name}_0": ds.T for name, ds in zip(cell.states, ds, strict=True)}
        | {"dU": outer(da, x)}
        | found
        | at_gates
    )


def back_in_time(trace: Trace, tools: Tools, d: Array, upstream: Sequence[Array | None], ds: tuple[Array, ...]) -> None:
    """Fill d from the last step to the first, and turn ds, the cotangents of the last states, into those before all."""
    cell, run, absent = trace.cell, trace.run, trace.absent
    T = len(d)
    held = tuple(np.zeros_like(tools.work) for _ in cell.states)
    block = max(1, BLOCK // max(1, cell.multipliers * tools.work.nbytes))
    (k,) = room(d.dtype, (cell.multipliers, min(block, T), *tools.work.shape))
    for start in trace.order(range(0, T, block))[::-1]:
        steps = range(start, min(start + block, T))
        cell.slopes(slice(steps.start, steps.stop), run, k[:, : len(steps)])
        for t in trace.order(steps)[::-1]:
            for total, here in zip(ds, upstream, strict=True):
                if here is not None:
                    total += here[t]
            if absent is not None:
                for total, aside in zip(ds, held, strict=True):
                    np.multiply(total, absent[t], out=aside)
                    total -= aside
            cell.back(t, run, tools, k[:, t - start], d[t], ds)
            if absent is not None:
                for total, aside in zip(ds, held, strict=True):
                    total += aside


def at_inputs(x: Array, parameters: Parameters, a: Array) -> Normed | None:
    """Fill a with U x + b of all steps; return what is kept where U x is normed."""
    g, n = a.shape[1], a.shape[3]
    multiply(x, parameters["U"], a)
    normed = None
    if "gU" in parameters:
        normed = Normed(*norm(a, axis=-1))
        np.multiply(normed.y, parameters["gU"].reshape(g, 1, n), out=a)
    a += parameters["ba"].reshape(g, 1, n)
    return normed


def gradients_at_gates(trace: Trace, da: Array) -> tuple[Gradients, Array]:
    """Return the gradients of what is added to or multiplied with U x, and that at U x itself."""
    found = {"dba": tall(flat(da)).sum(axis=0)[:, None]}
    if trace.inputs is not None:
        y, inverse = trace.inputs.y.swapaxes(1, 2), trace.inputs.inverse.swapaxes(1, 2)
        found["dgU"] = tall(flat(da * y)).sum(axis=0)[:, None]
        da = norm_backward(da * trace.run.parameters["gU"].reshape(y.shape[2:]), y, inverse, axis=-1)
    return found, da


def tools_of(trace: Trace, *, back: bool) -> Tools:
    """Return what the steps of one pass work with; each product has its rows of W and of its gain."""
    cell, run = trace.cell, trace.run
    T, g, N, n = run.a.shape
    W, gain = run.parameters["W"], run.parameters.get("gW")
    work, half, rest = room(run.a.dtype, (N, n), (g, N, n), (g, N, n))
    ahead, ways, start = [], [], 0
    for count, normed in zip(cell.products, trace.normed, strict=True):
        rows = slice(start * n, (start + count) * n)
        given = (W[rows], None if gain is None else gain[rows], normed, count, work)
        if back:
            ways.append(pullback_of(*given, T))
        else:
            ahead.append(product_of(*given))
        start += count
    half[...] = np.where(cell.sigmoids, 0.5, 1.0)[:, None, None]
    np.subtract(1, half, out=rest)
    return Tools(tuple(ahead), tuple(ways), work, half, rest)


def checked(cell: Cell, xs: Array, initial: Sequence[Array], parameters: Parameters) -> dict[str, Array]:
    """Return the parameters that a cell uses; raise ValueError where something does not fit."""
    used = picked(f"parameters of {cell.name}", list(cell.parameters), parameters)
    gains = {gain: parameters[gain] for gain in GAINS if gain in parameters}
    firsts = {f"{name}_0": first for name, first in zip(cell.states, initial, strict=True)}
    shapes = (
        {"xs": "T m N"} | dict.fromkeys(firsts, "n N") | cell.parameters | dict.fromkeys(gains, f"{cell.gates}*n 1")
    )
    fitted(shapes, {"xs": xs} | firsts | used | gains)
    return used | gains


def absences(mask: Array, xs: Array) -> Array:
    """Return where a mask (T, N) is 0, as (T, N, 1)."""
    whole("mask", mask, (xs.shape[0], xs.shape[2]), 2)
    return np.equal(mask, 0)[:, :, None]


def mask_of(lengths: Array, T: int) -> Array:
    """Return the mask (T, N) of sequences of the given lengths (N,), integers from 0 to T."""
    whole("lengths", lengths, np.shape(lengths)[:1], T + 1)
    return np.arange(T)[:, None] < lengths


def cotangent_rows(name: str, ds: Array | None, like: Array) -> Array | None:
    """Return a view of a cotangent with examples as rows; raise ValueError where it does not fit the states."""
    if ds is None:
        return None
    named = {f"state {name}": like.swapaxes(-1, -2), f"the cotangent of {name}": ds}
    fitted(dict.fromkeys(named, "*steps n N"), named)
    return ds.swapaxes(-1, -2)
