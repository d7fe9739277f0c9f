"""Forward passes that move in stairs: nobody is accused on a plateau of rounding, and dead units hide nothing."""

import numpy as np
import pytest
from check_pairs import FAIL, OPEN, PASS, elementwise
from numdiff_lines import lines_of

import rnngrad as rg
from rnngrad.check.plateau import hidden_slope

RNG = np.random.default_rng(0)
X = RNG.standard_normal(6)


def half(x):
    return np.tanh(np.real(x).astype(np.float16)).astype(np.float64)


def double(x):
    return np.real(x).astype(np.float64)


def logit(p):
    return np.log(p) - np.log1p(-p)


def logdet_forward(a):
    return np.linalg.slogdet(np.eye(3) + a @ a.T)[1], a


def logdet_backward(dout, a):
    return dout * 2 * np.linalg.solve(np.eye(3) + a @ a.T, a)


STAIRS = {
    "half precision inside": (half, lambda x: 1 - np.tanh(x) ** 2, X),
    "rounded to six places": (lambda x: np.round(np.sin(x), 6), np.cos, X),
    "arcsin of tanh": (lambda x: np.arcsin(np.tanh(np.real(x))), lambda x: 1 / np.cosh(x), 17 + np.abs(X)),
    "arccos of cos": (lambda x: np.arccos(np.cos(np.real(x))), np.sign, 1e-12 * X),
    "an offset": (lambda x: (1e8 + np.real(x)) - 1e8, np.ones_like, np.zeros(4)),
    "up to an edge": (lambda x: logit(1 / (1 + np.exp(-double(x)))), np.ones_like, 32 + np.abs(X)),
    "between two edges": (lambda x: np.arctanh(np.tanh(double(x))), np.ones_like, 16 + np.abs(X)),
    "a logarithm": (lambda x: np.log(1 + np.real(x) ** 2), lambda x: 2 * x / (1 + x**2), 1e-6 * X),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize(("f", "df", "x"), STAIRS.values(), ids=STAIRS)
def test_a_right_gradient_is_not_accused_where_forward_moves_in_stairs(f, df, x, effort):
    report = rg.check(elementwise(f, df), {"x": x}, effort=effort)
    assert report.verdict in (PASS, OPEN)


@pytest.mark.parametrize("scale", 10.0 ** np.arange(-8, 0))
def test_a_determinant_close_to_one_is_not_accused(scale):
    pair = rg.pair(logdet_forward, logdet_backward, inputs={"a": "3 3"})
    for seed in range(4):
        a = scale * np.random.default_rng(seed).standard_normal((3, 3))
        assert rg.check(pair, {"a": a}).verdict is not FAIL


DEAD = {
    "a mask that is missing": (lambda x: np.maximum(x, 0), np.ones_like, -np.abs(X)),
    "a mask turned round": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x < 0), X),
    "a clipped part": (lambda x: np.clip(x, -0.1, 0.1), np.ones_like, X),
    "saturated": (np.tanh, np.ones_like, 20 + np.abs(X)),
    "a minimum on an offset": (lambda x: 1 + x**2, lambda x: 2 * x + 1e-3, np.zeros(3)),
    "constant": (lambda x: np.ones_like(x) + 0 * x, np.ones_like, X),
    "zero": (lambda x: 0 * x, np.ones_like, X),
}


@pytest.mark.parametrize("cast", [lambda y: y, np.real], ids=["safe", "real"])
@pytest.mark.parametrize(("f", "df", "x"), DEAD.values(), ids=DEAD)
def test_a_wrong_gradient_of_a_unit_that_is_flat_is_seen(f, df, x, cast):
    assert rg.check(elementwise(lambda x: cast(f(x)), df), {"x": x}).verdict is FAIL


def one_class(claim):
    def forward(x):
        e = np.exp(x - x.max(axis=0))
        return -np.log(e[0] / e.sum(axis=0) + 1e-12), x

    return rg.pair(forward, lambda dout, x: claim + 0 * x * dout, inputs={"x": "k N"}, name="one class")


@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
def test_of_outputs_that_never_change_zero_is_the_gradient_however_small_they_are(scale, effort):
    x = scale * np.random.default_rng(0).standard_normal((1, 3))
    assert rg.check(one_class(0.0), {"x": x}, effort=effort).verdict is PASS
    assert rg.check(one_class(1e-9 / scale), {"x": x}, effort=effort).verdict is FAIL


@pytest.mark.parametrize("x", [1e-9, 1e-12, 3e-10])
def test_of_outputs_that_change_far_off_zero_is_not_taken_for_the_gradient(x):
    pair = elementwise(lambda x: np.log(1 + double(x) ** 2) + 1e-12, lambda x: 0 * x)
    assert rg.check(pair, {"x": np.full(3, x)}).verdict is not PASS


def layer(claim):
    def backward(dout, cache):
        x, z = cache
        return claim((dout * (z > 0)).T @ x)

    return rg.pair(lambda w: (np.maximum(X_OF @ w.T, 0), (X_OF, X_OF @ w.T)), backward, inputs={"w": "k n"})


X_OF = RNG.standard_normal((3, 3))


@pytest.mark.parametrize("off", [1e-1, 1e-2, 1e-3, 1e-5])
def test_units_that_are_dead_hide_no_small_error_in_the_gradients_of_others(off):
    w = np.random.default_rng(1).standard_normal((10, 3, 3))
    assert all((one @ X_OF.T < 0).any() for one in w)
    assert [rg.check(layer(lambda dw: dw + off), {"w": one}, contract=False).verdict for one in w] == [FAIL] * 10
    assert [rg.check(layer(lambda dw: dw), {"w": one}, contract=False).verdict for one in w] == [PASS] * 10


BENDS = np.arange(1, 6) / 64


def test_of_many_outputs_that_leave_their_plateau_only_stairs_keep_their_height():
    for jump in (0.0, 1e-3):
        lines, _ = lines_of(lambda t, jump=jump: np.where(t > BENDS, t - BENDS + jump, 0.0), 0.0)
        assert (hidden_slope(lines, 0, 1e-3, 1e-2) < 1e-2) == (not jump)


def test_the_search_for_a_stair_among_kinks_ends():
    asked, bends = [], np.linspace(0.02, 0.06, 20)  # all of them between two steps

    def bent(t):
        asked.append(t)
        return np.where(t > bends, t - bends, 0.0)

    lines, _ = lines_of(bent, 0.0)
    assert 0 < hidden_slope(lines, 0, 1e-3, 1e-30) < 1
    assert len(asked) < 300
