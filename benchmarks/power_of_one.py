"""Measure what a check must see, and what it must not accuse: single wrong entries, small factors, kinks.

    python benchmarks/power_of_one.py [--seeds N]

The first table plants errors: one wrong entry among the 65,536 of W in the RNN cell; all entries of one tensor, each
input in turn, off by a relative 1e-9; a gradient of zero where the true one is 1e-12 in a function of that size. Each
must be caught, with the complex step or without it. The second holds right gradients of functions with kinks against
inputs at chosen distances from one: none may fail, and 1e-4 away or more all must pass. Prints the counts; the exit
status is 1 if one misses its mark.
"""

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import rnngrad as rg
from rnngrad.cells.rnn import RETURNS, SHAPES, backward_from_both, rnn_cell_forward

Arrays = dict[str, Any]
LARGE = {"m": 64, "N": 8, "n": 256, "k": 32}
SIZES = ({"m": 1, "N": 1, "n": 1, "k": 2}, {"m": 3, "N": 4, "n": 5, "k": 2}, {"m": 16, "N": 8, "n": 64, "k": 8}, LARGE)


def cast(array: Any) -> Any:
    """Return an array as it is, through a cast that real numbers survive and complex ones do not."""
    return np.asarray(array).astype(np.float64)


def forward_real(x_t: Any, s_prev: Any, parameters: Any) -> Any:
    return rnn_cell_forward(x_t, s_prev, {name: cast(array) for name, array in parameters.items()})


def forward_abs(x_t: Any, s_prev: Any, parameters: Any) -> Any:
    shifted = {name: np.abs(array + 64) - 64 for name, array in parameters.items()}
    s_next, out_pred, _ = rnn_cell_forward(x_t, s_prev, shifted)
    return s_next, out_pred, rnn_cell_forward(x_t, s_prev, parameters)[-1]


def forward_sqrt(x_t: Any, s_prev: Any, parameters: Any) -> Any:
    s_next, out_pred, cache = rnn_cell_forward(x_t, s_prev, parameters)
    return s_next, np.hypot(out_pred, 0.0), cache


FORWARDS = {"safe": rnn_cell_forward, "cast": forward_real, "abs": forward_abs, "hypot": forward_sqrt}


def cell(forward: Callable[..., Any], name: str, change: Callable[[Any], Any]) -> rg.Pair:
    """Return the RNN cell with one gradient changed."""

    def backward(ds_next: Any, dout_pred: Any, cache: Any) -> Any:
        gradients = backward_from_both(ds_next, dout_pred, cache)
        return gradients | {"d" + name: change(gradients["d" + name])}

    return rg.pair(forward, backward, inputs=SHAPES, returns=RETURNS, name="spoiled")


def one_entry(seed: int, by: float) -> Callable[[Any], Any]:
    """Return the change of one entry by so many root mean squares of the tensor."""

    def change(array: Any) -> Any:
        array = array.copy()
        place = int(np.random.default_rng(seed).integers(array.size))
        array.flat[place] += by * np.sqrt(np.mean(array**2))
        return array

    return change


def planted(seeds: int) -> Iterator[tuple[str, rg.Pair, Any]]:
    """Yield wrong pairs with a case, each under the name of its row."""
    for seed in range(1, seeds + 1):
        large = rg.Case(**LARGE, scale=0.0625, seed=seed)
        yield "one entry of 65,536 by 1e-8 rms", cell(rnn_cell_forward, "W", one_entry(seed, 1e-8)), large
        for kind in ("cast", "abs", "hypot"):
            yield f"one entry of 65,536 by 1e-6 rms, {kind}", cell(FORWARDS[kind], "W", one_entry(seed, 1e-6)), large
        for sizes in SIZES:
            case = rg.Case(**sizes, scale=0.0625 if sizes is LARGE else 1.0, seed=seed)
            for name in ("x_t", "s_prev", "U", "W", "V", "ba", "by"):
                row = f"all of one tensor by 1e-9, n = {sizes['n']}"
                yield row, cell(rnn_cell_forward, name, lambda array: array * (1 + 1e-9)), case
        for size in (1, 5, 100):
            x = np.random.default_rng(seed).uniform(0.1, 1.2, size)
            yield "zero for 1e-12 cos x", tiny(lambda x, _: 1e-12 * np.sin(x)), {"x": x, "y": x[::-1].copy()}
            yield "zero for 1e-12 cos x, in a sum", tiny(summed), {"x": x, "y": x[::-1].copy()}


def summed(x: Any, y: Any) -> Any:
    return 1e-12 * (np.sin(x).sum() + np.cos(y).sum())


def tiny(forward: Callable[..., Any]) -> rg.Pair:
    """Pair a function of size 1e-12 with a gradient that is zero for x, and right for y."""

    def backward(dout: Any, x: Any, y: Any) -> Any:
        return np.zeros_like(x), (-1e-12 * dout * np.sin(y) if np.ndim(dout) == 0 else np.zeros_like(y))

    return rg.pair(forward, backward, inputs={"x": "n", "y": "n"})


def slopes(left: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return a function with slope 1 above zero and another below, and its derivative."""
    return lambda x: np.where(x > 0, x, left * x), lambda x: np.where(x > 0, 1.0, left)


KINKS = {
    "relu": slopes(0.0),
    "|x|": (np.abs, np.sign),
    "leaky relu, 1 %": slopes(0.99),
    "leaky relu, 50 %": slopes(0.5),
    "clip": (lambda x: np.clip(x, -2.0, 0.0), lambda x: ((x > -2) & (x < 0)).astype(x.dtype)),
    "smooth with a relu": (lambda x: np.sin(x + 1) + np.maximum(x, 0), lambda x: np.cos(x + 1) + (x > 0)),
}
DISTANCES = (0.0, *(10.0**k for k in range(-12, 0)))
FAR = 1e-4


def row_max(z: Any) -> Any:
    return z.max(axis=1)


def row_max_backward(dout: Any, z: Any) -> Any:
    return dout[:, None] * (np.arange(z.shape[1]) == z.argmax(axis=1)[:, None])


def kinked(seeds: int) -> Iterator[tuple[str, float, rg.Pair, Arrays]]:
    """Yield right pairs with inputs that lie at, or beside, a kink: the row, the distance, the pair, the inputs."""
    largest = rg.pair(row_max, row_max_backward, inputs={"z": "N C"})
    for seed in range(seeds):
        for distance in DISTANCES:
            rng = np.random.default_rng([seed, int(-np.log10(distance or 1e-99))])
            size = int(rng.choice([1, 3, 40]))
            for name, (f, df) in KINKS.items():
                x = rng.uniform(0.3, 1.5, size) * rng.choice([-1, 1], size)
                x[int(rng.integers(size))] = distance * rng.choice([-1, 1])
                yield name, distance, rg.pair(f, lambda dout, x, df=df: dout * df(x), inputs={"x": "n"}), {"x": x}
            z = rng.uniform(-1, 1, (size, 3))
            z[0, :2] = [2.0, 2.0 - distance]
            yield "max tie", distance, largest, {"z": z}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    start = time.perf_counter()
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for row, pair, case in planted(seeds):
        tried[row] += 1
        caught[row] += rg.check(pair, case).verdict is rg.Verdict.FAIL
    print(f"{'planted error':42s}{'caught':>8s}{'of':>6s}")
    for row, count in tried.items():
        print(f"{row:42s}{caught[row]:8d}{count:6d}")
    verdicts: Counter[tuple[str, float, str]] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row, distance, pair, arrays in kinked(seeds):
            verdicts[row, distance, rg.check(pair, arrays).verdict.name] += 1
    print(f"\n{'pass / inconclusive / FAIL at':24s}" + "".join(f"{distance:>11.0e}" for distance in DISTANCES))
    for row in dict.fromkeys(row for row, _, _ in verdicts):
        cells = ["/".join(str(verdicts[row, d, v]) for v in ("PASS", "INCONCLUSIVE", "FAIL")) for d in DISTANCES]
        print(f"{row:29s}" + "".join(f"{text:>11s}" for text in cells))
    print(f"{seeds} seeds in {time.perf_counter() - start:.0f} s")
    missed = sum((tried - caught).values())
    false = sum(n for (_, _, v), n in verdicts.items() if v == "FAIL")
    undecided = sum(n for (_, d, v), n in verdicts.items() if v == "INCONCLUSIVE" and d >= FAR)
    print(f"missed {missed}, false FAIL {false}, undecided {FAR:.0e} away or more {undecided}")
    return int(missed + false + undecided > 0)


if __name__ == "__main__":
    sys.exit(main())
