"""Check correct gradients at difficult but legitimate inputs and count the verdicts: every FAIL is a false alarm.

    python benchmarks/difficult.py [--cases N] [--seed S]

Scales of 1e-8 to 1e8 on every input or on every entry, saturation, cancellation, gradients near zero, 50 steps, axes of
size 0, one step, Fortran order, strided and read-only arrays, float32, exact zeros. Prints the counts for each kind and
the headline of every FAIL; the exit status is 1 if there is one.
"""

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from concurrent.futures import ProcessPoolExecutor

import numpy as np

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell

Arrays = dict[str, Any]
Draw = np.random.Generator


def sequence_forward(xs: Any, h0: Any, W: Any, U: Any) -> Any:
    hs = [h0]
    for x in xs:
        hs.append(np.tanh(W @ hs[-1] + U @ x))
    return np.array(hs[1:]).reshape(len(xs), *h0.shape), (xs, hs, W, U)


def sequence_backward(dout: Any, cache: Any) -> Any:
    xs, hs, W, U = cache
    dxs, dh, dW, dU = np.zeros_like(xs), np.zeros_like(hs[0]), np.zeros_like(W), np.zeros_like(U)
    for t in reversed(range(len(xs))):
        da = (1 - hs[t + 1] ** 2) * (dh + dout[t])
        dW += da @ hs[t].T
        dU += da @ xs[t].T
        dxs[t] = U.T @ da
        dh = W.T @ da
    return dxs, dh, dW, dU


def logistic(z: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * z))


def lstm_forward(x: Any, h: Any, c: Any, W: Any, R: Any) -> Any:
    i, f, g, o = np.split(W @ x + R @ h, 4)
    i, f, g, o = logistic(i), logistic(f), np.tanh(g), logistic(o)
    c_next = f * c + i * g
    return o * np.tanh(c_next), c_next, (x, h, c, W, R, i, f, g, o, c_next)


def lstm_backward(dh: Any, dc: Any, cache: Any) -> Any:
    x, h, c, W, R, i, f, g, o, c_next = cache
    t = np.tanh(c_next)
    dc = dc + dh * o * (1 - t**2)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * t * o * (1 - o)])
    return W.T @ da, R.T @ da, dc * f, da @ x.T, da @ h.T


def norm_forward(x: Any, gamma: Any, beta: Any) -> Any:
    sigma = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    x_hat = (x - x.mean(axis=1, keepdims=True)) / sigma
    return gamma * x_hat + beta, (x_hat, sigma, gamma)


def norm_backward(dout: Any, cache: Any) -> Any:
    x_hat, sigma, gamma = cache
    d = dout * gamma
    means = d.mean(axis=1, keepdims=True) + x_hat * (d * x_hat).mean(axis=1, keepdims=True)
    return (d - means) / sigma, (dout * x_hat).sum(axis=0), dout.sum(axis=0)


def entropy_forward(z: Any) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    labels = np.arange(len(z)) % z.shape[1]
    return (np.log(e.sum(axis=1)) - (z - z.max(axis=1, keepdims=True))[np.arange(len(z)), labels]).mean(), (p, labels)


def entropy_backward(dout: Any, cache: Any) -> Any:
    p, labels = cache
    dz = p.copy()
    dz[np.arange(len(p)), labels] -= 1
    return dout * dz / len(p)


sequence = rg.pair(sequence_forward, sequence_backward, inputs={"xs": "T m N", "h0": "n N", "W": "n n", "U": "n m"})
lstm = rg.pair(lstm_forward, lstm_backward, inputs={"x": "m N", "h": "n N", "c": "n N", "W": "4*n m", "R": "4*n n"})
layer_norm = rg.pair(norm_forward, norm_backward, inputs={"x": "N d", "gamma": "d", "beta": "d"})
entropy = rg.pair(entropy_forward, entropy_backward, inputs={"z": "N C"})
PAIRS = (rnn_cell, sequence, lstm, layer_norm, entropy)


def drawn(pair: rg.Pair, rng: Draw, low: int = 1, **fixed: int) -> Arrays:
    """Draw standard normal arrays of random sizes."""
    names = dict.fromkeys(name for shape in pair.shapes.values() for axis in shape.axes for name, _ in axis.terms)
    sizes = {name: int(rng.integers(low, 6)) for name in names} | fixed
    return {name: rng.standard_normal(shape.sizes(sizes)) for name, shape in pair.shapes.items()}


def any_of(rng: Draw, pairs: tuple[rg.Pair, ...] = PAIRS) -> rg.Pair:
    return pairs[int(rng.integers(len(pairs)))]


def scaled(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: a * 10.0 ** rng.uniform(-8, 8) for name, a in drawn(pair, rng).items()}


def scaled_entries(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: a * 10.0 ** rng.uniform(-8, 8, a.shape) for name, a in drawn(pair, rng).items()}


def saturated(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng, (rnn_cell, sequence, lstm))
    return pair, {name: a * 2.0 ** rng.uniform(0, 7) for name, a in drawn(pair, rng).items()}


def near_zero(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: a * 10.0 ** rng.uniform(-12, -6) for name, a in drawn(pair, rng).items()}


def long(rng: Draw) -> tuple[rg.Pair, Arrays]:
    arrays = drawn(sequence, rng, T=50)
    return sequence, arrays | {"W": arrays["W"] * 10.0 ** rng.uniform(-1, 1)}


def one_step(rng: Draw) -> tuple[rg.Pair, Arrays]:
    return sequence, drawn(sequence, rng, T=1)


def empty(rng: Draw) -> tuple[rg.Pair, Arrays]:
    dim = ("N", "m", "T")[int(rng.integers(3))]
    return sequence, drawn(sequence, rng, **{dim: 0})


def laid_out(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    arrays = {name: np.asfortranarray(a) if rng.random() < 0.5 else a for name, a in drawn(pair, rng).items()}
    arrays = {name: np.repeat(a, 2, axis=0)[::2] if rng.random() < 0.5 else a for name, a in arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return pair, arrays


def single(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: (a * 2.0 ** rng.uniform(-3, 3)).astype(np.float32) for name, a in drawn(pair, rng).items()}


def zeros(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: a * (rng.random(a.shape) < rng.choice([0.0, 0.5, 1.0])) for name, a in drawn(pair, rng).items()}


KINDS: tuple[Callable[[Draw], tuple[rg.Pair, Arrays]], ...] = (
    scaled,
    scaled_entries,
    saturated,
    near_zero,
    long,
    one_step,
    empty,
    laid_out,
    single,
    zeros,
)


def run(task: tuple[int, int, int]) -> tuple[Counter[tuple[str, str]], list[str], int]:
    """Check a run of cases; return the verdicts by kind, the headline of every FAIL, and the forward passes."""
    seed, start, stop = task
    counts: Counter[tuple[str, str]] = Counter()
    failed, passes = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(start, stop):
            rng = np.random.default_rng([seed, number])
            draw = KINDS[number % len(KINDS)]
            pair, arrays = draw(rng)
            try:
                report = rg.check(pair, arrays)
            except rg.InvalidPair:
                counts[draw.__name__, "not finite"] += 1  # the outputs overflow: nothing to check
                continue
            counts[draw.__name__, report.verdict.name] += 1
            passes += report.evaluations
            if report.verdict is rg.Verdict.FAIL:
                failed.append(f"FAIL {draw.__name__} {pair.name} case {number}: {str(report).splitlines()[0]}")
    return counts, failed, passes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    tasks = [(options.seed, k, min(k + 500, options.cases)) for k in range(0, options.cases, 500)]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(run, tasks))
    counts: Counter[tuple[str, str]] = sum((part[0] for part in found), Counter())
    failed = [line for part in found for line in part[1]]
    each = sum(part[2] for part in found) / options.cases
    seconds = time.perf_counter() - start
    print(f"{options.cases} correct cases (seed {options.seed}) in {seconds:.0f} s, {each:.0f} forward passes each")
    columns = ("PASS", "INCONCLUSIVE", "FAIL", "not finite")
    print(f"{'':16s}" + "".join(f"{column:>14s}" for column in columns))
    for draw in KINDS:
        print(f"{draw.__name__:16s}" + "".join(f"{counts[draw.__name__, column]:14d}" for column in columns))
    print("\n".join(failed) or "no FAIL")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
