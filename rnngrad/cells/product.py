"""The product p = W s of each step of a sequence, plain or normed: gain * norm(W s), gate by gate.

Examples stand as rows and gates on an axis of their own: s is (N, n), p is (g, N, n) for the g gates stacked in W.

W is copied once for each pass, into blocks so small that OpenBLAS multiplies them without packing them first. On one
thread and with N = 32 the products of the steps, a third of all there is to multiply, are 1.3 to 2 times as fast so
(``benchmarks/cells.py --products``).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.cells.memory import room
from rnngrad.cells.norm import norm, norm_backward

__all__ = [
    "Normed",
    "Product",
    "Pullback",
    "flat",
    "multiply",
    "multiply_back",
    "normed_of",
    "outer",
    "product_of",
    "pullback_of",
    "tall",
]

Array = NDArray[Any]

# by that benchmark, on a processor with AVX-512
SMALL = 10**6  # multiplications of numbers: what OpenBLAS takes for a small product; beyond, it is half as fast
NARROW, WIDE = 16, 64  # columns of a block: with fewer it is slower, with more no faster
FULL = 256  # bytes of the columns of a block: the full speed, or near it
NEAR = 2**21  # bytes of sums that are not far from the processor
ROWS = 256  # inputs, of some steps, that are multiplied with a block before the next one: both stay in the cache


def flat(x: Array) -> Array:
    """Join the last two axes, gates and units, into one."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def tall(x: Array) -> Array:
    """Join the first two axes, steps and examples, into one."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def outer(d: Array, x: Array) -> Array:
    """Return the sum of d x^T over all steps and examples, (g n, m) for d (T, N, g, n) and x (T, N, m).

    As a sum of small products where it has any. Else as the transpose of x d^T, which OpenBLAS multiplies up to a
    quarter faster from n = 256 on.
    """
    x, d = tall(x), tall(flat(d))
    (rows, m), columns = x.shape, d.shape[1]
    parts, c = summed(rows, m, columns, d.itemsize)
    if parts == 1:
        return (x.T @ d).T
    (sums,) = room(d.dtype, (parts, m, columns))
    left, right = x.reshape(parts, 1, rows // parts, m), d.reshape(parts, rows // parts, columns)
    np.matmul(left.swapaxes(2, 3), cut(right, c), out=cut(sums, c))
    return np.asarray(sums.sum(axis=0)).T


@dataclass(frozen=True)
class Normed:
    """What a normed product keeps of each step: y = norm(W s) (T, g, N, n), and the inverse of its spread."""

    y: Array
    inverse: Array


@dataclass(frozen=True)
class Product:
    """The product of each step: W in ``blocks`` (g, b, n, c), where to keep what is ``normed``, and p itself.

    ``cut`` is a view of p in blocks of columns, (g, b, N, c).
    """

    blocks: Array
    gain: Array | None
    normed: Normed | None
    p: Array
    cut: Array

    def __call__(self, t: int, s: Array) -> Array:
        """Return p for s at step t; the next call overwrites it."""
        np.matmul(s, self.blocks, out=self.cut)
        if self.gain is not None and self.normed is not None:
            self.normed.y[t], self.normed.inverse[t] = norm(self.p, axis=-1)
            np.multiply(self.normed.y[t], self.gain, out=self.p)
        return self.p


@dataclass(frozen=True)
class Pullback:
    """The way back through the product: W in ``blocks`` (parts, b, n g / parts, c), and the sums over each part.

    ``sums`` (parts, N, n) are cut into ``cut`` (parts, b, N, c) as the product is; ``raw`` (T, N, g, n) takes the
    gradients at W s of a normed product.
    """

    blocks: Array
    gain: Array | None
    normed: Normed | None
    sums: Array
    cut: Array
    raw: Array

    def __call__(self, t: int, dp: Array, ds: Array) -> Array:
        """Fill ds (N, n) from dp (N, g, n) of step t, and return it."""
        if self.gain is not None and self.normed is not None:
            dp = norm_backward(dp * self.gain[:, 0], *turned(self.normed, t), axis=-1)
            self.raw[t] = dp
        parts, _, depth, c = self.blocks.shape
        by_part = dp.reshape(len(dp), parts, 1, depth).transpose(1, 2, 0, 3)
        np.matmul(by_part, self.blocks, out=cut(ds, c)[None] if parts == 1 else self.cut)
        if parts > 1:
            np.add(self.sums[0], self.sums[1], out=ds)
            for part in self.sums[2:]:
                ds += part
        return ds

    def gradients(self, dp: Array, s: Array) -> dict[str, Array]:
        """Return dW, and dgW of a normed product, from dp (T, N, g, n) and s (T, N, n) of all steps."""
        found = {"dW": outer(dp if self.normed is None else self.raw, s)}
        if self.normed is not None:
            found["dgW"] = (dp * self.normed.y.swapaxes(1, 2)).sum(axis=(0, 1)).reshape(-1, 1)
        return found


def cut(p: Array, c: int) -> Array:
    """Return a view of p (..., N, n) in blocks of c columns, (..., n / c, N, c)."""
    return p.reshape(*p.shape[:-1], p.shape[-1] // c, c).swapaxes(-3, -2)


def turned(normed: Normed, t: int) -> tuple[Array, Array]:
    """Return what was kept of step t with examples first, as the gradients stand."""
    return normed.y[t].swapaxes(0, 1), normed.inverse[t].swapaxes(0, 1)


def widths(n: int, depth: int, N: int) -> list[int]:
    """Return how many of n columns may make a block: what divides n, is not narrow, and makes a small product."""
    narrow = max(min(n, NARROW), 1)
    return [c for c in range(narrow, min(n, WIDE) + 1) if n % c == 0 and c * depth * N <= SMALL]


def normed_of(gain: Array | None, g: int, like: Array) -> Normed | None:
    """Return what a run with states like (T, N, n) keeps of a product of g gates; None where it has no gain."""
    if gain is None:
        return None
    T, N, n = like.shape
    return Normed(np.empty((T, g, N, n), like.dtype), np.empty((T, g, N, 1), like.dtype))


def product_of(W: Array, gain: Array | None, normed: Normed | None, g: int, like: Array) -> Product:
    """Return the product with W (g n, n) for states like (N, n)."""
    N, n = like.shape
    blocks, (p,) = blocks_of(W, g, N), room(like.dtype, (g, N, n))
    return Product(blocks, None if gain is None else gain.reshape(g, 1, n), normed, p, cut(p, blocks.shape[-1]))


def pullback_of(W: Array, gain: Array | None, normed: Normed | None, g: int, like: Array, steps: int) -> Pullback:
    """Return the way back through the product with W (g n, n) for states like (N, n) of so many steps."""
    N, n = like.shape
    blocks = blocks_back(W, g, N)
    (sums,) = room(like.dtype, (len(blocks), N, n))
    raw = np.empty((0 if normed is None else steps, N, g, n), like.dtype)
    gain = None if gain is None else gain.reshape(g, 1, n)
    return Pullback(blocks, gain, normed, sums, cut(sums, blocks.shape[-1]), raw)


def multiply(x: Array, U: Array, a: Array) -> None:
    """Fill a (T, g, N, n) with U x of all steps, for x (T, N, m) and U (g n, m)."""
    blocks = blocks_of(U, a.shape[1], x.shape[1])
    for steps in together(len(x), x.shape[1]):
        np.matmul(x[steps], blocks[:, :, None], out=cut(a[steps], blocks.shape[-1]).transpose(1, 2, 0, 3, 4), order="C")


def multiply_back(d: Array, U: Array) -> Array:
    """Return U^T d of all steps, (T, m, N) for d (T, N, g, n) and U (g n, m).

    In small products of some steps each, or else all at once in the order of `outer`.
    """
    T, N, m, d = len(d), d.shape[1], U.shape[1], flat(d)
    most = min(SMALL // max(U.size, 1), ROWS) // max(N, 1)
    count = max((k for k in range(1, most + 1) if T % k == 0), default=0)
    if count * N < NARROW:
        return (U.T @ tall(d).T).reshape(m, T, N).swapaxes(0, 1)
    return np.asarray(d.reshape(T // count, count * N, len(U)) @ U).reshape(T, N, m).swapaxes(1, 2)


def together(T: int, N: int) -> list[slice]:
    """Return the steps whose products with a block are taken one after the other, while it is in the cache."""
    count = max(1, ROWS // max(N, 1))
    return [slice(start, start + count) for start in range(0, T, count)]


def blocks_of(W: Array, g: int, N: int) -> Array:
    """Return W (g n, m) in blocks (g, b, m, c), for the product with N examples."""
    n, m = len(W) // g, W.shape[1]
    c = max(widths(n, m, N), default=max(n, 1))
    (blocks,) = room(W.dtype, (g, n // c, m, c))
    blocks[...] = W.reshape(g, n // c, c, m).swapaxes(2, 3)
    return blocks


def blocks_back(W: Array, g: int, N: int) -> Array:
    """Return W (g n, m) in blocks (parts, b, g n / parts, c), for the way back to N examples."""
    rows, m = W.shape
    parts, c = parted(rows, m, N, g, W.itemsize)
    (blocks,) = room(W.dtype, (parts, m // c, rows // parts, c))
    blocks[...] = W.reshape(parts, rows // parts, m // c, c).swapaxes(1, 2)
    return blocks


@lru_cache(maxsize=64)  # a step of a small cell would else take a tenth longer
def parted(rows: int, m: int, N: int, g: int, itemsize: int) -> tuple[int, int]:
    """Return the number of parts, at most 2 g, and the columns of a block.

    As many columns as fill the kernels come before few parts, whose sums cost time of their own.
    """
    choices = [
        (min(c * itemsize, FULL), -parts, c)
        for parts in range(1, 2 * g + 1)
        if rows % parts == 0
        for c in widths(m, rows // parts, N)
    ]
    _, fewest, c = max(choices, default=(0, -1, max(m, 1)))
    return -fewest, c


@lru_cache(maxsize=64)  # as above
def summed(rows: int, m: int, columns: int, itemsize: int) -> tuple[int, int]:
    """Return into how many parts its rows are cut for a sum of small products, else 1; and the columns of a block.

    The parts are as few as make small products or nearly so, and their sums fit the second cache.
    """
    c = max((c for c in widths(columns, m, 1) if c * itemsize <= FULL), default=max(columns, 1))
    few, fit = max(1, -(-rows * m * c // SMALL)), NEAR // max(1, m * columns * itemsize)
    return next((parts for parts in range(few, min(2 * few, fit) + 1) if rows % parts == 0), 1), c
