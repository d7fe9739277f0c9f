"""Richardson's tableau of central differences, with an error bar in every cell.

Column k holds the slope at step h_k = h_0 / ratio^k; order m has eliminated the terms h^2, ..., h^2m (Neville's
scheme). A cell's bar has three parts:

    truncation   max(|T[k,m] - T[k,m-1]|, |T[k,m] - T[k-1,m-1]|)
    rounding     4 sigma sqrt(1/2) sqrt(sum_k (w_k / h_k)^2), w_k the weights of the samples in the cell, and at
                 least 4 eps |T|
    kink         half of the slope jump where it exceeds its own bar: the bend extrapolated to h = 0 in h and h^3

The truncation term is wide by design: a sharper one, from the ratio of successive corrections, was measured 2 to 3
times tighter and 3 to 5 times less honest.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rnngrad.tree import Vector

__all__ = ["Cell", "best_cell"]

Table = NDArray[np.float64]

SAFETY = 4.0  # on sigma, which is itself estimated; with it no bar of 5,184 measured was short
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Cell:
    """For each line, the cell with the smallest bar: its value and the parts of its bar."""

    value: Vector
    truncation: Vector
    rounding: Vector
    jump: Vector
    jump_bar: Vector
    kink: Vector
    step: Vector

    @property
    def bar(self) -> Vector:
        """Return the error bar."""
        return self.truncation + self.rounding + self.kink


@cache
def rounding_growth(ratio: float, orders: int) -> tuple[float, ...]:
    """Return, for each order, by how much a cell's rounding error exceeds that of its smallest step alone."""
    weights = [np.array([1.0])]  # weights[m][j] belongs to the step h_k * ratio^j
    for m in range(1, orders):
        factor = 1 / (ratio ** (2 * m) - 1)
        last = weights[-1]
        weights.append(np.append(last * (1 + factor), 0.0) - np.append(0.0, last * factor))
    return tuple(float(np.sqrt(np.sum((w * ratio ** -np.arange(len(w))) ** 2))) for w in weights)


def slope_jump(bend: Table, step: Table, sigma: Table, ratio: float) -> tuple[Table, Table]:
    """Extrapolate the bend to a step of zero; return the slope jump and its bar at each column."""
    jump, bar = bend, np.full_like(bend, np.nan)
    growth = 1.0
    for stage, power in enumerate((1, 3)):
        factor = 1 / (ratio**power - 1)
        further, spread = jump.copy(), bar.copy()
        change = (jump[:, stage + 1 :] - jump[:, stage:-1]) * factor
        further[:, stage + 1 :] += change
        spread[:, stage + 1 :] = np.fmax(np.abs(change), np.abs(further[:, stage + 1 :] - jump[:, stage:-1]))
        growth *= 1 + 2 * factor
        jump, bar = further, spread
    return jump, bar + growth * SAFETY * sigma * np.sqrt(6.0) / step


def best_cell(slope: Table, bend: Table, first_step: Vector, sigma: Vector, ratio: float) -> Cell:
    """Return the best cell of each row's tableau.

    slope and bend are (lines, columns), filled from the left with steps first_step / ratio^k, nan beyond; a nan
    sample spoils the cells that would use it.
    """
    count, width = slope.shape
    step = first_step[:, None] / ratio ** np.arange(width)
    growth = rounding_growth(ratio, width)
    with np.errstate(all="ignore"):
        jump, jump_bar = slope_jump(bend, step, sigma[:, None], ratio)
        kink = np.where(np.abs(jump) > jump_bar, np.abs(jump) / 2, 0.0)
        kink[np.isnan(jump_bar)] = np.inf
        values = np.full((width, count, width), np.nan)
        truncation = np.full((width, count, width), np.inf)
        rounding = np.full((width, count, width), np.inf)
        table = slope
        for m in range(1, width):
            further = np.full_like(slope, np.nan)
            further[:, m:] = table[:, m:] + (table[:, m:] - table[:, m - 1 : -1]) / (ratio ** (2 * m) - 1)
            spread = np.maximum(np.abs(further[:, m:] - table[:, m:]), np.abs(further[:, m:] - table[:, m - 1 : -1]))
            values[m] = further
            truncation[m][:, m:] = np.where(np.isnan(spread), np.inf, spread)
            rounding[m] = SAFETY * sigma[:, None] * np.sqrt(0.5) * growth[m] / step + 4 * EPS * np.abs(further)
            table = further
        bar = truncation + rounding + kink
    bar[np.isnan(bar)] = np.inf
    order, column = np.unravel_index(bar.transpose(1, 0, 2).reshape(count, -1).argmin(axis=1), (width, width))
    row = np.arange(count)
    return Cell(
        values[order, row, column],
        truncation[order, row, column],
        rounding[order, row, column],
        jump[row, column],
        jump_bar[row, column],
        kink[row, column],
        step[row, column],
    )
