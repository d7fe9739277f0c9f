"""Check a correct RNN cell on many random cases and count the verdicts: every FAIL is a false alarm.

    python benchmarks/false_alarms.py [--cases N] [--seed S]

Prints the counts for each gradient and the line of every case with a FAIL; the exit status is 1 if there is one.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: two processes on two cores, no threads inside

from concurrent.futures import ProcessPoolExecutor

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell

DIMS = ("m", "N", "n", "k")
LARGEST = 6
SCALES = range(-4, 5)
FILLS = ["full"] * 6 + ["zeros", "one-hot"]
PROCESSES = 2
CHUNK = 100
INPUTS = tuple(rnn_cell.shapes)

Counts = Counter[tuple[str, str]]


def drawn_cases(count: int, seed: int) -> list[rg.Case]:
    """Draw cases: one in fifty has the canonical values of seed 0."""
    draw = random.Random(seed)
    return [
        rg.Case(
            **{dim: draw.randint(1, LARGEST) for dim in DIMS},
            fills={name: draw.choice(FILLS) for name in INPUTS},
            scale=2.0 ** draw.choice(SCALES),
            seed=0 if draw.random() < 0.02 else draw.getrandbits(32),
        )
        for _ in range(count)
    ]


def verdicts(cases: list[rg.Case]) -> tuple[Counts, list[str]]:
    """Check the cases; return the number of each gradient's verdicts, and the line of each FAIL."""
    counts: Counts = Counter()
    failed = []
    for case in cases:
        report = rg.check(rnn_cell, case)
        for gradient in report.gradients:
            counts[gradient.name, gradient.verdict.name] += 1
            if gradient.verdict is rg.Verdict.FAIL:
                failed.append(f"FAIL {gradient.name} ratio {gradient.ratio} {case!r}")
    return counts, failed


def main() -> int:
    """Run the study."""
    options = argparse.ArgumentParser(description="Count false alarms on a correct RNN cell.")
    options.add_argument("--cases", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    cases = drawn_cases(chosen.cases, chosen.seed)
    counts: Counts = Counter()
    failed: list[str] = []
    start = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        for part, wrong in pool.map(verdicts, [cases[i : i + CHUNK] for i in range(0, len(cases), CHUNK)]):
            counts += part
            failed += wrong
    seconds = time.perf_counter() - start
    print(f"{len(cases)} correct cases (seed {chosen.seed}) in {seconds:.0f} s with {PROCESSES} processes")
    print(f"{'gradient':10}" + "".join(f"{verdict.name:>14}" for verdict in rg.Verdict))
    for name in dict.fromkeys(name for name, _ in counts):
        print(f"{name:10}" + "".join(f"{counts[name, verdict.name]:14}" for verdict in rg.Verdict))
    print("\n".join(failed) if failed else "no FAIL")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
