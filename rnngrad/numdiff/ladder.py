"""The adaptive ladder: central differences at steps that shrink or grow while it helps.

Every line starts with three steps, h_0 = scale / 32 downwards. From the best cell of its tableau it goes on: a
smaller step where truncation dominates, a larger one where rounding does, a jump far down where nothing has converged
yet (a kink or a pole nearby, a wrong scale) or where truncation stays far above rounding at whatever step. It stops at
the target, or when neither way helps.
All lines advance together, so that the arithmetic is done on arrays and only the function is called one by one.
"""

from dataclasses import dataclass
from sys import maxsize

import numpy as np
from numpy.typing import NDArray

from rnngrad.numdiff.sample import Lines, sample
from rnngrad.numdiff.tableau import Cell, best_cell
from rnngrad.result import Estimate
from rnngrad.tree import Vector

__all__ = ["FINEST", "FIRST", "LEAST", "climb"]

TARGET = 1e-9  # relative bar at which a line is done: ten times less costs a step or two more
FIRST = 2.0**-5  # the first step, relative to the scale of the line
START = 3  # steps in the first window: the least that shows two corrections
LEAST = 2 * START  # evaluations that any line takes
WIDTH = 6  # steps in a window: a higher order than 5 never had the smallest bar
UP = 7  # how often the step may grow: to 4 times the scale
FINEST = 2.0**-44  # of the scale: a finer step, and a jump from it may be five levels finer, moves hardly an ulp
JUMP = 3  # steps skipped by a jump
CONVERGED = 1e-2  # relative bar above which a window counts as unconverged
BETTER = 0.7  # a bar counts as better below this share of the best: one step up alone halves what is rounding
GONE = 0.5  # share of a slope jump below which it is gone: the kink lies further away than the step
STUCK = 30.0  # a truncation of so many roundings that smaller steps do not reduce: something is finer than the steps
STRIKES = 2  # steps without a better bar before a line is given up


@dataclass
class Climb:
    """The state of all lines: samples of the current window, and the best cell met so far.

    ``level`` is the position of the window's first step on the ladder, ``filled`` how many steps it holds.
    """

    slope: NDArray[np.float64]
    bend: NDArray[np.float64]
    level: NDArray[np.intp]
    filled: NDArray[np.intp]
    jump: NDArray[np.float64]  # the slope jump that was seen last and is not excluded yet
    best: NDArray[np.float64]  # rows: value, bar, jump, kink, step
    strikes: NDArray[np.intp]
    taken: NDArray[np.intp]  # samples
    blocked: NDArray[np.bool_]  # no larger step: the last one up was not finite
    active: NDArray[np.bool_]
    evaluations: int = 0


def climb(
    lines: Lines,
    *,
    target: float = TARGET,
    ratio: float = 2.0,
    first: float | Vector = FIRST,
    samples: int = maxsize,
) -> Estimate:
    """Estimate the derivative along every line to a relative bar of ``target``, or as far as rounding lets it.

    ``first`` is the first step relative to each line's scale, one number or one for each line. The target is relative
    to the derivative itself, or to a hundredth of the root mean square of its group where that is larger. No line takes
    more than so many ``samples``, or more than the three that any takes; a sample is two evaluations.
    """
    n = lines.count
    state = at_the_foot(n)
    steps = lines.scale * first
    down = (np.log(steps / lines.scale / FINEST) / np.log(ratio)).astype(np.intp)
    everything = np.arange(n)
    for _ in range(START):
        append(state, lines, everything, steps, ratio)
    reference = np.zeros(n)
    started = False
    while state.active.any():
        rows = np.flatnonzero(state.active)
        filled = slice(0, int(state.filled[rows].max()))
        cell = best_cell(
            state.slope[rows, filled],
            state.bend[rows, filled],
            steps[rows] / ratio ** state.level[rows],
            lines.sigma[rows],
            ratio,
        )
        keep_better(state, rows, cell)
        if not started:
            reference = 0.01 * group_size(state.best, lines.group)
            started = True
        goal = target * np.fmax(np.abs(state.best[0]), reference)[rows]
        afford = samples - state.taken[rows]
        advance(state, lines, rows, cell, steps, ratio, goal, down[rows], afford)
    value, bar, jump, kink, step = state.best
    return Estimate(value, bar, jump, kink, step, state.evaluations)


def at_the_foot(n: int) -> Climb:
    """Return the state of so many lines before their first sample."""
    return Climb(
        slope=np.full((n, WIDTH), np.nan),
        bend=np.full((n, WIDTH), np.nan),
        level=np.zeros(n, np.intp),
        filled=np.zeros(n, np.intp),
        jump=np.zeros(n),
        best=np.array([np.full(n, np.nan), np.full(n, np.inf), np.zeros(n), np.zeros(n), np.full(n, np.nan)]),
        strikes=np.zeros(n, np.intp),
        taken=np.zeros(n, np.intp),
        blocked=np.zeros(n, bool),
        active=np.ones(n, bool),
    )


def keep_better(state: Climb, rows: NDArray[np.intp], cell: Cell) -> None:
    """Keep the cells that are better than all before; a line that got none gets a strike.

    Where a slope jump was seen, a cell at smaller steps counts only if it excludes that jump: at steps where rounding
    hides a kink nothing is smooth, only blurred.
    """
    bar, seen = cell.bar, state.jump[rows]
    excluded = np.abs(cell.jump) + cell.jump_bar < GONE * seen
    usable = (seen == 0) | excluded | (cell.kink > 0)
    better = (bar < state.best[1, rows]) & usable
    clearly = better & (bar < BETTER * state.best[1, rows])
    state.strikes[rows] = np.where(clearly, 0, state.strikes[rows] + 1)
    state.best[:, rows[better]] = np.array([cell.value, bar, cell.jump, cell.kink, cell.step])[:, better]
    met = np.isfinite(bar) & (cell.kink > 0)
    state.jump[rows] = np.where(met, np.abs(cell.jump), np.where(excluded, 0.0, seen))
    blurred = (cell.jump_bar > seen) & (cell.truncation <= cell.rounding)
    state.active[rows[(seen > 0) & blurred]] = False


def advance(
    state: Climb,
    lines: Lines,
    rows: NDArray[np.intp],
    cell: Cell,
    steps: Vector,
    ratio: float,
    goal: Vector,
    down: NDArray[np.intp],
    afford: NDArray[np.intp],
) -> None:
    """Take every active line one step on: down, up or far down; or stop it.

    Level ``down`` is the finest; a line may take as many more samples as it can ``afford``.
    """
    size = np.fmax(np.abs(cell.value), goal)
    hidden = cell.rounding > CONVERGED * size
    unconverged = (~(cell.bar <= CONVERGED * size) | (state.jump[rows] > 0)) & ~hidden | ~np.isfinite(cell.bar)
    too_coarse = cell.truncation + cell.kink > cell.rounding
    deepest = state.level[rows] + state.filled[rows] - 1
    finished = state.best[1, rows] <= goal
    struck = state.strikes[rows] >= STRIKES
    unconverged |= struck & (cell.truncation > STUCK * cell.rounding) & ~hidden
    given_up = struck & ~unconverged
    exhausted = np.where(unconverged | too_coarse, deepest >= down, (state.level[rows] <= -UP) | state.blocked[rows])
    stop = finished | given_up | exhausted | (afford < np.where(unconverged, START, 1))
    state.active[rows[stop]] = False
    go = ~stop & state.active[rows]
    jumping, finer, coarser = (
        rows[go & choice] for choice in (unconverged, ~unconverged & too_coarse, ~unconverged & ~too_coarse)
    )
    if len(jumping):
        state.level[jumping] += state.filled[jumping] + JUMP
        state.filled[jumping] = 0
        state.strikes[jumping] = 0
        state.slope[jumping] = state.bend[jumping] = np.nan
        for _ in range(START):
            append(state, lines, jumping, steps, ratio)
    if len(finer):
        append(state, lines, finer, steps, ratio)
    if len(coarser):
        prepend(state, lines, coarser, steps, ratio)


def append(state: Climb, lines: Lines, rows: NDArray[np.intp], steps: Vector, ratio: float) -> None:
    """Sample the next smaller step; the window drops its largest one where it is full."""
    crowded = rows[state.filled[rows] == WIDTH]
    for table in (state.slope, state.bend):
        table[crowded, :-1] = table[crowded, 1:]
    state.level[crowded] += 1
    state.filled[crowded] -= 1
    column = state.filled[rows]
    put(state, lines, rows, column, steps[rows] / ratio ** (state.level[rows] + column))
    state.filled[rows] += 1


def prepend(state: Climb, lines: Lines, rows: NDArray[np.intp], steps: Vector, ratio: float) -> None:
    """Sample the next larger step; the window drops its smallest one where it is full."""
    for table in (state.slope, state.bend):
        table[rows, 1:] = table[rows, :-1]
    state.level[rows] -= 1
    put(state, lines, rows, np.zeros(len(rows), np.intp), steps[rows] / ratio ** state.level[rows])
    state.filled[rows] = np.minimum(state.filled[rows] + 1, WIDTH)
    state.blocked[rows] = np.isnan(state.slope[rows, 0])


def put(state: Climb, lines: Lines, rows: NDArray[np.intp], column: NDArray[np.intp], steps: Vector) -> None:
    """Sample the lines in ``rows`` at the given steps, into the given columns."""
    state.slope[rows, column], state.bend[rows, column] = sample(lines, rows, steps)
    state.taken[rows] += 1
    state.evaluations += 2 * len(rows)


def group_size(best: NDArray[np.float64], group: NDArray[np.intp]) -> Vector:
    """Return for each line the root mean square of the converged values of its group."""
    value, bar = best[:2]
    usable = bar <= CONVERGED * np.abs(value)
    unit = float(np.max(np.abs(value), where=usable, initial=0.0)) or 1.0
    groups = group.max(initial=0) + 1
    squares = np.bincount(group[usable], (value[usable] / unit) ** 2, minlength=groups)
    counts = np.bincount(group[usable], minlength=groups)
    return np.asarray(unit * np.sqrt(squares / np.maximum(counts, 1))[group])
