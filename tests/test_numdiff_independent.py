from dataclasses import replace

import numpy as np
import pytest
from numdiff_lines import lines_of

import rnngrad as rg
from rnngrad.numdiff.independent import RATIO, apart, from_below, probe_at, second_start
from rnngrad.numdiff.ladder import FINEST, FIRST, climb

SIGMA = 1e-16
MOST = 0.11 * FIRST


def estimate(value, bar, step=1e-2):
    value, bar, step = np.broadcast_arrays(*(np.atleast_1d(np.float64(row)) for row in (value, bar, step)))
    return rg.Estimate(value, bar, 0 * value, 0 * value, step, 0)


def climbed(f, x, first, *, scale=1.0, sigma=SIGMA):
    """Climb the first window of three steps only; return the estimate and the steps that were taken."""
    taken = []
    lines, _ = lines_of(lambda t: taken.append(abs(t[0] - x)) or f(t), x, scale=scale, sigma=sigma)
    taken.clear()
    return climb(lines, ratio=RATIO, first=first, target=1e99), taken


@pytest.mark.parametrize("bar", [1e-7, 1e-8, 1e-9])
@pytest.mark.parametrize("scale", [1.0, 64.0])
def test_rounding_takes_half_of_the_bar_where_the_second_ladder_starts(bar, scale):
    lines, _ = lines_of(lambda t: 3 * t[0], 1.0, scale=scale, sigma=1e-13)
    start = second_start(lines, estimate(3.0, 3.0 * bar))
    second, taken = climbed(lambda t: 3 * t[0], 1.0, start, scale=scale, sigma=1e-13)
    assert len(taken) == 6
    assert 0.3 <= second.bar[0] / (3.0 * bar / 2) <= 1.02  # less than all of it where a lower order does as well


@pytest.mark.parametrize(
    ("value", "bar", "sigma", "start"),
    [
        (3.0, 1e-9, 1.0, MOST),  # noise would ask for a larger step than the first ladder's
        (0.0, 0.0, SIGMA, MOST),
        (np.nan, np.inf, SIGMA, MOST),
        (3.0, 1e-9, 0.0, FINEST * 2**6),  # no noise: as low as there is room for some steps more
    ],
)
def test_the_second_ladder_starts_a_ninth_of_the_first_one_at_most(value, bar, sigma, start):
    lines, _ = lines_of(lambda t: 3 * t[0], 1.0, sigma=sigma)
    assert second_start(lines, estimate(value, bar)).tolist() == [start]


def test_a_bar_that_says_nothing_is_not_aimed_at():
    lines, _ = lines_of(lambda t: 3 * t[0], 1.0, sigma=SIGMA)
    starts = [second_start(lines, estimate(3.0, bar))[0] for bar in (3e-6, 1.0, np.inf)]
    assert starts[0] == starts[1] == starts[2]


@pytest.mark.parametrize("sigma", [1e-15, 1e-12])
def test_the_third_ladder_starts_where_rounding_hides_the_fifth_digit(sigma):
    lines, _ = lines_of(lambda t: 3 * t[0], 1.0, sigma=sigma)
    third, _ = climbed(lambda t: 3 * t[0], 1.0, from_below(lines, np.array([3.0]), np.array([1e-2])), sigma=sigma)
    assert 0.3 <= third.bar[0] / 3e-5 <= 1.02


@pytest.mark.parametrize(
    ("slope", "smallest", "sigma", "start"),
    [
        (3.0, 1e-2, 1.0, 1e-2 / 4),  # noise would ask for a larger step than those that are in doubt
        (np.nan, 1e-2, SIGMA, 1e-2 / 4),
        (0.0, 1e-2, SIGMA, 1e-2 / 4),
        (np.nan, np.nan, SIGMA, MOST),
        (3.0, 1e-2, 0.0, FINEST * 2**6),
    ],
)
def test_the_third_ladder_starts_below_all_steps_that_were_taken(slope, smallest, sigma, start):
    lines, _ = lines_of(lambda t: 3 * t[0], 1.0, sigma=sigma)
    assert from_below(lines, np.array([slope]), np.array([smallest])).tolist() == [start]


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((1.0, 0.1), (1.5, 0.1), 0.0),
        ((1.0, 0.1), (2.0, 0.1), 1.0),
        ((2.0, 0.1), (1.0, 0.1), 1.0),
        ((1.0, 0.1), (2.0, np.inf), 0.0),
        ((np.nan, np.inf), (1.0, 0.1), np.inf),
        ((np.nan, np.inf), (np.nan, np.inf), np.inf),
    ],
)
def test_estimates_are_apart_where_three_bars_do_not_reach(one, other, distance):
    assert apart(estimate(*one), estimate(*other)).tolist() == [distance]


def test_a_probe_is_taken_where_rounding_is_a_tenth_of_the_gap():
    lines, counted = lines_of(lambda t: (3 * t).sum(), [1.0, 1.0, 1.0], sigma=1e-10)
    gap = np.array([1e-3, 1e-12, 0.0])  # the second asks for a step that is too large, the third for an infinite one
    probed, slopes = probe_at(lines, np.arange(3), gap, np.full(3, 1e-2))
    assert (probed.tolist(), counted.calls) == ([0], 2)
    assert slopes == pytest.approx([3.0])
    noisy = replace(lines, f=lambda t: lines.f(t) + 4e-10 * np.sqrt(0.5) * np.sign(t[0] - 1))
    assert probe_at(noisy, np.arange(1), gap[:1], np.full(1, 1e-2))[1] == pytest.approx([3.0 + 1e-4])
