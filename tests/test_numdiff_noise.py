import numpy as np
import pytest
from numdiff_lines import Counted

from rnngrad.numdiff.noise import MOST, NEARBY, SAMPLES, difference_noise, lost_in_single, lost_nearby, measure_noise

THETA = np.array([0.7, -1.3, 0.2, 2.1])


def measured(f, theta=THETA, v=None, seed=0):
    theta = np.asarray(theta, dtype=float)
    counted = Counted(f)
    f0 = counted(theta)
    counted.calls = 0
    weights = np.ones(f0.size) if v is None else np.asarray(v, dtype=float)
    return measure_noise(counted, theta, np.ones(theta.size), weights, f0, seed), counted


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [1e-12, 1e-8, 1e-4])
def test_noise_of_known_size_is_measured_within_a_factor_of_four(sigma, seed):
    rng = np.random.default_rng(100 + seed)
    noise, _ = measured(lambda t: np.sin(t).sum() + sigma * rng.standard_normal(), seed=seed)
    assert sigma / 4 <= noise.sigma <= 4 * sigma


@pytest.mark.parametrize("seed", range(5))
def test_the_noise_of_several_outputs_adds_up_under_the_cotangent(seed):
    rng = np.random.default_rng(seed)
    v = np.array([1.0, -4.0, 0.0, 8.0])
    noise, _ = measured(lambda t: np.sin(t) + 1e-8 * rng.standard_normal(4), v=v)
    assert 1e-8 * 9 / 4 <= noise.sigma <= 4 * 1e-8 * 9  # sqrt(1 + 16 + 64) = 9


def test_noise_that_the_outputs_share_is_seen_in_their_sum():
    rng = np.random.default_rng(3)
    noise, _ = measured(lambda t: np.cos(t) + 1e-8 * rng.standard_normal())
    assert 4e-8 / 4 <= noise.sigma <= 4 * 4e-8  # four times one error, and not twice


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
def test_the_rounding_of_a_plain_function_is_found_to_be_about_an_ulp(offset):
    noise, _ = measured(lambda t: np.tanh(t).sum() * np.exp(t[0]) + offset)
    ulp = np.spacing(np.tanh(THETA).sum() * np.exp(THETA[0]) + offset)
    assert 0.29 * ulp <= noise.sigma <= 4 * ulp


def test_a_constant_function_has_at_least_three_tenths_of_an_ulp():
    noise, _ = measured(lambda _: 1 / 3)
    assert noise.sigma == pytest.approx(0.3 * np.spacing(1 / 3))


def test_a_function_that_is_zero_has_hardly_any_noise():
    assert measured(lambda _: 0.0)[0].sigma < 1e-300


@pytest.mark.parametrize("theta", [THETA, [0.0, 0.0], [1e-8, 1e8]])
def test_a_smooth_function_is_not_taken_for_noise(theta):
    noise, _ = measured(lambda t: t @ t, theta=theta)
    assert noise.sigma <= 4 * max(np.spacing(np.dot(theta, theta)), 2e-16)


def test_a_computation_in_single_precision_is_recognised_with_its_noise():
    noise, _ = measured(lambda t: np.tanh(t.astype(np.float32)).sum(dtype=np.float32))
    ulp = float(np.spacing(np.float32(np.tanh(THETA).sum())))
    assert noise.single
    assert ulp / 4 <= noise.sigma <= 4 * ulp
    assert noise.evaluations == 2 * 24


def test_a_float32_value_at_the_point_alone_is_not_single_precision():
    noise, counted = measured(lambda t: t.sum(), theta=np.float32([0.7, -1.3]))
    assert not noise.single
    assert noise.evaluations == counted.calls == 24


@pytest.mark.parametrize(
    "outputs",
    [
        [1 / 3, 0.5],  # one of them is no float32
        [0.5, -2.0, 0.0, 768.0],  # all exact in few bits: nothing was rounded
        [1e39, 0.5],  # beyond float32
        [],
    ],
    ids=["one_of_them", "short", "beyond", "none"],
)
def test_double_precision_is_not_taken_for_single(outputs):
    assert not measured(lambda _: np.array(outputs))[0].single


@pytest.mark.parametrize("theta", [[101.0, 57.0], [1001.0]])
def test_a_whole_number_of_many_digits_is_not_taken_for_single_precision(theta):
    noise, _ = measured(lambda t: t @ t, theta=theta)
    assert noise.sigma <= 4 * np.spacing(np.dot(theta, theta))


@pytest.mark.parametrize("size", [1e-170, 1e160, 1e300])
def test_the_noise_of_huge_and_of_tiny_values_is_about_an_ulp_of_them(size):
    noise, _ = measured(lambda t: size * np.sin(t[0]))
    ulp = np.spacing(size * np.sin(THETA[0]))
    assert 0.29 * ulp <= noise.sigma <= 4 * ulp


def test_outputs_that_are_not_finite_are_not_taken_for_single():  # BUG: 0 * inf warns outside of the errstate
    assert not measured(lambda _: np.array([np.inf, 0.5]), v=[0.0, 1.0])[0].single


def test_an_output_that_is_not_finite_nearby_does_not_hide_the_noise_of_the_others():
    rng = np.random.default_rng(5)
    theta = np.array([1.0])
    noise, _ = measured(lambda t: [1e-8 * rng.standard_normal(), 1.0 if t[0] == 1.0 else np.nan], theta)
    assert 1e-8 / 4 <= noise.sigma <= 4e-8


@pytest.mark.parametrize("v", [1e-160, 1e160])
def test_the_noise_is_in_proportion_to_the_cotangent(v):
    noise, _ = measured(np.sin, v=np.full(4, v))
    assert noise.sigma == pytest.approx(v * measured(np.sin)[0].sigma, rel=1e-9)


def test_at_zero_the_points_are_a_few_ulp_of_the_scale_away():
    seen = []
    measured(lambda t: seen.append(t.copy()) or t.sum(), theta=[0.0, 1.5])
    entries = np.array(seen[1:])[:, 0]
    assert set(np.unique(entries[entries != 0] / np.spacing(1.0))) <= set(range(1, 121))


@pytest.mark.parametrize(("outputs", "evaluations"), [(1, 24), (15, 24), (16, 16), (255, 16), (256, 6), (3000, 6)])
def test_evaluations_depend_on_the_outputs_and_not_on_the_parameters(outputs, evaluations):
    for size in (1, 300):
        noise, counted = measured(lambda t: t.sum() * np.ones(outputs), np.linspace(1, 2, size), np.ones(outputs))
        assert counted.calls == noise.evaluations == evaluations


@pytest.mark.parametrize("outputs", [63, 64, 65, 1000, 5000])
@pytest.mark.parametrize("seed", range(5))
def test_the_noise_of_many_outputs_adds_up_although_they_are_folded(seed, outputs):
    rng = np.random.default_rng(seed)
    noise, _ = measured(lambda t: np.sin(t.sum()) + 1e-8 * rng.standard_normal(outputs), v=np.ones(outputs), seed=seed)
    assert 1e-8 * outputs**0.5 / 2 <= noise.sigma <= 4e-8 * outputs**0.5


def test_noise_that_many_outputs_share_is_seen_in_their_sum():
    rng = np.random.default_rng(3)
    noise, _ = measured(lambda t: np.cos(t.sum()) + 1e-8 * rng.standard_normal() + np.zeros(1000), v=np.ones(1000))
    assert 1e-5 / 4 <= noise.sigma <= 4e-5


def test_a_function_may_change_what_it_gets():
    def greedy(t):
        value = np.sin(t).sum()
        t[:] = np.nan
        return value

    f0 = np.sin([THETA.sum()])
    noise = measure_noise(lambda t: np.atleast_1d(greedy(t)), THETA.copy(), np.ones(4), np.ones(1), f0)
    assert noise == measure_noise(lambda t: np.sin(t).sum(keepdims=True), THETA, np.ones(4), np.ones(1), f0)


def test_one_point_serves_all_where_this_is_allowed():
    points = []
    f0 = np.ones(1)
    measure_noise(lambda t: points.append(t) or f0, THETA, np.ones(4), f0, f0, reuse=True)
    assert len({id(point) for point in points}) == 1


def test_every_point_is_a_few_ulp_off_and_equally_spaced():
    seen = []
    measured(lambda t: seen.append(t.copy()) or t.sum())
    for line in np.array(seen[1:]).reshape(3, MOST - 1, -1):
        line = np.concatenate([THETA[None], line])
        gaps = np.diff(line, axis=0)
        np.testing.assert_array_equal(gaps, np.broadcast_to(gaps[0], gaps.shape))
        multiples = np.abs(gaps[0]) / np.spacing(np.abs(THETA))
        assert (multiples % 2 == 1).all()
        assert multiples.max() < 16
        assert (np.sign(gaps[0]) == -np.sign(THETA)).all()


def test_the_same_seed_gives_the_same_noise():
    first, second = (measured(lambda t: np.sin(t).sum(), seed=7)[0] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("points", sorted({points for _, points in SAMPLES.values()}))
def test_differences_of_pure_noise_give_its_size(points):
    values = np.random.default_rng(0).standard_normal((1, points, 500))
    estimates = difference_noise(values)
    assert np.mean((estimates > 0.25) & (estimates < 4)) > 0.99
    assert np.median(estimates) == pytest.approx(1.0, rel=0.2)


@pytest.mark.parametrize("power", [0, 1, 2])
def test_differences_of_a_line_or_a_parabola_give_no_noise(power):
    assert difference_noise(np.arange(MOST, dtype=float)[None, :, None] ** power).tolist() == [[0.0]]


def test_noise_on_a_steep_line_is_found_all_the_same():
    rng = np.random.default_rng(1)
    values = 1e3 * np.arange(MOST)[None, :, None] + rng.standard_normal((1, MOST, 300))
    estimates = difference_noise(values)
    assert np.mean((estimates > 0.25) & (estimates < 4)) > 0.97


def test_what_single_precision_loses_predicts_the_noise_that_ulps_do_not_stir():
    def f(theta):
        return 1 + np.tanh(theta)

    theta, v = np.array([-17.0]), np.ones(1)  # 1 + tanh(-17) is 1.7e-15, in units of 1.1e-16
    found = lost_in_single(f, theta, v, f(theta))
    assert 1e-25 < found < 1e-15
    assert lost_in_single(lambda t: t * 3, np.array([2.0]), v, np.array([6.0])) == 0


@pytest.mark.parametrize("f", [lambda t: 1 / 0, lambda t: t * np.inf], ids=["raises", "overflows"])
def test_a_function_that_does_not_run_in_single_precision_predicts_nothing(f):
    assert lost_in_single(f, np.ones(2), np.ones(2), np.ones(2)) == 0


@pytest.mark.parametrize("size", [1e-170, 1e-42])
def test_an_output_that_is_too_small_for_single_precision_predicts_nothing(size):
    x = np.array([0.3, 0.7])
    assert lost_in_single(lambda t: size * np.sin(t), x, np.ones(2), size * np.sin(x)) == 0
    both = lost_in_single(lambda t: np.append(size, 1.0) * np.sin(t), x, np.ones(2), np.append(size, 1.0) * np.sin(x))
    assert 0 < both < 1e-14


def test_rounding_that_no_ulp_stirs_is_told_from_several_points_nearby():
    rng = np.random.default_rng(0)
    found = []
    for x in 10.0 ** rng.uniform(-4, -2, (50, 1)):
        counted = Counted(lambda t: (np.exp(t) - 1) / t)
        found.append(lost_nearby(counted, x, np.ones(1)) / (1e-16 / x[0]))
        assert counted.calls == 2 * NEARBY
    assert 0.1 < min(found) < max(found) < 10  # times 1e-16, which is what exp(t) - 1 is rounded by


def test_points_nearby_are_numbers_of_single_precision_so_that_only_the_function_rounds():
    theta = np.array([0.1, -1e6, 0.0, 3e-7])
    assert lost_nearby(lambda t: 4 * t, theta, np.ones(4)) == 0
    assert lost_in_single(lambda t: 4 * t, theta, np.ones(4), 4 * theta) > 0


def test_a_function_that_does_not_run_nearby_in_single_precision_predicts_nothing():
    def f(t):
        if t.dtype == np.float32:
            raise TypeError
        return np.exp(t) - 1

    assert lost_nearby(f, np.ones(1), np.ones(1)) == 0
