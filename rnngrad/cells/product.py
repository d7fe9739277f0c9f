"""The product p = W s of each step of a sequence, plain or normed: gain * norm(W s), gate by gate.

Examples stand as rows and gates on an axis of their own: s is (N, n), p is (N, g, n) for the g gates stacked in W.

W is copied once for each pass, into blocks so small that OpenBLAS multiplies them without packing them first. On one
thread and with N = 32 the products of the steps, a third of all there is to multiply, are 1.3 to 2 times as fast so
(``benchmarks/cells.py --products``).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.cells.memory import room
from rnngrad.cells.norm import norm, norm_backward

__all__ = ["Normed", "Product", "Pullback", "flat", "normed_of", "outer", "product_of", "pullback_of", "tall"]

Array = NDArray[Any]

SMALL = 10**6  # products of two numbers: what OpenBLAS takes for a small matrix, and does not pack, on AVX-512
NARROW, WIDE = 16, 64  # columns of a block: with fewer the kernels are slow, with more they are no faster
FULL = 256  # bytes: the columns that the kernels multiply at once, four vectors


def flat(x: Array) -> Array:
    """Join the last two axes, gates and units, into one."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def tall(x: Array) -> Array:
    """Join the first two axes, steps and examples, into one."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def outer(d: Array, x: Array) -> Array:
    """Return the sum of d x^T over all steps and examples, (g n, m) for d (T, N, g, n) and x (T, N, m).

    As the transpose of x d^T, which OpenBLAS multiplies up to a quarter faster from n = 256 on.
    """
    return (tall(x).T @ tall(flat(d))).T


@dataclass(frozen=True)
class Normed:
    """What a normed product keeps of each step: y = norm(W s) (T, N, g, n), and the inverse of its spread."""

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
            dp = norm_backward(dp * self.gain, self.normed.y[t], self.normed.inverse[t], axis=-1)
            self.raw[t] = dp
        parts, _, depth, _ = self.blocks.shape
        np.matmul(dp.reshape(len(dp), parts, 1, depth).transpose(1, 2, 0, 3), self.blocks, out=self.cut)
        return np.add.reduce(self.sums, axis=0, out=ds)

    def gradients(self, dp: Array, s: Array) -> dict[str, Array]:
        """Return dW, and dgW of a normed product, from dp (T, N, g, n) and s (T, N, n) of all steps."""
        found = {"dW": outer(dp if self.normed is None else self.raw, s)}
        if self.normed is not None:
            found["dgW"] = (dp * self.normed.y).sum(axis=(0, 1)).reshape(-1, 1)
        return found


def cut(p: Array, blocks: Array) -> Array:
    """Return a view of p (N, g, n) in blocks of columns, (g, b, N, c)."""
    return p.reshape(*p.shape[:2], blocks.shape[1], blocks.shape[3]).transpose(1, 2, 0, 3)


def widths(n: int, depth: int, N: int) -> list[int]:
    """Return how many of n columns may make a block: what divides n, is not narrow, and makes a small product."""
    narrow = min(n, NARROW)
    return [c for c in range(max(narrow, 1), min(n, WIDE) + 1) if n % c == 0 and c * depth * N <= SMALL]


def normed_of(gain: Array | None, g: int, like: Array) -> Normed | None:
    """Return what a run with states like (T, N, n) keeps of a product of g gates; None where it has no gain."""
    if gain is None:
        return None
    T, N, n = like.shape
    return Normed(np.empty((T, N, g, n), like.dtype), np.empty((T, N, g, 1), like.dtype))


def product_of(W: Array, gain: Array | None, normed: Normed | None, g: int, like: Array) -> Product:
    """Return the product with W (g n, n) for states like (N, n)."""
    N, n = like.shape
    c = max(widths(n, n, N), default=max(n, 1))
    blocks, p = room(like.dtype, (g, n // c, n, c), (N, g, n))
    blocks[...] = W.reshape(g, n // c, c, n).swapaxes(2, 3)
    return Product(blocks, None if gain is None else gain.reshape(g, n), normed, p, cut(p, blocks))


def pullback_of(W: Array, gain: Array | None, normed: Normed | None, g: int, like: Array, steps: int) -> Pullback:
    """Return the way back through the product with W (g n, n) for states like (N, n) of so many steps."""
    N, n = like.shape
    parts, c = parted(g, n, N, like.itemsize)
    blocks, sums = room(like.dtype, (parts, n // c, g * n // parts, c), (parts, N, n))
    blocks[...] = W.reshape(parts, g * n // parts, n // c, c).swapaxes(1, 2)
    raw = np.empty((0 if normed is None else steps, N, g, n), like.dtype)
    gain = None if gain is None else gain.reshape(g, n)
    return Pullback(blocks, gain, normed, sums, cut(sums.swapaxes(0, 1), blocks), raw)


def parted(g: int, n: int, N: int, itemsize: int) -> tuple[int, int]:
    """Return in how many parts the g n rows are summed, and by how many columns: full blocks, and then few parts."""
    choices = [
        (min(c * itemsize, FULL), -parts, c)
        for parts in range(1, 2 * g + 1)
        if g * n % parts == 0
        for c in widths(n, g * n // parts, N)
    ]
    _, fewest, c = max(choices, default=(0, -1, max(n, 1)))
    return -fewest, c
