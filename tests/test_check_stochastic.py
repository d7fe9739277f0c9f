"""Stochastic arithmetic: random rounding measures what a computation loses, and leaves alone what is exact."""

import importlib
from collections import namedtuple

import numpy as np
import pytest

from rnngrad.check.stochastic import changed, dressed, undressed

stochastic = importlib.import_module("rnngrad.check.stochastic")

X = np.random.default_rng(0).standard_normal((4, 3))


def put_back(x, order):
    out = np.empty_like(x)
    np.put_along_axis(out, order, x, axis=1)
    return out


ROUNDING = {  # what loses an ulp or so at each of its entries, however it is spelled
    "ufunc": lambda x: np.exp(x),
    "in place": lambda x: np.divide(x, 3, out=np.empty_like(x)),
    "augmented": lambda x: x.__itruediv__(3),
    "two outputs": lambda x: np.modf(x / 3)[0],
    "into two": lambda x: np.modf(x / 3, out=(np.empty_like(x), np.empty_like(x)))[0],
    "mean": lambda x: x.mean(axis=0),
    "reduceat": lambda x: np.add.reduceat(x / 3, [0, 2]),
    "matmul": lambda x: x @ x.T,
    "dot": lambda x: x.dot(x.T),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "cumsum": lambda x: x.cumsum(axis=1)[:, 1:],
    "outer": lambda x: np.outer(x[0], x[1]),
    "an entry": lambda x: x[0, 0] / 3,
    "a list": lambda x: np.concatenate([x / 3, x / 7]),
    "an option": lambda x: np.sum(x / 3, axis=0, dtype=x.dtype),
    "fft": lambda x: np.fft.fft(x, axis=0),
    "interpolation": lambda x: np.interp(x, [-5.0, 5.0], [0.0, 1.0]),
}
EXACT = {
    "maximum": lambda x: np.maximum(x, 0),
    "product of short numbers": lambda x: np.round(4 * x) * 0.25,
    "largest": lambda x: x.max(axis=1),
    "where": lambda x: np.where(x > 0, x, 0.0),
    "stacked": lambda x: np.stack([x, -x]),
    "a masked place": lambda x: np.multiply(x, 0.1, where=x > 9, out=np.zeros_like(x)),
    "sign": np.sign,
    "indices": lambda x: np.argsort(x, axis=1),
    "indices of its own": lambda x: x.argsort(axis=1) + 1,
    "put along an axis": lambda x: put_back(x, x.argsort(axis=1)),
    "whole numbers": lambda x: x.astype(int) // 2,
    "truth": lambda x: np.where(x.astype(bool), 1, 0).sum(axis=0),
    "no number": lambda x: np.exp(x * np.inf)[x > 0],
    "added at": lambda x: np.add.at(x, 0, 1.0) or x,
}


def runs(f, x, count=12, **options):
    return [np.asarray(f(dressed(seed, **options)(x.copy()))) for seed in range(count)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", ROUNDING)
def test_what_rounds_moves_by_an_ulp_or_so(f, dtype):
    function, x = ROUNDING[f], X.astype(dtype)
    plain, found = np.asarray(function(x.copy())), runs(function, x)
    assert {one.dtype for one in found} == {plain.dtype}
    assert {one.shape for one in found} == {plain.shape}
    spread = np.abs(np.array(found) - plain).max(axis=0)
    assert (spread > 0).mean() > 0.3  # a third of x / 3 is exact
    assert (spread <= 16 * np.finfo(dtype).eps * np.abs(plain).max()).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", ["ufunc", "matmul", "dot", "einsum", "outer", "in place"])
def test_the_results_of_one_operation_lie_on_both_sides_of_what_is_exact(f, dtype):
    x = X.astype(dtype)
    exact, found = ROUNDING[f](x.astype(np.longdouble)), runs(ROUNDING[f], x, 20)
    assert (np.min(found, axis=0) <= exact).all()
    assert (exact <= np.max(found, axis=0)).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", EXACT)
def test_what_is_exact_stays_as_it_is(f, dtype):
    x = X.astype(dtype)
    plain = EXACT[f](x.copy())
    assert all(np.array_equal(one, plain, equal_nan=True) for one in runs(EXACT[f], x))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("f", [*ROUNDING, *EXACT])
def test_without_a_seed_all_rounds_as_ever(f):
    function = (ROUNDING | EXACT)[f]
    assert np.array_equal(np.asarray(function(dressed(None)(X.copy()))), function(X.copy()), equal_nan=True)


def test_a_difference_that_cancels_shows_what_it_lost():
    x = np.array([0.1, 0.2])
    spread = np.abs(np.array(runs(lambda x: (x + 1e6) - 1e6, x)) - x).max(axis=0)
    assert (spread > 1e-11).all()
    assert (spread < 1e-9).all()


ABSORBED = {  # what is lost here has more digits than any dtype
    "sum of two": lambda x: x + 1e-30,
    "difference": lambda x: np.subtract(1e-30, x),
    "in place": lambda x: x.__iadd__(1e-30),
    "sum": lambda x: np.stack([x, 1e-30 * x]).sum(axis=0),
    "running sum": lambda x: np.add.accumulate(np.stack([x, 1e-30 * x]), axis=0)[1],
    "exponential": lambda x: np.exp(1e-30 * x),
    "cosine": lambda x: np.cos(1e-30 * x),
    "logaddexp": lambda x: np.logaddexp(x, -200.0),
    "hyperbolic": lambda x: np.tanh(x * 1e3),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", ABSORBED)
def test_what_is_lost_altogether_is_no_exact_result(f, dtype):
    x = np.abs(X.astype(dtype)) + 1
    plain, found = ABSORBED[f](x.copy()), runs(ABSORBED[f], x, absorbed=True)
    spread = np.abs(np.array(found) - plain).max(axis=0)
    assert (spread > 0).all()
    assert (spread <= np.spacing(np.abs(plain))).all()


@pytest.mark.parametrize("f", [lambda x: x + 0.0, lambda x: np.exp(0 * x), lambda x: np.log(x / x), np.sum])
def test_where_nothing_is_lost_the_result_stays(f):
    x = np.array([0.5, 1.0, 0.0, 3.0])[[0, 1, 3]]
    assert {tuple(np.ravel(one)) for one in runs(f, x, absorbed=True)} == {tuple(np.ravel(f(x)))}


def test_where_no_wider_dtype_takes_part_an_ulp_stands_for_it_within_the_range_of_the_function(monkeypatch):
    monkeypatch.setattr(stochastic, "WIDER", {})
    large = np.array(runs(np.tanh, np.full(8, 40.0)))
    assert large.max() == 1.0
    assert large.min() == np.nextafter(1, 0)
    usual = np.array(runs(np.tanh, np.full(8, 0.3)))
    assert set(usual.ravel()) == {np.nextafter(np.tanh(0.3), way) for way in (0, np.tanh(0.3), 1)}


def test_linear_algebra_is_as_far_off_as_its_condition_makes_it():
    n = np.arange(8)
    hilbert = 1 / (1 + n[:, None] + n)
    solution = np.linalg.solve(hilbert, np.ones(8))
    spread = np.abs(np.array(runs(lambda a: np.linalg.solve(a, np.ones(8)), hilbert)) - solution).max()
    assert 1e-9 < spread / np.abs(solution).max() < 1e-4
    values, vectors = np.linalg.eigh(dressed(1)(hilbert))
    assert type(np.linalg.eigh(dressed(1)(hilbert))).__name__ == "EighResult"
    assert np.allclose(vectors @ np.diag(values) @ vectors.T, hilbert)


def test_complex_numbers_round_in_both_parts():
    found = np.array(runs(lambda z: z * z / 3, X[0] + 1j * X[1]))
    assert all(len(np.unique(part[:, 0])) > 1 for part in (found.real, found.imag))


def test_nested_values_are_changed_where_they_hold_floating_point_arrays():
    point = namedtuple("point", "x y")
    given = ([np.ones(2), 3], {"a": np.arange(2)}, point(np.float64(1.0), "words"))
    ones, labels, named = changed(given, lambda array: 2 * array)
    assert (ones[0] == 2).all()
    assert ones[1] == 3
    assert labels["a"] is given[1]["a"]
    assert named == point(2.0, "words")


def test_whole_numbers_are_no_such_arrays():
    labels = np.arange(3)
    assert dressed(0)(labels) is labels
    assert undressed(labels) is labels


def test_what_complex_numbers_lose_in_any_dtype_is_not_looked_at():
    z = X[0] + 1j
    assert {tuple(one) for one in runs(lambda z: z + 1e-30, z, absorbed=True)} == {tuple(z)}
