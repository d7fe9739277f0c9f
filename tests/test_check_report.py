"""What a report of `rg.check` holds: for a case and for given arrays."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

import numpy as np
import pytest
from check_pairs import (
    AFFINE,
    ARRAYS,
    CASE,
    FAIL,
    ONES,
    PASS,
    affine,
    affine_backward,
    affine_forward,
    averaged,
    elementwise,
)

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell
from rnngrad.result import Entry


def test_a_report_holds_what_was_checked_and_where_it_is_worst():
    report = rg.check(averaged, ARRAYS, cotangents=ONES)
    assert (report.pair, report.case, report.lead) == ("averaged", None, "w")
    assert report.sizes == {"N": 2, "d": 2, "m": 1}
    assert report.method == "complex step along directions"
    assert report.notes == ()
    w = report["w"]
    assert (w.worst_index, w.shape, w.size, w.wrong) == ((1, 0), (2, 1), 2, 2)
    assert w.backward == 3.0
    assert abs(w.numeric - 6) <= w.bar < 1e-10
    assert w.error == pytest.approx(3)
    assert w.ratio > 1e6
    assert w.bar < w.resolution < 1e-8
    assert (w.examined, [entry.index for entry in w.entries]) == (2, [(1, 0), (0, 0)])
    assert w.entries[0] == Entry((1, 0), w.backward, w.numeric, w.bar)


def test_a_right_gradient_is_reported_by_its_slope_along_a_direction():
    x = rg.check(affine, ARRAYS)["x"]
    assert (x.verdict, x.worst_index, x.entries, x.wrong, x.examined) == (PASS, None, (), 0, 0)
    assert x.error == abs(x.backward - x.numeric) <= 5 * x.bar
    assert 0 <= x.ratio < 5
    assert 0 < x.resolution < 1e-10


@pytest.mark.parametrize(("shape", "index"), [((), ()), ((1,), (0,)), ((1, 1), (0, 0))])
def test_the_numbers_of_a_tensor_of_one_entry_are_those_of_the_entry(shape, index):
    pair = rg.pair(lambda x: x**3, lambda dout, x: 3 * x**2 * dout, inputs={"x": "..."}, name="cube")
    x = rg.check(pair, {"x": np.full(shape, 2.0)}, cotangents={"out": np.full(shape, -0.5)})["x"]
    assert (x.verdict, x.worst_index) == (PASS, index)
    assert x.backward == pytest.approx(-6.0, rel=1e-15)
    assert abs(x.numeric + 6.0) <= x.bar < 1e-9


def test_every_entry_is_looked_at_where_that_is_asked_for():
    report = rg.check(affine, ARRAYS, effort="entries", cotangents=ONES)
    assert report.verdict is PASS
    assert report.method == "central differences, entry by entry"
    for gradient in report.gradients:
        assert (gradient.examined, gradient.wrong, gradient.entries) == (gradient.size, 0, ())
        assert len(gradient.worst_index) == len(gradient.shape)
    x = report["x"]
    assert x.backward == [0.5, -0.25][x.worst_index[1]]
    assert abs(x.numeric - x.backward) <= 5 * x.bar


def test_every_wrong_entry_is_counted_where_all_are_asked_for_and_the_worst_are_listed():
    pair = elementwise(np.sin, lambda x: np.cos(x) * np.where(x < 7, 1 + 1e-6, 1.0), name="sine")
    x = rg.check(pair, {"x": np.arange(200.0)}, effort="entries")["x"]
    assert (x.verdict, x.wrong, x.examined, len(x.entries)) == (FAIL, 7, 200, 5)
    assert {entry.index[0] for entry in x.entries} < set(range(7))
    assert x.worst_index == x.entries[0].index


def test_an_empty_tensor_has_no_entries_to_look_at():
    report = rg.check(affine, rg.Case(N=0, d=2, m=1, seed=1), effort="entries")
    assert (report.verdict, report["x"].examined, report["x"].worst_index) == (PASS, 0, None)


def test_a_report_of_a_case_holds_the_case_and_the_cost():
    calls = []

    def counted(x, w, b):
        calls.append(1)
        return affine_forward(x, w, b)

    report = rg.check(rg.pair(counted, affine_backward, inputs=AFFINE), CASE)
    assert report.case == "Case(N=2, d=1, m=1, seed=0)"
    assert report.sizes == {"N": 2, "d": 1, "m": 1}
    assert report.evaluations == len(calls)


def test_a_name_that_a_report_does_not_hold_is_answered_with_those_it_holds():
    with pytest.raises(KeyError, match=r"no gradient of 'v' in this report; it has \['x', 'w', 'b'\]"):
        rg.check(affine, ARRAYS)["v"]


def test_the_lead_of_a_report_is_the_first_gradient_with_the_worst_verdict():
    pair = rg.pair(lambda x, y: (x + y).sum(), lambda dout, x, y: (0 * x, 0 * y), inputs={"x": "n", "y": "n"}, name="s")
    assert rg.check(pair, {"x": np.ones(2), "y": np.ones(2)}).lead == "x"
    assert rg.check(affine, ARRAYS).lead == "x"


def test_inputs_are_given_nested_as_forward_takes_them_or_flat():
    rng = np.random.default_rng(0)
    state = {"x_t": rng.normal(size=(3, 2)), "s_prev": rng.normal(size=(4, 2))}
    parameters = {name: rng.normal(size=shape) for name, shape in {"U": (4, 3), "W": (4, 4), "V": (2, 4)}.items()}
    parameters |= {"ba": rng.normal(size=(4, 1)), "by": rng.normal(size=(2, 1))}
    nested = rg.check(rnn_cell, {**state, "parameters": parameters})
    flat = rg.check(rnn_cell, {**parameters, **state})
    assert nested == flat
    assert nested.verdict is PASS
    assert nested.sizes == {"m": 3, "N": 2, "n": 4, "k": 2}


def test_two_checks_of_the_same_point_say_the_same():
    assert rg.check(averaged, CASE) == rg.check(averaged, CASE)


def test_given_cotangents_are_those_that_backward_gets_and_the_derivative_is_taken_with():
    seen = []

    def backward(da, db, x):
        seen.append((float(da), float(db)))
        return da * np.ones_like(x) + db * 2 * x

    pair = rg.pair(lambda x: (x.sum(), (x**2).sum(), x), backward, inputs={"x": "n"}, returns=("a", "b", "cache"))
    report = rg.check(pair, {"x": np.array([1.0, 3.0])}, cotangents={"b": 1, "a": -2})
    assert seen[0] == (-2.0, 1.0)
    assert report.verdict is PASS
    entries = rg.check(pair, {"x": np.array([1.0, 3.0])}, cotangents={"b": 1, "a": -2}, effort="entries")["x"]
    assert entries.verdict is PASS
    assert entries.backward == {(0,): 0.0, (1,): 4.0}[entries.worst_index]


def test_drawn_cotangents_follow_the_seed_of_the_case():
    seen = []

    def backward(dout, cache):
        seen.append(dout.copy())
        return affine_backward(dout, cache)

    pair = rg.pair(affine_forward, backward, inputs=AFFINE)
    for seed in (3, 3, 4):
        rg.check(pair, rg.Case(N=2, d=1, m=3, seed=seed), contract=False)
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])


def test_keys_that_name_no_input_are_noted_and_change_no_verdict():
    pair = rg.pair(
        lambda x: x**2, lambda dout, x: {"dx": 2 * x * dout, "dz": None, "dtanh": dout}, inputs={"x": "n"}, name="p"
    )
    report = rg.check(pair, {"x": np.ones(2)})
    assert report.verdict is PASS
    assert report.notes == ("backward also returned dz, dtanh, which names no input; not judged",)


@pytest.mark.parametrize("N", [0, 2])
@pytest.mark.parametrize("d", [0, 2])
@pytest.mark.parametrize("m", [0, 2])
def test_empty_arrays_pass_with_no_entries(N, d, m):
    report = rg.check(affine, rg.Case(N=N, d=d, m=m, seed=1))
    assert report.verdict is PASS
    assert [gradient.shape for gradient in report.gradients] == [(N, d), (d, m), (m,)]
    assert [gradient.backward is None for gradient in report.gradients] == [0 in (N, d), 0 in (d, m), m == 0]


@pytest.mark.parametrize(("x", "noted"), [(np.arange(6).reshape(3, 2), True), (np.arange(6.0).reshape(3, 2), False)])
def test_a_gradient_of_whole_numbers_is_said_not_to_be_judged(x, noted):
    pair = rg.pair(lambda x, w: (x @ w, (x, w)), lambda d, c: (d @ c[1].T, c[0].T @ d), inputs={"x": "N d", "w": "d m"})
    report = rg.check(pair, {"x": x, "w": np.ones((2, 2))})
    said = (f"x holds {x.dtype}, so its gradient is not judged; pass floats to have it checked",)
    assert report.notes == said * noted
    assert report.verdict is rg.Verdict.PASS


def test_of_whole_numbers_whose_gradient_is_zero_nothing_is_said():
    pair = rg.pair(lambda x, w: (x @ w, x), lambda d, x: (np.zeros(x.shape), x.T @ d), inputs={"x": "N d", "w": "d m"})
    assert rg.check(pair, {"x": np.arange(6).reshape(3, 2), "w": np.ones((2, 2))}).notes == ()
