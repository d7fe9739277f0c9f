"""Inputs that are asked together: what the joint direction may settle, and whose numbers are shown."""

import numpy as np
import pytest
from check_pairs import PASS, spoiled_cell

import rnngrad as rg
from rnngrad.cells.fit import bound
from rnngrad.cells.rnn import rnn_cell
from rnngrad.check.asked import ask
from rnngrad.check.question import sizes, tensors_of
from rnngrad.numdiff.directional import Direction


def test_a_small_gradient_beside_large_ones_is_asked_by_itself_so_that_a_factor_of_1_plus_1e_9_shows():
    case = rg.Case(m=64, N=8, n=256, k=32, seed=1)
    report = rg.check(spoiled_cell(lambda array: array * (1 + 1e-9), "by"), case)
    assert report.verdict is not PASS
    assert report["W"].verdict is PASS


@pytest.mark.parametrize("seed", range(3))
def test_what_was_asked_together_is_shown_with_the_numbers_of_each(seed):
    case = rg.Case(m=1, N=2, n=1, k=2, seed=seed)
    together, alone = rg.check(rnn_cell, case), rg.check(rnn_cell, case, effort="entries")
    assert together.verdict is alone.verdict is PASS
    for name in ("U", "W", "ba"):  # of a single entry each
        assert together[name].backward == pytest.approx(alone[name].backward, rel=1e-12)
        assert together[name].numeric == pytest.approx(alone[name].numeric, rel=1e-9)


def test_the_sizes_of_a_cell_are_the_callers_own_to_change():
    arrays = {"x": np.zeros((2, 3))}
    bound({"x": "m N"}, arrays)["m"] = 7
    assert bound({"x": "m N"}, arrays) == {"m": 2, "N": 3}


@pytest.mark.parametrize("block", [7, 2**15])
def test_what_a_direction_through_several_tensors_may_lose_is_added_tensor_by_tensor(monkeypatch, block):
    monkeypatch.setattr("rnngrad.numdiff.scale.BLOCK", block)
    asked = ask(rnn_cell, rg.Case(m=2, N=3, n=4, k=5, seed=2))
    point, claimed = asked.point, asked.joined
    values = np.random.default_rng(0).uniform(0.5, 1.5, len(claimed))
    direction = Direction(0, values)
    slope, rounding, relative, each, largest = sizes(point, claimed, direction, tensors_of(point, claimed, direction))
    terms, lengths, over_axes = [], [], []
    for name, part in point.parts.items():
        gradient, moved = claimed[part], values[part] / point.scale[part]
        least = np.sqrt(np.mean(gradient**2))
        terms.append(np.maximum(np.abs(gradient), least) * values[part])
        lengths.append(moved)
        over_axes.append(moved / np.sqrt(min(point.shape(name))))
    assert slope == pytest.approx(claimed @ values, rel=1e-13)
    found = [np.linalg.norm(np.concatenate(rows)) for rows in (terms, lengths, over_axes)]
    assert [rounding, relative, each] == pytest.approx(found, rel=1e-13)
    assert largest == max(map(np.max, lengths))


@pytest.mark.parametrize("seed", range(4))
def test_a_claim_that_a_test_calls_wrong_is_wrong_in_its_report_and_in_a_check_of_the_same_case(seed):
    def forward(v, g):  # v / |v| jumps where v is zero: a plateau, on which no entry is accused alone
        return g * v / np.sqrt(v * v), (v, g)

    def backward(dout, cache):
        v, g = cache
        return dout * g / np.sqrt(v * v), dout * v / np.sqrt(v * v)

    pair, case = rg.pair(forward, backward, inputs={"v": "n", "g": "n"}), rg.Case(n=1, seed=seed)
    with pytest.raises(rg.GradientMismatch) as raised:
        rg.assert_gradients(pair, case)
    assert raised.value.report["v"].verdict is rg.Verdict.FAIL
    assert rg.check(pair, case)["v"].verdict is rg.Verdict.FAIL
