"""From a gradient that is wrong to its entries, in tensors of any size."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from check_pairs import FAIL, OPEN, PASS, elementwise, spoiled_cell

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell
from rnngrad.result import Entry

LARGE = rg.Case(m=64, N=8, n=256, k=32, scale=0.0625, seed=1)  # W has 65,536 entries


def off_at(places, by):
    """Return the change that moves some entries of an array by so many of its root mean squares."""

    def change(array):
        array = array.copy()
        for place in places:
            array[place] += by * np.sqrt(np.mean(array**2))
        return array

    return change


def sine(wrong, by=1e-3, shape=(64, 64)):
    """Check the sine at many points, its derivative off at some of them, by flat index."""
    off = np.ones(shape)
    off.flat[list(wrong)] += by
    pair = elementwise(np.sin, lambda x: np.cos(x) * off, shape="*shape", name="sine")
    return rg.check(pair, {"x": np.linspace(0.5, 1.25, off.size).reshape(shape)})["x"]


@pytest.mark.parametrize("place", [(0, 0), (17, 200), (255, 255)])
def test_one_wrong_entry_of_many_thousands_is_found_and_named(place):
    report = rg.check(spoiled_cell(off_at([place], 1e-6)), LARGE)
    assert [gradient.name for gradient in report.gradients if gradient.verdict is not PASS] == ["W"]
    w = report["W"]
    assert (w.verdict, w.worst_index, w.wrong, w.examined, w.size) == (FAIL, place, 1, 65_536, 65_536)
    assert w.error == pytest.approx(abs(w.backward - w.numeric))
    assert w.bar < w.error / 1e3
    assert [entry.index for entry in w.entries] == [place]
    assert report.evaluations < 2000


@pytest.mark.parametrize("name", ["U", "V", "ba", "by", "x_t", "s_prev"])
def test_a_wrong_entry_is_found_in_every_input(name):
    report = rg.check(spoiled_cell(off_at([(3, 0)], 1e-6), name), LARGE)
    assert [gradient.name for gradient in report.gradients if gradient.verdict is not PASS] == [name]
    assert (report[name].worst_index, report[name].wrong, report[name].examined) == ((3, 0), 1, report[name].size)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("count", [2, 5, 16, 20])
def test_several_wrong_entries_of_a_large_tensor_are_all_found(count, seed):
    rng = np.random.default_rng([count, seed])
    places = {tuple(map(int, divmod(place, 256))) for place in rng.choice(65_536, count, replace=False)}
    w = rg.check(spoiled_cell(off_at(places, 1e-3)), LARGE)["W"]
    assert (w.verdict, w.wrong, w.examined) == (FAIL, count, 65_536)
    assert {entry.index for entry in w.entries} <= places
    assert len(w.entries) == min(count, 5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [17, 30, 40, 100, 1000])
def test_of_many_wrong_entries_some_are_found_and_named(count, seed):
    wrong = np.random.default_rng([count, seed]).choice(4096, count, replace=False)
    x = sine(wrong)
    assert (x.verdict, x.findings) == (FAIL, ())
    assert min(count, 20) // 2 < x.wrong <= count
    assert x.examined == 4096 if x.wrong == count else x.wrong <= x.examined < 100
    assert {entry.index for entry in x.entries} <= {divmod(int(place), 64) for place in wrong}


@pytest.mark.parametrize("wrong", [[100, 101], [100, 102, 104], range(100, 120), [0, 4095]], ids=str)
def test_wrong_entries_that_are_neighbours_are_all_found(wrong):
    x = sine(wrong)
    assert (x.wrong, x.examined) == (len(wrong), 4096)
    assert {entry.index for entry in x.entries} <= {divmod(place, 64) for place in wrong}


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 34, 64])
def test_the_search_begins_where_a_tensor_is_no_longer_small(size):
    x = sine([size - 1], shape=(size,))
    assert (x.verdict, x.worst_index, x.wrong, x.examined) == (FAIL, (size - 1,), 1, size)


@pytest.mark.parametrize("change", [lambda d: d * 1.01, lambda d: d.T, lambda d: 0 * d, lambda d: d + 1e-6])
def test_a_gradient_that_is_wrong_everywhere_is_told_from_a_sample(change):
    report = rg.check(spoiled_cell(change), LARGE)
    w = report["W"]
    assert w.verdict is FAIL
    assert 24 <= w.examined <= 64 < w.size
    assert 0.9 * w.examined <= w.wrong <= w.examined
    assert len(w.entries) == 5
    assert f"wrong      {w.wrong} of {w.examined} entries of W that were looked at" in str(report)


def test_the_worst_entries_come_first():
    off = np.ones(400)
    off[[7, 77, 177]] = 1 + np.array([1e-6, 1e-2, 1e-4])
    x = rg.check(elementwise(np.sin, lambda x: np.cos(x) * off), {"x": np.linspace(0.2, 0.4, 400)})["x"]
    assert [entry.index for entry in x.entries] == [(77,), (177,), (7,)]
    assert x.entries[0] == Entry((77,), x.backward, x.numeric, x.bar)


def test_a_wrong_entry_that_looks_right_to_the_plain_direction_is_found_in_a_large_tensor():
    weights = np.ones(1000)
    weights[500] = 1e-9
    claimed = weights.copy()
    claimed[500] = 0.0
    pair = rg.pair(lambda x: weights @ x, lambda dout, x: dout * claimed, inputs={"x": "n"}, name="linear")
    x = rg.check(pair, {"x": np.linspace(1.0, 2.0, 1000)})["x"]
    assert (x.verdict, x.worst_index, x.wrong) == (FAIL, (500,), 1)


SIZES = [(1, 1), (4, 3), (16, 8), (64, 8), (256, 8), (256, 64)]


@pytest.mark.parametrize("scale", [1.0, 0.0625])
@pytest.mark.parametrize(("n", "N"), SIZES)
def test_a_passing_check_takes_at_most_a_hundred_forward_passes_at_any_size(n, N, scale):
    report = rg.check(rnn_cell, rg.Case(m=max(1, n // 4), N=N, n=n, k=max(1, n // 8), scale=scale, seed=1))
    assert report.verdict is PASS
    assert report.evaluations <= 100


def relu_at_ties(factor):
    return elementwise(lambda x: np.maximum(np.real(x), 0), lambda x: factor * (x > 0), name="relu")


def test_where_kinks_are_everywhere_few_are_followed_and_what_is_far_off_is_found_among_them():
    x = np.zeros(10_000)
    report = rg.check(relu_at_ties(1), {"x": x})
    assert report.verdict is OPEN
    assert "forward has a kink here" in str(report)
    assert report.evaluations < 8000
    x[::1250] = 1.0
    assert rg.check(relu_at_ties(1), {"x": x}).verdict is OPEN
    assert rg.check(relu_at_ties(9), {"x": x}).verdict is FAIL


def test_of_few_kinks_all_are_left_aside_and_a_small_error_is_found_beside_them():
    x = np.linspace(0.5, 1.0, 1000)
    x[[3, 500, 800]] = 0.0
    pair = elementwise(lambda x: np.maximum(np.real(x), 0), lambda x: (x > 0) * (1 + 1e-6 * (x == x[600])), name="relu")
    found = rg.check(pair, {"x": x})["x"]
    assert (found.verdict, found.worst_index, found.wrong, found.examined) == (FAIL, (600,), 1, 1000)


@pytest.mark.parametrize(("complete", "verdict"), [(True, PASS), (False, OPEN)])
def test_entries_that_are_right_say_nothing_of_those_that_were_not_looked_at(monkeypatch, complete, verdict):
    sweep = sys.modules["rnngrad.check.sweep"]
    located = sweep.located

    def all_right(*asked):
        found = located(*asked)
        none = np.zeros(len(found.entries), bool)
        return replace(found, answer=replace(found.answer, wrong=none, undecided=none), complete=complete)

    monkeypatch.setattr(sweep, "located", all_right)
    assert rg.check(relu_at_ties(1), {"x": np.zeros(40)}).verdict is verdict


def test_of_a_small_tensor_that_is_wrong_everywhere_one_entry_is_confirmed():
    pair = rg.pair(
        lambda a, b: (np.tanh(a @ b), (a, b)),
        lambda d, c: (d @ c[1].T, c[0].T @ (d * (1 - np.tanh(c[0] @ c[1]) ** 2))),
        inputs={"a": "n m", "b": "m k"},
    )
    report = rg.check(pair, rg.Case(n=4, m=3, k=5, seed=0))
    assert (report["a"].verdict, report["a"].wrong) == (rg.Verdict.FAIL, 12)
    assert report.evaluations < 400  # 271; 667 where all twelve are confirmed


def test_the_search_takes_the_complex_step_where_it_was_seen_to_be_safe():
    pair = rg.pair(
        lambda a, b: (np.tanh(a @ b), (a, b)),
        lambda d, c: (d * (1 - np.tanh(c[0] @ c[1]) ** 2) @ c[1].T, c[0].T @ d),
        inputs={"a": "n m", "b": "m k"},
    )
    report = rg.check(pair, rg.Case(n=4, m=96, k=97, seed=0))
    assert (report["b"].verdict, report["b"].wrong) == (rg.Verdict.FAIL, 32)
    assert report.evaluations < 2500  # 1,563; 7,383 by differences alone
