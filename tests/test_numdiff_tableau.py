import numpy as np
import pytest

from rnngrad.numdiff.tableau import EPS, SAFETY, best_cell, rounding_growth, slope_jump

RATIOS = (2.0, 1.6)


def cell_of(slope, bend, *, sigma=0.0, ratio=2.0, first_step=1.0):
    """Return the best cell of one line as plain numbers."""
    rows = [np.atleast_2d(np.array(row, dtype=float)) for row in (slope, bend)]
    cell = best_cell(*rows, np.array([first_step]), np.array([sigma]), ratio)
    names = ("value", "truncation", "rounding", "jump", "kink", "step", "bar")
    return {name: float(getattr(cell, name)[0]) for name in names}


def steps(columns, ratio=2.0, first=1.0):
    return first / ratio ** np.arange(columns)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("columns", [3, 4, 6])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_m_extrapolations_are_exact_for_a_polynomial_in_even_powers_up_to_2m(order, columns, ratio):
    if columns < order + 2:  # one column more, so that a correction of zero is seen
        columns = order + 2
    h = steps(columns, ratio)
    slope = 3.0 + sum(h ** (2 * power) / power for power in range(1, order + 1))
    cell = cell_of(slope, np.zeros(columns), ratio=ratio)
    assert cell["value"] == pytest.approx(3.0, rel=1e-14)
    assert cell["bar"] < 1e-11


def test_two_columns_give_the_four_point_rule():
    h = steps(2)
    cell = cell_of(1.0 + h**2 + h**4, np.zeros(2))  # slopes 3 and 1.3125
    assert cell["value"] == pytest.approx((4 * 1.3125 - 3) / 3, rel=1e-15)
    assert cell["truncation"] == pytest.approx(3 - cell["value"])
    assert cell["step"] == 0.5


def test_the_rounding_of_order_one_grows_as_its_two_weights_say():
    growth = rounding_growth(2.0, 2)
    assert growth == pytest.approx((1.0, np.hypot(4 / 3, 1 / 3 / 2)))  # weights 4/3 at h, -1/3 at 2 h


def test_the_rounding_of_order_two_grows_as_its_three_weights_say():
    weights = np.array([64 / 45, -20 / 45, 1 / 45])  # at h, 2 h, 4 h
    assert rounding_growth(2.0, 3)[2] == pytest.approx(np.linalg.norm(weights / [1, 2, 4]))


def test_the_bar_holds_four_times_the_rounding_of_the_samples():
    sigma = 1e-3
    cell = cell_of([5.0, 5.0], [0.0, 0.0], sigma=sigma)
    by_hand = SAFETY * sigma * np.sqrt(0.5) * np.hypot(4 / 3, 1 / 6) / 0.5
    assert cell["rounding"] == pytest.approx(by_hand + 4 * EPS * 5)
    assert cell["bar"] == cell["rounding"]


def test_noise_of_that_size_stays_within_the_bar():
    rng = np.random.default_rng(0)
    sigma, h = 1e-3, steps(4)
    forth, back = sigma * rng.standard_normal((2, 400, 4))
    cell = best_cell(7.0 + (forth - back) / (2 * h), np.zeros((400, 4)), np.ones(400), np.full(400, sigma), 2.0)
    assert (np.abs(cell.value - 7.0) <= cell.bar).all()


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("jump", [0.0, 1.0, -3.0])
def test_the_bend_is_extrapolated_to_a_step_of_zero_in_h_and_then_in_h_cubed(jump, ratio):
    h = steps(5, ratio)
    linear, _ = slope_jump((jump + 4 * h)[None], h[None], np.zeros((1, 1)), ratio)
    cubic, _ = slope_jump((jump + 4 * h + 3 * h**3)[None], h[None], np.zeros((1, 1)), ratio)
    np.testing.assert_allclose(linear[0, 2:], jump, atol=1e-13)
    np.testing.assert_allclose(cubic[0, 2:], jump, atol=1e-13)


@pytest.mark.parametrize("ratio", RATIOS)
def test_with_two_columns_the_jump_is_extrapolated_once(ratio):
    h = steps(2, ratio)
    jump, bar = slope_jump((1.0 + 4 * h)[None], h[None], np.zeros((1, 1)), ratio)
    assert jump[0, 1] == pytest.approx(1.0, rel=1e-13)
    assert bar[0, 1] > 0


def test_a_single_column_tells_nothing_about_a_jump():
    _, bar = slope_jump(np.ones((1, 1)), np.ones((1, 1)), np.zeros((1, 1)), 2.0)
    assert np.isnan(bar).all()


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("jump", [1.0, -3.0])
def test_half_of_a_jump_is_in_the_bar(jump, ratio):
    cell = cell_of(np.full(4, 2.0), np.full(4, jump), ratio=ratio)
    assert cell["jump"] == pytest.approx(jump, rel=1e-12)
    assert cell["kink"] == pytest.approx(abs(jump) / 2, rel=1e-12)
    assert cell["bar"] >= cell["kink"]


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_bend_that_goes_to_zero_with_the_step_widens_no_bar(ratio):
    h = steps(5, ratio)
    assert cell_of(np.full(5, 2.0), 4 * h + 3 * h**3, ratio=ratio)["kink"] == 0.0


def test_a_bend_within_its_own_rounding_is_no_jump():
    noisy = cell_of(np.full(3, 2.0), [1e-3, -1e-3, 2e-3], sigma=1e-2)
    assert noisy["kink"] == 0.0


def test_a_sample_that_is_nan_spoils_only_the_cells_that_use_it():
    cell = cell_of([np.nan, 2.0, 2.0, 2.0], [np.nan, 0.0, 0.0, 0.0])
    assert cell["value"] == pytest.approx(2.0, rel=1e-15)
    assert np.isfinite(cell["bar"])


@pytest.mark.parametrize("slope", [[np.nan] * 3, [2.0, np.nan, np.nan], [2.0, np.nan, 2.0]])
def test_without_two_samples_in_a_row_the_bar_is_infinite(slope):
    bend = np.where(np.isnan(slope), np.nan, 0.0)
    assert cell_of(slope, bend)["bar"] == np.inf


def test_every_line_has_a_cell_of_its_own():
    h = steps(3)
    slope = np.array([1 + h**2, 2 + 0 * h, np.full(3, np.nan)])
    bend = np.array([0 * h, 5 + 0 * h, np.full(3, np.nan)])
    cell = best_cell(slope, bend, np.array([1.0, 8.0, 1.0]), np.zeros(3), 2.0)
    assert cell.value[:2].tolist() == pytest.approx([1.0, 2.0])
    assert np.flatnonzero(cell.kink > 0).tolist() == [1, 2]
    assert cell.jump[1] == 5.0
    assert cell.bar[2] == np.inf


def test_of_cells_equally_true_the_one_with_less_rounding_is_taken():
    assert cell_of(np.full(6, 2.0), np.zeros(6), sigma=1e-6)["step"] == 0.5


def test_every_line_has_a_noise_of_its_own():
    cell = best_cell(np.full((3, 3), 5.0), np.zeros((3, 3)), np.ones(3), np.array([0.0, 1e-6, 1e-3]), 2.0)
    rounding = cell.rounding - 4 * EPS * 5
    np.testing.assert_allclose(rounding[2], 1e3 * rounding[1], rtol=1e-6)
    assert rounding[0] == 0.0
