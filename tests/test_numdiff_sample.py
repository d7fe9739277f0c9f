from dataclasses import replace

import numpy as np
import pytest
from numdiff_lines import lines_of

from rnngrad.numdiff.sample import Scratch, sample

ALL = np.array([0])


def one(f, x, step, **options):
    lines, _ = lines_of(f, x, **options)
    slope, bend = sample(lines, ALL, np.array([step]))
    return slope[0], bend[0]


@pytest.mark.parametrize(
    ("f", "x", "step", "slope", "bend"),
    [
        (lambda t: 3 * t[0] + 1, 2.0, 0.25, 3.0, 0.0),
        (lambda t: t[0] ** 2, 2.0, 0.25, 4.0, 0.5),  # bend 2 h
        (lambda t: t[0] ** 3, 2.0, 0.25, 12.0 + 0.25**2, 12 * 0.25),  # slope 3 x^2 + h^2, bend 6 x h
        (lambda t: abs(t[0]), 0.0, 0.5, 0.0, 2.0),
        (lambda t: np.maximum(t[0], 0), 0.0, 0.5, 0.5, 1.0),
        (lambda t: np.maximum(0.01 * t[0], t[0]), 0.0, 0.5, 0.505, 0.99),
    ],
)
def test_slope_and_bend_are_those_worked_out_by_hand(f, x, step, slope, bend):
    assert one(f, x, step) == pytest.approx((slope, bend), rel=1e-14, abs=1e-14)


def test_the_outputs_are_weighted_by_the_cotangent():
    slope, bend = one(lambda t: [t[0], abs(t[0])], 0.0, 0.5, v=[3.0, -2.0])
    assert (slope, bend) == (3.0, -4.0)


def test_the_outputs_are_subtracted_before_they_are_weighted():
    def f(t):
        return [1e12 + t[0], 1e12 - t[0]]

    slope, _ = one(f, 0.0, 0.5, v=[1 / 3, -1 / 3])
    assert slope == pytest.approx(2 / 3, rel=1e-15)


def test_the_step_is_the_one_that_floating_point_takes():
    slope, _ = one(lambda t: 3 * (t[0] - 1e9), 1e9, 1e-7)  # 1e9 + 1e-7 is 1e9 + 1.19e-7
    assert slope == 3.0


def test_a_step_below_an_ulp_gives_nan():
    assert np.isnan(one(lambda t: t[0], 1.0, 1e-17)).all()


@pytest.mark.parametrize("f", [lambda t: np.log(t[0]), lambda t: np.inf if t[0] > 0.1 else t[0]])
def test_a_point_where_the_function_is_not_finite_gives_nan_twice(f):
    assert np.isnan(one(f, 0.125, 0.25)).all()


@pytest.mark.parametrize("reuse", [False, True])
def test_a_line_moves_its_own_entry_only_and_leaves_the_point_alone(reuse):
    seen = []
    theta = np.array([1.0, 2.0, 3.0])
    lines, _ = lines_of(lambda t: seen.append(t.copy()) or t.sum(), theta, reuse=reuse)
    sample(lines, np.array([1, 0]), np.array([0.5, 0.25]))
    np.testing.assert_array_equal(seen[1:3], [[1.0, 2.5, 3.0], [1.0, 1.5, 3.0]])
    np.testing.assert_array_equal(seen[3:], [[1.25, 2.0, 3.0], [0.75, 2.0, 3.0]])
    np.testing.assert_array_equal(theta, [1.0, 2.0, 3.0])


def test_each_sample_takes_two_evaluations():
    lines, counted = lines_of(lambda t: t.sum(), [1.0, 2.0, 3.0])
    sample(lines, np.array([0, 2, 2]), np.array([0.1, 0.2, 0.3]))
    assert counted.calls == 6


def test_some_of_the_lines_keep_their_entries_scales_noise_and_groups():
    lines, _ = lines_of(lambda t: t @ [1.0, 10.0, 100.0], [1.0, 2.0, 3.0], scale=[4.0, 5.0, 6.0], group=[0, 1, 1])
    lines = replace(lines, sigma=np.array([7.0, 8.0, 9.0]))
    some = lines.take(np.array([2, 0])).take(np.array([0]))
    assert (some.count, some.scale.tolist(), some.sigma.tolist(), some.group.tolist()) == (1, [6.0], [9.0], [1])
    assert sample(some, ALL, np.array([0.5]))[0] == [100.0]


def test_the_lines_along_entries_are_of_one_group_and_equally_noisy():
    lines, _ = lines_of(lambda t: t.sum(), [1.0, 2.0, 3.0], sigma=2.5)
    assert lines.group.tolist() == [0, 0, 0]
    assert lines.sigma.tolist() == [2.5, 2.5, 2.5]


def test_a_point_is_a_new_array_unless_it_may_be_used_again():
    theta = np.arange(4.0)
    for reuse in (False, True):
        scratch = Scratch(theta, reuse)
        first, second = scratch.point(slice(0, 1)), scratch.point(slice(1, 2))
        assert (first is second) == reuse
        assert first is not theta


def test_what_was_written_for_one_run_is_gone_in_the_next():
    theta = np.arange(6.0)
    scratch = Scratch(theta, True)
    for run in (slice(0, 3), slice(0, 3), slice(2, 5), slice(5, 6), slice(0, 6), slice(1, 2)):
        point = scratch.point(run)
        outside = np.ones(6, bool)
        outside[run] = False
        np.testing.assert_array_equal(point[outside], theta[outside])
        point[run] = np.nan
    np.testing.assert_array_equal(theta, np.arange(6.0))
