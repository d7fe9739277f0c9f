"""What a closer look tells: extended precision, what backward loses to rounding, kinks that cancel, sharp bends."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
from check_pairs import FAIL, OPEN, PASS, elementwise

import rnngrad as rg


def gate(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def hidden(factor):
    """Pair a gate that is one and the same number all around with its gradient, times a factor."""

    def forward(x):
        g = gate(1e-5 * x - 30)
        return np.array([g, 1e-22 * x]), g

    def backward(dout, g):
        return factor * (1e-5 * g * (1 - g) * dout[0] + 1e-22 * dout[1])

    return rg.pair(forward, backward, inputs={"x": ""}, name="hidden")


@pytest.mark.parametrize("x", [1.0, -1.7, 0.3])
@pytest.mark.parametrize("effort", ["auto", "entries"])
def test_a_gradient_that_no_difference_in_double_precision_sees_is_accused_only_if_it_is_wrong(x, effort):
    given, ones = {"x": np.array(x)}, {"out": np.ones(2)}
    assert rg.check(hidden(1.0), given, cotangents=ones, effort=effort).verdict is not FAIL
    assert rg.check(hidden(2.0), given, cotangents=ones, effort=effort).verdict is not PASS
    assert rg.check(hidden(1e9), given, cotangents=ones, effort=effort).verdict is FAIL


def cancelling(dout, x):
    return dout * ((x + 1e6) ** 2 - (x - 1e6) ** 2) / 2e6  # 2 x, but for rounding


@pytest.mark.parametrize("entries", [1, 50])
def test_a_backward_pass_that_loses_its_digits_to_rounding_is_told_so_and_not_accused(entries):
    x = np.linspace(0.3, 0.7, entries)
    report = rg.check(rg.pair(lambda x: x**2, cancelling, inputs={"x": "n"}, name="square"), {"x": x})
    assert report.verdict is OPEN
    assert report["x"].findings[0].kind == "rounding"
    assert "backward may lose " in str(report).splitlines()[0]


def test_beyond_what_it_loses_to_rounding_a_wrong_gradient_fails():
    pair = rg.pair(lambda x: x**2, lambda d, x: 1.0001 * cancelling(d, x), inputs={"x": "n"}, name="square")
    assert rg.check(pair, {"x": np.linspace(0.3, 0.7, 3)}).verdict is FAIL


def log_softmax(x):
    largest = x.max()
    return x - largest - np.log(np.exp(x - largest).sum())


def entropy_backward(factor):
    def backward(dout, x):
        logs = log_softmax(x)
        return -factor * dout * np.exp(logs) * (logs - np.exp(logs) @ logs)

    return backward


@pytest.mark.parametrize("gap", [30.0, 40.0, 60.0, 100.0, 300.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_term_that_forward_loses_in_any_precision_accuses_nobody(gap, seed):
    """The largest logarithm comes out as 0, and the share of the slope that it has is missing in all numbers."""
    x = np.random.default_rng(seed).uniform(-1, 1, 4) - gap * (np.arange(4) > 0)
    pair = rg.pair(lambda x: (-np.exp(log_softmax(x)) @ log_softmax(x), x), entropy_backward(1.0), inputs={"x": "n"})
    assert rg.check(pair, {"x": x}).verdict is not FAIL
    wrong = rg.pair(pair.forward.function, entropy_backward(1 + 1e-7), inputs={"x": "n"})
    assert rg.check(wrong, {"x": x + gap * (np.arange(4) > 0)}).verdict is FAIL


def only_in_double(x):
    """Return x; raise where it is of another precision, as math and most of scipy.special do."""
    if x.dtype != np.float64:
        raise TypeError(f"no loop for {x.dtype}")
    return x


def in_double_only(factor):
    """Pair x² with a backward pass that loses ten digits, in double precision only, to numbers of no other one."""
    return rg.pair(
        lambda x: only_in_double(x) ** 2,
        lambda d, x: factor * cancelling(d, only_in_double(x)),
        inputs={"x": "n"},
        name="square",
    )


@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize("entries", [1, 5, 50])
def test_what_backward_loses_on_the_way_is_told_from_an_error_where_no_other_precision_runs(entries, effort):
    given = {"x": np.linspace(0.31, 0.73, entries)}
    right = rg.check(in_double_only(1.0), given, effort=effort)
    assert right.verdict is not FAIL
    assert {finding.kind for finding in right["x"].findings} <= {"rounding"}
    assert rg.check(in_double_only(1 + 1e-7), given, effort=effort).verdict is FAIL


def test_random_rounding_excuses_nothing_in_code_that_does_something_else_with_its_arrays():
    def backward(d, x):
        plain = type(x) is np.ndarray
        return (1.01 if plain else 3.0) * d * np.cos(only_in_double(x))

    pair = rg.pair(lambda x: np.sin(only_in_double(x)), backward, inputs={"x": "n"}, name="sine")
    assert rg.check(pair, {"x": np.linspace(0.2, 1.2, 5)}).verdict is FAIL


def test_where_random_rounding_breaks_forward_what_was_seen_before_counts():
    seen = []

    def forward(x):
        seen.append(type(x) is not np.ndarray)
        if seen[-1] and sum(seen) > 14:
            raise FloatingPointError("enough")
        return np.sin(x), x

    pair = rg.pair(forward, lambda d, x: 1.001 * d * np.cos(x), inputs={"x": "n"}, name="sine")
    assert rg.check(pair, {"x": np.linspace(0.2, 1.2, 5)}).verdict is FAIL
    assert sum(seen) > 15


def test_where_the_budget_ends_while_it_rounds_at_random_nobody_is_accused():
    verdicts = []
    for budget in range(130, 170):
        report = rg.check(in_double_only(1.001), {"x": np.array([0.3])}, budget=budget)
        assert report.evaluations <= budget
        verdicts.append(report.verdict)
    assert set(verdicts) == {OPEN, FAIL}
    assert verdicts == sorted(verdicts, key=[OPEN, FAIL].index)


def test_a_gradient_that_is_wrong_in_double_precision_only_does_not_pass():
    off = {np.dtype(np.float64): 1.01}
    pair = elementwise(np.sin, lambda x: np.cos(x) * off.get(x.dtype, 1.0))
    assert rg.check(pair, {"x": np.linspace(0.2, 1.2, 5)}).verdict is not PASS


@pytest.mark.parametrize("entries", [1, 50])
def test_a_backward_pass_that_adds_to_what_it_returned_before_is_not_taken_for_rounding(entries):
    total = np.zeros(entries)

    def backward(dout, x):
        nonlocal total
        total = total + (1.001 + len(total[total != 0])) * dout * np.cos(x)
        return total

    pair = rg.pair(np.sin, backward, inputs={"x": "n"}, name="sine")
    assert rg.check(pair, {"x": np.linspace(0.2, 1.2, entries)}).verdict is FAIL


def solve_forward(A, b):
    y = np.linalg.solve(A, b)
    return y, (A, y)


def solve_backward(factor):
    def backward(dout, cache):
        A, y = cache
        db = np.linalg.solve(A.T, dout)
        return -db @ y.T, factor * db

    return backward


@pytest.mark.parametrize("n", [3, 5, 7, 9])
@pytest.mark.parametrize("seed", range(3))
def test_an_ill_conditioned_gradient_that_runs_in_no_long_double_is_accused_only_if_it_is_wrong(n, seed):
    rng = np.random.default_rng(seed)
    hilbert = 1 / (1 + np.arange(n)[:, None] + np.arange(n))
    given = {"A": hilbert, "b": rng.standard_normal((n, 2))}
    shapes = {"A": "n n", "b": "n k"}
    assert rg.check(rg.pair(solve_forward, solve_backward(1.0), inputs=shapes), given).verdict is not FAIL
    assert rg.check(rg.pair(solve_forward, solve_backward(1.01), inputs=shapes), given)["b"].verdict is FAIL


def relu_backward(convention):
    def backward(dout, x):
        return dout[0] * (x > 0) - dout[1] * (x < 0) + convention * (x == 0)

    return backward


@pytest.mark.parametrize("convention", [0.0, 2.0])
@pytest.mark.parametrize("entries", [1, 50])
def test_kinks_whose_slope_jumps_cancel_accuse_nobody(convention, entries):
    x = np.linspace(1.0, 2.0, entries)
    x[0] = 0.0
    forward = lambda x: np.array([np.maximum(x, 0), np.maximum(-x, 0)])  # noqa: E731
    pair = rg.pair(forward, relu_backward(convention), inputs={"x": "n"}, name="both")
    signs = {"out": np.outer([1.0, -1.0], np.ones(entries))}  # <v, f> is x: no kink is seen in it
    report = rg.check(pair, {"x": x}, cotangents=signs, contract=False)
    assert report.verdict is OPEN


def test_many_sharp_bends_are_all_decided_by_finer_steps():
    f = elementwise(lambda x: np.sqrt(x**2 + 1e-10), lambda x: x / np.sqrt(x**2 + 1e-10))
    for effort in ("auto", "entries"):
        assert rg.check(f, {"x": np.zeros(40)}, effort=effort).verdict is PASS


STEEP = {"x": np.array([1.0, 3e-7, 2.0])}


def test_a_gradient_that_is_steep_beside_a_flat_one_is_decided():
    pair = elementwise(lambda x: np.tanh(1e6 * x), lambda x: 1e6 / np.cosh(np.minimum(1e6 * x, 300)) ** 2)
    assert rg.check(pair, STEEP).verdict is PASS
    wrong = elementwise(lambda x: np.tanh(1e6 * x), lambda x: 0 * x)
    assert rg.check(wrong, STEEP).verdict is not PASS


@pytest.mark.parametrize(("borne_out", "verdict"), [(True, FAIL), (False, OPEN)])
def test_an_accusation_with_no_entry_to_show_needs_a_second_direction(borne_out, verdict, monkeypatch):
    sweep = importlib.import_module("rnngrad.check.sweep")
    along = sweep.along

    def second(point, directions, joined, **options):
        asked = along(point, directions, joined, **options)
        if len(directions) > 1 or borne_out:
            return asked
        return replace(asked, answer=replace(asked.answer, wrong=np.zeros(1, bool)))

    monkeypatch.setattr(sweep, "along", second)
    pair = elementwise(np.sin, lambda x: np.cos(x) * (1 + 1e-11))
    assert rg.check(pair, {"x": np.linspace(0.5, 2.0, 4096)}).verdict is verdict


def test_a_tensor_that_bends_sharply_everywhere_is_decided_as_a_whole():
    f = elementwise(lambda x: np.sqrt(x**2 + 1e-10), lambda x: x / np.sqrt(x**2 + 1e-10))
    report = rg.check(f, {"x": np.zeros(1000)}, contract=False)
    assert report.verdict is PASS
    assert report.evaluations < 200
