"""Check right pairs at difficult inputs and count the breaches of contract found: every one is a false alarm.

    python benchmarks/contract.py [--cases N] [--seed S]

The pairs and inputs of `benchmarks/difficult.py`, and a GRU, an affine layer, an embedding with whole numbers, products
of complex numbers, a rectifier, max-pooling and a mean squared error, with a declared batch where there is one; scales
of 1e-8 to 1e8, saturation, exact zeros, ties, empty axes, float32 and float16. Prints the findings for each kind of
input, and the most backward passes of a case; the exit status is 1 if anything was found.
"""

import argparse
import os
import sys
import time
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import difficult
import numpy as np

import rnngrad as rg

Arrays = dict[str, Any]
Draw = np.random.Generator


def gru_forward(x: Any, h: Any, W: Any, R: Any) -> Any:
    z, r = difficult.logistic(W[0] @ x + R[0] @ h), difficult.logistic(W[1] @ x + R[1] @ h)
    c = np.tanh(W[2] @ x + R[2] @ (r * h))
    return (1 - z) * h + z * c, (x, h, W, R, z, r, c)


def gru_backward(dout: Any, cache: Any) -> Any:
    x, h, W, R, z, r, c = cache
    dz, dc = dout * (c - h) * z * (1 - z), dout * z * (1 - c**2)
    drh = R[2].T @ dc
    dr = drh * h * r * (1 - r)
    dh = dout * (1 - z) + drh * r + R[0].T @ dz + R[1].T @ dr
    dW = np.stack([dz @ x.T, dr @ x.T, dc @ x.T])
    dR = np.stack([dz @ h.T, dr @ h.T, dc @ (r * h).T])
    return W[0].T @ dz + W[1].T @ dr + W[2].T @ dc, dh, dW, dR


def affine_forward(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b, (x, w)


def affine_backward(dout: Any, cache: Any) -> Any:
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def embedding_forward(table: Any, rows: Any) -> Any:
    return table[rows], (table, rows)


def embedding_backward(dout: Any, cache: Any) -> Any:
    table, rows = cache
    dtable = np.zeros_like(table)
    np.add.at(dtable, rows, dout)
    return {"dtable": dtable}


def matvec_backward(dout: Any, cache: Any) -> Any:
    A, z = cache
    return np.outer(dout, z.conj()), A.conj().T @ dout


def relu_forward(x: Any, w: Any) -> Any:
    a = x @ w
    return np.maximum(a, 0), (x, w, a)


def relu_backward(dout: Any, cache: Any) -> Any:
    x, w, a = cache
    da = dout * (a > 0)
    return da @ w.T, x.T @ da


def pool_backward(dout: Any, x: Any) -> Any:
    dx = np.zeros_like(x)
    rows = np.arange(len(x))
    dx[rows, x.argmax(axis=1)] = dout
    return dx


def mse_forward(x: Any, w: Any, y: Any) -> Any:
    r = x @ w - y
    return (r**2).mean(), (x, w, r)


def mse_backward(dout: Any, cache: Any) -> Any:
    x, w, r = cache
    dr = 2 * dout * r / r.size
    return dr @ w.T, x.T @ dr, -dr


gru = rg.pair(gru_forward, gru_backward, inputs={"x": "m N", "h": "n N", "W": "3 n m", "R": "3 n n"}, batch="N")
affine = rg.pair(affine_forward, affine_backward, inputs={"x": "N d", "w": "d m", "b": "m"}, batch="N")
relu = rg.pair(relu_forward, relu_backward, inputs={"x": "N d", "w": "d m"}, batch="N")
pool = rg.pair(lambda x: x.max(axis=1), pool_backward, inputs={"x": "N d"}, batch="N", name="pool")
mse = rg.pair(mse_forward, mse_backward, inputs={"x": "N d", "w": "d m", "y": "N m"}, batch="N")
embedding = rg.pair(embedding_forward, embedding_backward, inputs={"table": "v d", "rows": "N"}, batch="N")
matvec = rg.pair(lambda A, z: (A @ z, (A, z)), matvec_backward, inputs={"A": "m n", "z": "n"}, name="matvec")
BATCHED = tuple(replace(pair, batch="N") for pair in difficult.PAIRS[:4])
PAIRS = (*BATCHED, difficult.PAIRS[4], gru, affine, relu, pool, mse)


def any_of(rng: Draw, pairs: tuple[rg.Pair, ...] = PAIRS) -> rg.Pair:
    return pairs[int(rng.integers(len(pairs)))]


def narrow(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    return pair, {name: a.astype(np.float16) for name, a in difficult.drawn(pair, rng).items()}


def whole(rng: Draw) -> tuple[rg.Pair, Arrays]:
    arrays = difficult.drawn(embedding, rng)
    return embedding, arrays | {"rows": rng.integers(0, len(arrays["table"]), arrays["rows"].shape)}


def complex_numbers(rng: Draw) -> tuple[rg.Pair, Arrays]:
    arrays = difficult.drawn(matvec, rng)
    return matvec, {name: a + 1j * rng.standard_normal(a.shape) for name, a in arrays.items()}


def ties(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng, (relu, pool, mse, *BATCHED))
    return pair, {name: np.round(2 * a) / 10 for name, a in difficult.drawn(pair, rng).items()}


def cancelling(rng: Draw) -> tuple[rg.Pair, Arrays]:
    pair = any_of(rng)
    offset = 10.0 ** rng.uniform(0, 8)
    return pair, {name: a + offset * (rng.random() < 0.5) for name, a in difficult.drawn(pair, rng).items()}


def hollow(rng: Draw) -> tuple[rg.Pair, Arrays]:
    return affine, difficult.drawn(affine, rng, **{("N", "d", "m")[int(rng.integers(3))]: 0})


KINDS = (*difficult.KINDS, narrow, whole, complex_numbers, ties, cancelling, hollow)


def counted(pair: rg.Pair, calls: Counter[str]) -> rg.Pair:
    """Return a pair whose calls are counted."""

    def forward(inputs: Any) -> Any:
        calls["forward"] += 1
        return pair.forward(inputs)

    def backward(cotangents: Any, cache: Any) -> Any:
        calls["backward"] += 1
        return pair.backward(cotangents, cache)

    return replace(pair, forward=forward, backward=backward)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    difficult.any_of = any_of  # the draws of that module then choose among the pairs of this one
    counts: Counter[tuple[str, str]] = Counter()
    most: Counter[str] = Counter()
    failed = []
    start = time.perf_counter()
    warnings.simplefilter("ignore")
    for number in range(options.cases):
        rng = np.random.default_rng([options.seed, number])
        draw = KINDS[number % len(KINDS)]
        pair, arrays = draw(rng)
        calls: Counter[str] = Counter()
        try:
            report = rg.check(counted(pair, calls), arrays)
        except rg.InvalidPair:
            counts[draw.__name__, "not finite"] += 1
            continue
        counts[draw.__name__, "breach" if report.breaches else "none"] += 1
        most |= Counter(backward=calls["backward"])
        failed += [f"{draw.__name__} {pair.name} case {number}: {one.kind}: {one.message}" for one in report.breaches]
    seconds = time.perf_counter() - start
    print(f"{options.cases} right cases (seed {options.seed}) in {seconds:.0f} s; at most {most['backward']} backward")
    columns = ("none", "breach", "not finite")
    print(f"{'':16s}" + "".join(f"{column:>14s}" for column in columns))
    for draw in KINDS:
        print(f"{draw.__name__:16s}" + "".join(f"{counts[draw.__name__, column]:14d}" for column in columns))
    print("\n".join(failed) or "no breach")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
