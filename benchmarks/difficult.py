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
from difficult_pairs import PAIRS, SATURATING, sequence

import rnngrad as rg

Arrays = dict[str, Any]
Draw = np.random.Generator


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
    pair = any_of(rng, SATURATING)
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
