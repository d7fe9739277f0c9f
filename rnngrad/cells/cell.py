"""What a sequence needs to know of a cell, and the arrays that they share.

Inside a sequence examples stand as rows. Each gate of a step is one contiguous block, which numpy works through faster
than the same numbers in rows apart; the gradients of a step are one matrix, as the products need them:

    s   (T, N, n)       states, one array for each state of the cell: an LSTM has s and c
    a   (T, g, N, n)    gates: U x + b of all steps at first, the activations once a step is done
    p   (g, N, n)       recurrent product W s of one step
    k   (k, N, n)       slopes of one step, by which cotangents are multiplied
    d   (T, N, g', n)   gradients at the gates

A cell gives two functions for what waits for the neighbouring step, `step` and `back`, and two for what is done for
many steps at once, `slopes` and `collect`. They allocate nothing within a step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnngrad.cells.product import Product, Pullback

__all__ = ["Array", "Cell", "Gradients", "Parameters", "Run", "Tools", "collect_sum", "squash"]

Array = NDArray[Any]
Parameters = Mapping[str, Array]
Gradients = dict[str, Array]


@dataclass(frozen=True)
class Run:
    """What is kept of one run over time: all that the way back needs.

    ``before`` and ``after`` hold, for each state, what each step started from and led to; ``kept`` (T, N, n) is what
    the cell keeps of each step beside gates and states.
    """

    a: Array
    before: tuple[Array, ...]
    after: tuple[Array, ...]
    kept: Array
    parameters: Parameters


@dataclass(frozen=True)
class Tools:
    """What one pass works with: its products with W, or the ways back through them, and scratch space (N, n).

    ``half`` (g, N, n) is 1/2 at the gates with a sigmoid and 1 elsewhere, ``rest`` is 1 - half.
    """

    products: tuple[Product, ...]
    pullbacks: tuple[Pullback, ...]
    work: Array
    half: Array
    rest: Array


@dataclass(frozen=True)
class Cell:
    """A cell: the shapes of its parameters, and its functions.

    sigmoids: for each gate, whether it is a sigmoid.
    products: the gates of each product with W; one product but where one waits for another.
    blocks: gates of d.
    multipliers: how many slopes k there are.
    keeps: whether there is a ``kept``; without one the activation of its only gate is its state, in one array.
    step(t, run, tools): fill ``after[t]``, ``kept[t]`` and the activations ``a[t]``.
    slopes(steps, run, k): fill k (k, steps, N, n) with the slopes of some steps.
    back(t, run, tools, k, d, ds): fill d (N, g', n) with the gradients at step t, and make of the cotangents ds of the
        states after the step those of the states before it, in place; k (k, N, n), those of this step, may be used up.
    collect(run, pullbacks, d): return the gradients of the parameters of the products, and the gradient at U x + b.
    """

    name: str
    sigmoids: tuple[bool, ...]
    states: tuple[str, ...]
    parameters: dict[str, str]
    products: tuple[int, ...]
    blocks: int
    multipliers: int
    keeps: bool
    step: Callable[[int, Run, Tools], None]
    slopes: Callable[[slice, Run, Array], None]
    back: Callable[[int, Run, Tools, Array, Array, tuple[Array, ...]], None]
    collect: Callable[[Run, tuple[Pullback, ...], Array], tuple[Gradients, Array]]

    @property
    def gates(self) -> int:
        """Return how many gates there are."""
        return len(self.sigmoids)


def collect_sum(run: Run, pullbacks: tuple[Pullback, ...], d: Array) -> tuple[Gradients, Array]:
    """Collect for a cell whose gates take the sum U x + b + W s: the gradients at both terms are the same."""
    return pullbacks[0].gradients(d, run.before[0]), d


def squash(a: Array, half: Array, rest: Array) -> None:
    """Replace a by its sigmoid, written 1/2 tanh(a / 2) + 1/2, where half is 1/2, and by tanh a where half is 1."""
    a *= half
    np.tanh(a, out=a)
    a *= half
    a += rest
