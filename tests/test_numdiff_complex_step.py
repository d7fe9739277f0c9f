"""The complex step certifies what it is right for and refuses what it is wrong for: both tables are closed lists."""

import math

import numpy as np
import pytest
from numdiff_lines import FAMILIES, Counted, exact_slope

from rnngrad.numdiff.complex_step import STARTS, certify, imaginary_slopes
from rnngrad.numdiff.directional import Direction, direction_lines, draw_direction
from rnngrad.numdiff.noise import measure_noise
from rnngrad.numdiff.scale import length_scale

SIZE = 12
EPS = np.finfo(float).eps
ONES = np.ones(SIZE)


def matrices(t):
    return t[:6].reshape(2, 3), t[6:].reshape(3, 2)


def softmax(t):
    e = np.exp(t - t.real.max())
    return e / e.sum()


def sigmoid(t):
    return 1 / (1 + np.exp(-t))


def layer_norm(t):
    centred = t - t.mean()
    return centred / np.sqrt((centred * centred).mean() + 1e-5)


def elman(t):
    h = 0 * t[:2]
    for x in t[:6].reshape(3, 2):
        h = np.tanh(t[6:10].reshape(2, 2) @ h + t[10:] * x)
    return h


def lstm(t):
    return np.tanh(sigmoid(t[:4]) * 0.3 + sigmoid(t[4:8]) * np.tanh(t[8:]))


def buffer_of_its_kind(t):
    out = np.zeros_like(t)
    for i, entry in enumerate(t):
        out[i] = entry * entry
    return out


SAFE = {
    "line": lambda t: 3 * t - 1,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": lambda t: np.log(t * t + 0.5),
    "sin": np.sin,
    "cos": np.cos,
    "tan": lambda t: np.tan(t / 4),
    "tanh": np.tanh,
    "saturated tanh": lambda t: np.tanh(8 * t),
    "arctan": np.arctan,
    "sqrt": lambda t: np.sqrt(t * t + 0.1),
    "power": lambda t: (t * t + 0.2) ** 1.7,
    "cube": lambda t: t**3,
    "division": lambda t: t[:6] / (3.5 + t[6:]),
    "sigmoid": sigmoid,
    "softmax": softmax,
    "cross-entropy": lambda t: -np.log(softmax(t))[[0, 3]],
    "logsumexp": lambda t: np.log(np.exp(t).sum(keepdims=True)),
    "layer norm": layer_norm,
    "norm by hand": lambda t: np.sqrt((t * t).sum(keepdims=True)),
    "matmul": lambda t: np.matmul(*matrices(t)).ravel(),
    "einsum": lambda t: np.einsum("ij,jk->ik", *matrices(t)).ravel(),
    "solve": lambda t: np.linalg.solve(t[:4].reshape(2, 2) + 5 * np.eye(2), t[4:6]),
    "product": lambda t: np.prod(t, keepdims=True),
    "running sum": np.cumsum,
    "picked entries": lambda t: t[[3, 3, 1]] ** 2,
    "relu by where": lambda t: np.where(t.real > 0, t, 0),
    "maximum of what differs": lambda t: np.maximum(t, 0),
    "sort of what differs": lambda t: np.sort(t) * np.arange(SIZE),
    "buffer of its kind": buffer_of_its_kind,
    "Elman": elman,
    "LSTM": lstm,
    "constant beside others": lambda t: np.append(t * t, 0 * t[0] + 1),
    "no outputs": lambda t: t[:0],
}


def real_buffer(t):
    out = np.zeros(t.shape)
    for i, entry in enumerate(t):
        out[i] = entry * entry
    return out


TYPE_ERROR = "it raises TypeError for complex inputs"
CAST = "it raises ComplexWarning for complex inputs"
NOT_COMPLEX = "its outputs are not complex for complex inputs"
OTHER_REAL = "its real part changes for complex inputs"
UNCLEAR = "no short ladder of real differences is clear enough to certify it"
JUMPS = "its slope jumps here, to which complex numbers are blind"
NOT_DERIVATIVE = "its imaginary part is not its derivative"

UNSAFE = {
    "abs": (np.abs, NOT_COMPLEX),
    "abs inside": (lambda t: t * np.abs(t), NOT_DERIVATIVE),
    "norm": (lambda t: np.linalg.norm(t, keepdims=True), NOT_COMPLEX),
    "divided by its norm": (lambda t: t / np.linalg.norm(t), NOT_DERIVATIVE),
    "divided by its largest": (lambda t: t / np.abs(t).max(), NOT_DERIVATIVE),
    "real": (lambda t: np.real(t) ** 2, NOT_COMPLEX),
    "real inside": (lambda t: t.real * t, NOT_DERIVATIVE),
    "conj": (np.conj, NOT_DERIVATIVE),
    "vdot": (lambda t: np.atleast_1d(np.vdot(t, t)), NOT_DERIVATIVE),
    "Hermitian product": (lambda t: (matrices(t)[0] @ matrices(t)[0].conj().T).ravel(), NOT_DERIVATIVE),
    "var": (lambda t: np.var(t, keepdims=True), NOT_COMPLEX),
    "divided by var": (lambda t: (t - t.mean()) / np.sqrt(np.var(t) + 1e-5), NOT_DERIVATIVE),
    "std": (lambda t: np.std(t, keepdims=True), NOT_COMPLEX),
    "divided by std": (lambda t: t / np.std(t), NOT_DERIVATIVE),
    "cov": (lambda t: np.cov(t.reshape(2, 6)).ravel(), NOT_DERIVATIVE),
    "sign": (lambda t: t * np.sign(t), NOT_DERIVATIVE),
    "stable softplus": (lambda t: np.log1p(np.exp(-np.abs(t))) + np.maximum(t, 0), NOT_DERIVATIVE),
    "angle": (np.angle, NOT_COMPLEX),
    "hypot": (lambda t: np.hypot(t[:6], t[6:]), TYPE_ERROR),
    "arctan2": (lambda t: np.arctan2(t[:6], t[6:]), TYPE_ERROR),
    "logaddexp": (lambda t: np.logaddexp(t[:6], t[6:]), TYPE_ERROR),
    "cbrt": (np.cbrt, TYPE_ERROR),
    "fabs": (np.fabs, TYPE_ERROR),
    "heaviside": (lambda t: t * np.heaviside(t, 0), TYPE_ERROR),
    "mod": (lambda t: np.mod(t, 1), TYPE_ERROR),
    "real buffer": (real_buffer, CAST),
    "astype": (lambda t: t.astype(float) ** 2, CAST),
    "float()": (lambda t: np.array([float(entry) ** 2 for entry in t]), CAST),
    "math": (lambda t: np.array([math.exp(entry) for entry in t]), CAST),
    "rounding": (lambda t: np.round(64 * t) / 64, NOT_DERIVATIVE),
    "inverse Fourier transform": (np.fft.irfft, NOT_COMPLEX),
    "another shape": (lambda t: t if np.isrealobj(t) else t[:3], NOT_COMPLEX),
    "another function": (lambda t: np.sin(t) if np.isrealobj(t) else np.cos(t), OTHER_REAL),
    "single precision": (lambda t: np.tanh(t.astype(np.complex64) if np.iscomplexobj(t) else t), OTHER_REAL),
    "not finite": (lambda t: t if np.isrealobj(t) else np.nan * t, OTHER_REAL),
    "constant": (lambda t: 0 * t + 1, UNCLEAR),
    "a little of it": (lambda t: t + 1e-8 * np.abs(t), NOT_DERIVATIVE),
    "one of many": (lambda t: np.append(1e3 * np.sin(t), t[0] * np.abs(t[0])), NOT_DERIVATIVE),
}


def point_of(seed):
    rng = np.random.default_rng([seed, SIZE])
    theta = rng.standard_normal(SIZE)
    return theta, draw_direction(0, np.ones(SIZE), np.zeros(SIZE), rng)


def certified(f, theta, direction, **options):
    def real(t):
        return np.asarray(f(t), dtype=float)

    return certify(real, f, theta, real(theta), direction, **options)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SAFE)
def test_what_is_analytic_is_certified(name, seed):
    certificate = certified(SAFE[name], *point_of(seed))
    assert (certificate.safe, certificate.reason) == (True, "")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_not_analytic_is_refused_with_the_reason(name, seed):
    f, reason = UNSAFE[name]
    certificate = certified(f, *point_of(seed))
    assert (certificate.safe, certificate.reason) == (False, reason)


@pytest.mark.parametrize(
    "f",
    [lambda t: np.maximum(t, 0), lambda t: np.maximum(t[:6], t[6:]), lambda t: np.sort(t.reshape(6, 2)).ravel()],
    ids=["maximum_with_zero", "maximum_of_two", "sort"],
)
def test_a_tie_makes_maximum_and_sort_unsafe(f):
    direction = point_of(0)[1]
    assert certified(f, np.zeros(SIZE), direction).reason == NOT_DERIVATIVE


def test_a_function_is_certified_where_it_is_used_and_not_elsewhere():
    def f(t):
        return t * t if t[0].real > 0 else t * np.conj(t)

    theta, direction = point_of(0)
    assert [certified(f, np.append(first, theta[1:]), direction).safe for first in (4.0, -4.0)] == [True, False]


def test_a_direction_over_some_entries_certifies_these():
    def f(t):
        return np.append(t[:6] ** 2, np.abs(t[6:]) + 0 * t[:6])

    theta, direction = point_of(0)
    first, second = Direction(0, direction.values[:6]), Direction(6, direction.values[6:])
    assert [certified(f, theta, part).safe for part in (first, second)] == [True, False]


@pytest.mark.parametrize("frequency", [1.0, 30.0, 1e3])
def test_one_of_the_short_ladders_fits_what_varies_fast(frequency):
    theta, direction = point_of(1)
    assert certified(lambda t: np.sin(frequency * t), theta, direction).safe
    assert not certified(lambda t: np.sin(frequency * np.conj(t)), theta, direction).safe


def test_what_varies_too_fast_for_all_of_them_is_not_certified():
    assert certified(lambda t: np.sin(1e9 * t), *point_of(1)).reason == UNCLEAR


def test_what_is_never_the_same_twice_is_not_certified():
    rng = np.random.default_rng(0)
    theta, direction = point_of(0)
    noisy = Counted(lambda t: np.sin(t) + 1e-4 * rng.standard_normal(SIZE))
    assert certify(noisy, np.sin, theta, np.sin(theta), direction).reason == UNCLEAR


def test_noise_that_is_known_is_allowed_for_and_refused_where_it_hides_the_slope():
    def f(t):
        return (t + 1e7) - 1e7

    rng = np.random.default_rng(0)
    theta, direction = rng.standard_normal(2000), draw_direction(0, np.ones(2000), np.zeros(2000), rng)
    assert certified(f, theta, direction, noise=1e14).reason == UNCLEAR
    assert certified(f, theta, direction, noise=1e7).safe
    assert not certified(lambda t: f(np.conj(t)), theta, direction, noise=1e7).safe


@pytest.mark.parametrize("size", [1e-170, 1e160, 1e300])
def test_huge_and_tiny_outputs_are_certified_like_others(size):
    theta, direction = point_of(0)
    assert certified(lambda t: size * np.sin(t), theta, direction).safe
    assert certified(lambda t: size * np.sin(np.conj(t)), theta, direction).reason == NOT_DERIVATIVE


@pytest.mark.parametrize(
    ("f", "most"), [(np.sin, 7), (np.conj, 7), (lambda t: np.sin(3000 * t), 1 + 6 * len(STARTS)), (np.abs, 1)]
)
def test_evaluations_are_the_calls_that_were_made(f, most):
    calls = []

    def counted(t):
        calls.append(t.dtype)
        return f(t)

    theta, direction = point_of(0)
    certificate = certify(counted, counted, theta, f(theta), direction)
    assert certificate.evaluations == len(calls) == most
    assert calls.count(np.dtype(complex)) == 1


def test_a_function_may_change_what_it_gets():
    def greedy(t):
        value = t * t
        t[:] = np.nan
        return value

    theta, direction = point_of(0)
    before = theta.copy()
    assert certify(greedy, greedy, theta, theta * theta, direction).safe
    estimate = imaginary_slopes(greedy, theta, ONES, [direction, direction], np.zeros(2))
    np.testing.assert_allclose(estimate.value, 2 * before @ direction.values, rtol=1e-14)
    assert theta.tolist() == before.tolist()


def slopes_of(f, theta, directions, *, v, claimed=None, lengths=None):
    """Return the slopes by the complex step, with the noise of the lines along the directions."""
    real = Counted(f)
    f0 = real(theta)
    lengths = length_scale(theta) if lengths is None else lengths
    sigma = measure_noise(real, theta, lengths, v, f0).sigma
    claimed = np.zeros(len(theta)) if claimed is None else claimed
    lines = direction_lines(real, theta, v, f0, directions, claimed, sigma)
    return imaginary_slopes(lambda t: np.atleast_1d(f(t)), theta, v, directions, lines.sigma)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", [name for name in SAFE if name not in {"solve", "no outputs"}])
def test_slopes_are_within_a_bar_near_the_rounding(name, seed):  # solve has no extended precision
    theta, direction = point_of(seed)
    part = Direction(3, direction.values[3:9])
    f = SAFE[name]
    v = np.random.default_rng(seed).standard_normal(f(theta).size)
    estimate = slopes_of(f, theta, [direction, part], v=v)
    masked = np.where((np.arange(SIZE) >= 3) & (np.arange(SIZE) < 9), direction.values, 0)
    outputs = [exact_slope(f, theta, d) for d in (direction.values, masked)]
    exact = np.array([slopes @ v for slopes in outputs])
    assert (np.abs(estimate.value - exact) <= estimate.bar).all()
    size = np.array([np.linalg.norm(slopes * v) for slopes in outputs]) + np.linalg.norm(f(theta) * v)
    assert (estimate.bar <= 1e-13 * size).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FAMILIES)
def test_slopes_of_networks_are_within_their_bar(name, seed):
    f, size, scale = FAMILIES[name]
    rng = np.random.default_rng([seed, size])
    x = scale * rng.standard_normal(size)
    claimed = np.array([exact_slope(f, x, unit) for unit in np.eye(size)])
    direction = draw_direction(0, length_scale(x), claimed, rng)
    estimate = slopes_of(f, x, [direction], v=np.ones(1), claimed=claimed)
    assert abs(estimate.value[0] - exact_slope(f, x, direction.values)) <= estimate.bar[0]
    sizes = np.linalg.norm(claimed * direction.values) + abs(f(x))
    assert estimate.bar[0] <= 1e-12 * sizes


def test_no_part_of_the_estimate_tells_of_kinks_or_steps():
    theta, direction = point_of(0)
    estimate = imaginary_slopes(np.sin, theta, ONES, [direction] * 3, np.zeros(3))
    assert not np.any([estimate.jump, estimate.kink, estimate.step])


def test_the_bar_is_128_times_the_noise_at_least():
    theta, direction = point_of(0)
    estimate = imaginary_slopes(np.sin, theta, ONES, [direction] * 2, np.array([1e-3, 0.0]))
    assert estimate.bar[0] == pytest.approx(0.128 + estimate.bar[1], rel=1e-12)
    assert 0 < estimate.bar[1] < 1e-12


def test_the_rounding_of_the_slopes_of_the_outputs_is_in_the_bar_even_where_they_cancel():
    theta = np.array([0.7])
    estimate = imaginary_slopes(
        lambda t: np.append(2**20 * t, -(2**20) * t), theta, np.ones(2), [Direction(0, np.ones(1))], np.zeros(1)
    )
    assert estimate.value[0] == 0.0
    assert estimate.bar[0] == pytest.approx(4 * 16 * EPS * np.hypot(2**20, 2**20))


def test_functions_noisier_than_an_ulp_have_wider_bars_and_others_none_narrower():
    theta, direction = point_of(0)
    bars = [
        imaginary_slopes(np.sin, theta, ONES, [direction], np.zeros(1), noise=noise).bar[0]
        for noise in (0.01, 1.0, 100.0)
    ]
    assert bars[0] == bars[1]
    assert bars[2] == pytest.approx(100 * bars[1], rel=0.1)


ROUNDED = {  # function, point: slopes that are rounded by far more than the outputs beside them tell
    "saturated tanh": (lambda t: np.tanh(t[:4] * t[4:8] * t[8:]), lambda rng: 3 * rng.standard_normal(SIZE)),
    "saturated softmax": (lambda t: softmax(t[:6] * t[6:]), lambda rng: 4 * rng.standard_normal(SIZE)),
    "one fast output of four": (
        lambda t: np.sin(t[:4] * 10.0 ** np.arange(4)),
        lambda rng: rng.standard_normal(SIZE),
    ),
    "exponential minus one": (lambda t: (np.exp(t) - 1) / t, lambda rng: 10.0 ** rng.uniform(-2, 0, SIZE)),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_the_rounding_of_slopes_that_the_outputs_do_not_show_is_within_the_bar(name):
    f, draw = ROUNDED[name]
    errors = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = draw(rng)
        directions = [Direction(0, length_scale(x) * rng.choice([-1.0, 1.0], SIZE)) for _ in range(2)]
        v = rng.standard_normal(f(x).size)
        estimate = slopes_of(f, x, directions, v=v)
        exact = [v @ exact_slope(f, x, direction.values) for direction in directions]
        errors.append(np.abs(estimate.value - exact) / estimate.bar)
    assert np.mean(np.array(errors) > 1) <= 0.03  # one draw of rounding may be small by accident
    assert np.max(errors) <= 5


@pytest.mark.parametrize("size", [1e-33, 1e-38, 1e60])
def test_slopes_that_single_precision_does_not_hold_are_not_judged_by_it(size):
    theta, direction = point_of(0)
    bars = [
        imaginary_slopes(lambda t, by=by: by * np.sin(t), theta, ONES, [direction], np.zeros(1)).bar[0] / by
        for by in (1.0, size)
    ]
    assert bars[1] <= 1.01 * bars[0]


def test_a_function_that_refuses_single_precision_is_judged_without_it():
    def f(t):
        if t.dtype == np.complex64:
            raise TypeError
        return (np.exp(t) - 1) / t

    theta, direction = np.full(SIZE, 0.01), Direction(0, ONES)
    estimates = [imaginary_slopes(g, theta, ONES, [direction], np.zeros(1)) for g in (f, lambda t: (np.exp(t) - 1) / t)]
    assert estimates[0].value == estimates[1].value
    assert 0 < estimates[0].bar[0] < estimates[1].bar[0] / 10


def test_evaluations_are_one_for_each_direction_and_one_in_single_precision():
    calls = []
    theta, direction = point_of(0)
    estimate = imaginary_slopes(lambda t: calls.append(t.dtype) or np.sin(t), theta, ONES, [direction] * 3, np.zeros(3))
    assert estimate.evaluations == len(calls) == 4
    assert calls.count(np.dtype(np.complex64)) == 1


@pytest.mark.parametrize("f", [np.cbrt, lambda t: t.astype(float), real_buffer], ids=["cbrt", "astype", "real_buffer"])
def test_what_refuses_complex_numbers_has_no_value_and_an_infinite_bar(f):
    theta, direction = point_of(0)
    estimate = imaginary_slopes(f, theta, ONES, [direction] * 2, np.zeros(2))
    assert np.isnan(estimate.value).all()
    assert np.isinf(estimate.bar).all()


def test_a_line_that_is_refused_leaves_the_others_their_value():
    def f(t):
        return np.cbrt(t) if t[0].imag else t * t

    theta, direction = point_of(0)
    rest = Direction(1, direction.values[1:])
    estimate = imaginary_slopes(f, theta, ONES, [rest, direction, rest], np.zeros(3))
    assert np.isnan(estimate.value).tolist() == np.isinf(estimate.bar).tolist() == [False, True, False]
    assert estimate.evaluations == 4


@pytest.mark.parametrize("size", [1e-170, 1e160, 1e300])  # BUG: the norm of the slopes overflows, with a warning
def test_huge_and_tiny_slopes_have_a_narrow_bar(size):
    theta, direction = point_of(0)
    estimate = imaginary_slopes(lambda t: size * np.sin(t), theta, ONES, [direction], np.zeros(1))
    exact = size * (np.cos(theta) @ direction.values)
    assert abs(estimate.value[0] - exact) <= estimate.bar[0] <= 1e-12 * size


def test_no_directions_take_no_evaluations():
    estimate = imaginary_slopes(np.sin, np.ones(3), np.ones(3), [], np.zeros(0))
    assert (estimate.value.shape, estimate.evaluations) == ((0,), 0)


def test_a_large_point_is_moved_block_by_block_to_the_same_place(monkeypatch):
    theta, direction = np.linspace(0.1, 0.9, 7), Direction(1, np.full(5, 0.7))
    points = {}
    for block in (7, 2):
        monkeypatch.setattr("rnngrad.numdiff.scale.BLOCK", block)
        seen = points[block] = []
        assert certify(lambda t, s=seen: s.append(t.copy()) or t**2, np.square, theta, theta**2, direction).safe
    np.testing.assert_array_equal(points[7], points[2])
    assert np.any(points[2][0] != theta)


def test_a_kink_that_both_sides_share_alike_is_seen():
    theta, direction = np.array([0.0, 1.0]), Direction(0, np.ones(2))
    certificate = certified(lambda t: np.abs(t[:1]) + t[1:], theta, direction)  # imaginary part and mean slope agree
    assert (certificate.safe, certificate.reason) == (False, JUMPS)
    assert certified(lambda t: np.abs(t[:1]) ** 2 + t[1:], theta, direction).safe
    assert certified(lambda t: np.where(t.real > 0, t, 0 * t) + np.cos(t), np.array([1.0, -1.0]), direction).safe


def test_a_certificate_tells_the_slopes_that_it_saw():
    theta, direction = point_of(2)
    seen = certified(np.sin, theta, direction).slopes
    np.testing.assert_allclose(seen, np.cos(theta) * direction.values, rtol=1e-15)
    asked = []
    place = (lambda t: asked.append(t.dtype) or np.sin(t), theta, ONES, [direction, direction], np.zeros(2))
    again = imaginary_slopes(*place, known={0: seen})
    assert again.value[0] == again.value[1]
    assert (len(asked), again.evaluations) == (2, 2)


def test_a_function_that_writes_into_its_argument_is_handed_a_new_one_each_time():
    def stirring(t):
        slope = t[:1] * t[1:]
        t[1:] += 1.0
        return slope

    theta = np.array([0.5, 2.0])
    direction = Direction(0, np.ones(1))  # through the first entry: the second one would stay as it was left
    found = certify(stirring, stirring, theta, np.array([1.0]), direction)
    assert (found.safe, found.slopes) == (True, pytest.approx([2.0]))
