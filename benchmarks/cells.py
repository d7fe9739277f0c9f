"""Measure the cells over time against torch: RNN, LSTM, GRU, forward plus backward, on the CPU.

    pip install torch==2.13.0 && pip install -e .
    python benchmarks/cells.py [--threads 1 2] [--sizes 64 256 512] [--repeats R] [--products]

T = 64 steps, N = 32 examples, m = n. Each row is measured in a process of its own with so many threads; the two take
turns, so that what else runs on the machine meets both. Printed are the milliseconds of ours (median), the ratio to
torch's time as the median over the repeats of the ratio of neighbours, and as the ratio of the two fastest; the share
of our time that is spent in matrix products, timed alone; the peak memory of backward as a multiple of what the
equations need from forward: inputs, gates, states, and what the cell keeps; and, before torch is there, our time where
memory is mapped anew in each pass, as a ratio to that where it is held.

--products instead shows how fast the product with W is, whole and in blocks of columns, in GFlop/s.
"""

import argparse
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
if __name__ == "__main__" and "--row" not in sys.argv:
    os.environ.update(dict.fromkeys(VARIABLES, "1"))

import numpy as np

from rnngrad.cells import memory as rooms
from rnngrad.cells import product
from rnngrad.cells.cell import Cell
from rnngrad.cells.gru import GRU
from rnngrad.cells.lstm import LSTM
from rnngrad.cells.rnn import CELLS
from rnngrad.cells.sequence import sequence_backward, sequence_forward

T, N = 64, 32
TABLE: dict[str, tuple[Cell, str]] = {"rnn": (CELLS["tanh"], "RNN"), "lstm": (LSTM, "LSTM"), "gru": (GRU, "GRU")}
DTYPES = {"float64": np.float64, "float32": np.float32}
WIDTHS = (8, 16, 32, 64, 128, 256)  # columns of a block
Work = Callable[[], Any]


def arrays(cell: Cell, n: int, dtype: Any) -> tuple[Any, ...]:
    rng = np.random.default_rng(0)
    sizes = {"n": n, "m": n, "1": 1, "3*n": 3 * n, "4*n": 4 * n}
    parameters = {}
    for name, text in cell.parameters.items():
        parameters[name] = (rng.standard_normal([sizes[axis] for axis in text.split()]) / n**0.5).astype(dtype)
    xs, ds = (rng.standard_normal((T, n, N)).astype(dtype) for _ in range(2))
    return xs, tuple(np.zeros((n, N), dtype) for _ in cell.states), parameters, ds


def ours(cell: Cell, xs: Any, initial: Any, parameters: Any, ds: Any) -> Work:
    def work() -> None:
        _, cache = sequence_forward(cell, xs, initial, parameters)
        sequence_backward((ds, *[None] * (len(initial) - 1)), cache)

    return work


def torchs(kind: str, xs: Any, initial: Any, ds: Any) -> Work:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    n = xs.shape[1]
    net = getattr(torch.nn, kind)(n, n).to(torch.from_numpy(xs).dtype)
    x = torch.from_numpy(xs.swapaxes(1, 2).copy()).requires_grad_()
    firsts = [torch.from_numpy(first.T.copy()[None]).requires_grad_() for first in initial]
    upstream = torch.from_numpy(ds.swapaxes(1, 2).copy())

    def work() -> None:
        net.zero_grad()
        for leaf in (x, *firsts):
            leaf.grad = None
        out, _ = net(x, tuple(firsts) if len(firsts) > 1 else firsts[0])
        out.backward(upstream)

    return work


def products(cell: Cell, n: int, dtype: Any) -> Work:
    """Return the matrix products of a forward and a backward pass, and nothing else."""
    rng = np.random.default_rng(0)
    g = cell.gates
    shapes = ((g * n, n), (T, N, n), (T, N, g, n))
    U, x, d = (rng.standard_normal(shape).astype(dtype) for shape in shapes)
    a, s, ds = np.empty((T, g, N, n), dtype), x[0], np.empty((N, n), dtype)
    ahead, back = product.product_of(U, None, None, g, s), product.pullback_of(U, None, None, g, s, T)

    def work() -> None:
        product.multiply(x, U, a)
        for t in range(T):
            ahead(t, s)
        for t in range(T):
            back(t, d[t], ds)
        product.multiply_back(d, U)
        product.outer(d, x)
        product.outer(d, x)

    return work


def seconds(work: Work) -> float:
    """Time the second of two calls: as in training, the memory and the caches are as the call before has left them."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memory(cell: Cell, xs: Any, initial: Any, parameters: Any, ds: Any) -> float:
    _, cache = sequence_forward(cell, xs, initial, parameters)
    run = cache.run
    states = sum(s.nbytes for s in run.after)
    needed = cache.x.nbytes + states + (run.a.nbytes + run.kept.nbytes if cell.keeps else 0)
    tracemalloc.start()
    sequence_backward((ds, *[None] * (len(initial) - 1)), cache)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / needed


def mapped(work: Work, repeats: int) -> float:
    hold = rooms.hold
    rooms.hold = lambda: None
    anew = np.median([seconds(work) for _ in range(repeats)])
    rooms.hold = hold
    return anew / np.median([seconds(work) for _ in range(repeats)])


def row(kind: str, n: int, dtype: str, repeats: int) -> str:
    cell, module = TABLE[kind]
    given = arrays(cell, n, DTYPES[dtype])
    anew = mapped(ours(cell, *given), repeats)
    works = [ours(cell, *given), torchs(module, given[0], given[1], given[3]), products(cell, n, DTYPES[dtype])]
    for work in works:
        work()
    times = np.array([[seconds(work) for work in works] for _ in range(repeats)])
    pairs, fastest = np.median(times[:, 0] / times[:, 1]), times.min(axis=0)
    share = np.median(times[:, 2] / times[:, 0])
    shown = f"{np.median(times[:, 0]) * 1e3:9.1f} {pairs:8.2f} {fastest[0] / fastest[1]:8.2f}"
    return f"{kind:5s} {n:4d} {dtype} {shown} {share:9.0%} {memory(cell, *given):7.2f} {anew:7.2f}"


def rates(n: int, dtype: str) -> str:
    rng = np.random.default_rng(0)
    W, s = (rng.standard_normal(shape).astype(dtype) for shape in ((4 * n, n), (N, n)))
    flops = 2 * N * n * 4 * n * T / 1e9
    works: list[Work] = [lambda: [s @ W.T for _ in range(T)]]
    for width in WIDTHS:
        product.NARROW = product.WIDE = min(width, n)
        product.SMALL = float("inf")
        ahead = product.product_of(W, None, None, 4, s)
        works.append(lambda ahead=ahead: [ahead(0, s) for _ in range(T)])
    shown = [f"{flops / min(seconds(work) for _ in range(15)):7.0f}" for work in works]
    return f"{n:4d} {dtype} " + " ".join(shown)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--kinds", nargs="+", default=list(TABLE))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--products", action="store_true")
    parser.add_argument("--row", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        print(row(options.row[0], int(options.row[1]), options.row[2], options.repeats))
        return
    if options.products:
        print("   n dtype    whole " + " ".join(f"{width:7d}" for width in WIDTHS))
        for dtype in DTYPES:
            for n in options.sizes:
                print(rates(n, dtype), flush=True)
        return
    for threads in options.threads:
        environment = os.environ | dict.fromkeys(VARIABLES, str(threads))
        print(
            f"{threads} thread{'s' if threads > 1 else ''}\n"
            "cell     n dtype     ours ms   paired  fastest  products  memory  mapped"
        )
        for dtype in DTYPES:
            for kind in options.kinds:
                for n in options.sizes:
                    words = [sys.executable, __file__, "--row", kind, str(n), dtype, "--repeats", str(options.repeats)]
                    print(
                        subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout,
                        end="",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
