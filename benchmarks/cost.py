"""Measure what a passing check of the RNN cell costs as its size grows: forward passes, time, memory.

    python benchmarks/cost.py [--hidden 8 64 256 1024 3072] [--repeats R]

The cell has 64 inputs, 8 examples and 10 classes; all seven gradients are checked in float64, on one thread. Printed
are the parameters; the forward passes, and those told beforehand; the time of a check as a multiple of one forward plus
one backward pass (paired: the median over repeats of the ratio of neighbours); and the peak memory of a check, less
that of one forward pass, in copies of the inputs and, less four copies, in MB.
"""

import argparse
import os
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell, rnn_cell_backward, rnn_cell_forward

INPUTS, BATCH, CLASSES = 64, 8, 10
MB = 2.0**20


def arrays(hidden: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    sizes = {"m": INPUTS, "N": BATCH, "n": hidden, "k": CLASSES}
    gain = {"U": INPUTS**-0.5, "W": hidden**-0.5, "V": hidden**-0.5}
    out = {}
    for name, shape in rnn_cell.shapes.items():
        out[name] = rng.standard_normal(shape.sizes(sizes))
        out[name] *= gain.get(name, 1.0)
    return out


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak(work: Callable[[], Any]) -> float:
    tracemalloc.start()
    work()
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return top


def row(hidden: int, repeats: int) -> str:
    values = arrays(hidden)
    size = sum(array.nbytes for array in values.values())
    parameters = {name: values[name] for name in ("U", "W", "V", "ba", "by")}

    def forward() -> Any:
        return rnn_cell_forward(values["x_t"], values["s_prev"], parameters)

    s_next, out_pred, cache = forward()
    ds, do = np.ones_like(s_next), np.ones_like(out_pred)

    def both() -> None:
        forward()
        rnn_cell_backward(ds, cache, do)

    def check() -> Any:
        return rg.check(rnn_cell, values)

    report = check()
    assert report.verdict is rg.Verdict.PASS, str(report)
    several = max(1, int(0.02 / seconds(both)))  # a single pass of a small cell is too short to be timed
    ratios = [seconds(check) / (seconds(lambda: [both() for _ in range(several)]) / several) for _ in range(repeats)]
    extra = peak(check) - peak(forward)
    passes = f"{report.evaluations:7d} {rg.forward_passes(rnn_cell, values):8d}"
    memory = f"{extra / size:8.1f} {(extra - 4 * size) / MB:9.1f}"
    return f"{sum(a.size for a in parameters.values()):11,d} {passes} {np.median(ratios):12.0f} {memory}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[8, 64, 256, 1024, 3072])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    header = f"{'hidden':>7s} {'parameters':>11s} {'passes':>7s} {'planned':>8s} {'x (fwd+bwd)':>12s}"
    print(f"{header} {'copies':>8s} {'-4, MB':>9s}")
    for hidden in options.hidden:
        print(f"{hidden:7d} {row(hidden, options.repeats)}", flush=True)


if __name__ == "__main__":
    main()
