"""Right, wrong and undecidable gradients: which verdict each gets, and that no other suffers."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

import numpy as np
import pytest
from check_pairs import AFFINE, ARRAYS, CASE, FAIL, OPEN, PASS, affine, averaged, elementwise

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell, rnn_cell_state


@pytest.mark.parametrize("given", [CASE, rg.Case(N=3, d=4, m=2, scale=0.25, fills={"x": "one-hot"}, seed=9), ARRAYS])
@pytest.mark.parametrize(("pair", "wrong"), [(affine, []), (averaged, ["w"])])
def test_the_wrong_gradient_fails_and_no_other(pair, wrong, given):
    report = rg.check(pair, given)
    assert [gradient.name for gradient in report.gradients if gradient.verdict is FAIL] == wrong
    assert [gradient.name for gradient in report.gradients if gradient.verdict is PASS] == [
        name for name in AFFINE if name not in wrong
    ]
    assert report.verdict is (FAIL if wrong else PASS)


@pytest.mark.parametrize("effort", ["auto", "entries"])
@pytest.mark.parametrize("by", [1e-9, 1e-3, -2.0])
def test_a_common_factor_fails_the_gradient_that_has_it(by, effort):
    pair = elementwise(np.sin, lambda x: np.cos(x) * (1 + by))
    report = rg.check(pair, {"x": np.linspace(0.2, 1.2, 60)}, effort=effort)
    assert (report.verdict, report["x"].wrong > 1) == (FAIL, True)


@pytest.mark.parametrize("seed", range(5))
def test_the_cells_that_ship_are_right(seed):
    for pair in (rnn_cell, rnn_cell_state):
        assert rg.check(pair, rg.Case(m=2, N=3, n=4, k=5, seed=seed)).verdict is PASS


def test_one_undecided_entry_leaves_a_gradient_undecided_and_one_wrong_entry_fails_it():
    right = elementwise(np.abs, np.sign)
    wrong = elementwise(np.abs, lambda x: np.sign(x) * np.where(x > 2, 2.0, 1.0))
    given = {"x": np.array([0.0, 1.0, 3.0])}
    assert rg.check(right, given)["x"].verdict is OPEN
    report = rg.check(wrong, given)
    assert (report["x"].verdict, report["x"].worst_index, report["x"].wrong) == (FAIL, (2,), 1)


def test_a_kink_at_another_entry_leaves_the_rest_decided():
    pair = rg.pair(lambda x, y: np.abs(x) + y, lambda d, x, y: (d * np.sign(x), d), inputs={"x": "n", "y": "n"})
    report = rg.check(pair, {"x": np.zeros(2), "y": np.ones(2)})
    assert (report["x"].verdict, report["y"].verdict, report.verdict, report.lead) == (OPEN, PASS, OPEN, "x")


@pytest.mark.parametrize("entries", [1, 40])
@pytest.mark.parametrize("origin", [0.0, 0.5, 1.0, 2.0, 0.37])
def test_a_right_gradient_that_aliases_the_first_ladder_never_fails_and_a_wrong_one_does(origin, entries):
    given = {"x": origin + np.arange(entries) / 8}
    right = elementwise(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x))
    wrong = elementwise(lambda x: np.sin(1000 * x), lambda x: 1010 * np.cos(1000 * x))
    assert rg.check(right, given).verdict is not FAIL
    assert rg.check(wrong, given).verdict is FAIL


def test_what_the_second_ladder_acquits_is_judged_by_the_numbers_of_the_second_ladder():
    right = elementwise(lambda x: np.sin(1000 * x), lambda x: 1000 * np.cos(1000 * x))
    report = rg.check(right, {"x": np.arange(1, 40) / 8})
    assert report["x"].numeric == pytest.approx(report["x"].backward, rel=1e-6)


@pytest.mark.parametrize("claim", [0.0, 1.0, 4.5])
def test_a_kink_where_every_output_is_zero_is_inconclusive(claim):
    report = rg.check(elementwise(np.abs, lambda x: claim + 0 * x), {"x": np.zeros(1)})
    assert report.verdict is OPEN


def test_a_wrong_gradient_is_seen_also_where_the_output_is_empty():
    pair = rg.pair(lambda x: x[:0], lambda dout, x: np.ones_like(x), inputs={"x": "n"}, name="empty")
    assert rg.check(pair, {"x": np.ones(2)}).verdict is FAIL


@pytest.mark.parametrize("entries", [4, 100])
def test_a_wrong_entry_beside_a_kink_is_a_failure_and_the_kink_alone_is_none(entries):
    x = 1.0 + np.arange(entries) / 8
    x[1] = 0.0
    off = np.ones(entries)
    off[-1] = 1 + 1e-6
    right = rg.check(elementwise(np.abs, np.sign), {"x": x})["x"]
    assert (right.verdict, right.worst_index, right.findings[0].kind) == (OPEN, (1,), "kink")
    wrong = rg.check(elementwise(np.abs, lambda x: np.sign(x) * off), {"x": x})["x"]
    assert (wrong.verdict, wrong.worst_index, wrong.wrong, wrong.findings) == (FAIL, (entries - 1,), 1, ())


SIZES = np.array([1.0, -1.0, 2.0, 1e-9])


@pytest.mark.parametrize("claimed", [0.0, 1.1e-9, -1e-9])
@pytest.mark.parametrize("many", [1, 25])
def test_a_small_entry_counts_as_much_as_a_large_one(claimed, many):
    weights = np.tile(SIZES, many)
    gradient = weights.copy()
    gradient[3] = claimed
    x = np.tile([1.0, 2.0, 3.0, 4.0], many)
    right = rg.pair(lambda x: weights @ x, lambda dout, x: dout * weights, inputs={"x": "n"}, name="linear")
    wrong = rg.pair(lambda x: weights @ x, lambda dout, x: dout * gradient, inputs={"x": "n"}, name="linear")
    assert rg.check(right, {"x": x}).verdict is PASS
    found = rg.check(wrong, {"x": x})["x"]
    assert (found.verdict, found.wrong, found.worst_index) == (FAIL, 1, (3,))


def test_a_small_error_spread_over_many_entries_fails_though_no_entry_alone_is_wrong():
    off = 1 + 1e-11
    x = np.linspace(0.5, 2.0, 4096)
    report = rg.check(elementwise(np.sin, lambda x: np.cos(x) * off), {"x": x})
    (finding,) = report["x"].findings
    assert (report["x"].verdict, finding.kind, report["x"].worst_index) == (FAIL, "spread", None)
    assert str(report).startswith("x: along a random direction backward and numeric disagree, though no single entry")


def test_the_gradient_of_an_input_that_does_not_matter_is_zero():
    pair = rg.pair(lambda x, y: x**2 + 0 * y, lambda d, x, y: (2 * x * d, 0 * d), inputs={"x": "n", "y": "n"})
    assert rg.check(pair, {"x": np.ones(3), "y": np.ones(3)}).verdict is PASS
    wrong = rg.pair(lambda x, y: x**2 + 0 * y, lambda d, x, y: (2 * x * d, 1e-9 * d), inputs={"x": "n", "y": "n"})
    assert rg.check(wrong, {"x": np.ones(3), "y": np.ones(3)})["y"].verdict is FAIL
