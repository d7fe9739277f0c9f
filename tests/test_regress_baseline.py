"""Recorded gradients: what is recorded, what is compared, what is stale, and which side is told to be right."""

import json

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.regress import baseline
from rnngrad.regress.drawn import cases_of
from rnngrad.regress.store import load, save

INPUTS = {"x": "N d", "w": "d m", "b": "m"}


def forward(x, w, b):
    return np.tanh(x @ w + b), (x, w, np.tanh(x @ w + b))


def backward(dout, cache):
    x, w, y = cache
    da = (1 - y * y) * dout
    return da @ w.T, x.T @ da, da.sum(axis=0)


def reordered(dout, cache):
    x, w, y = cache
    da = dout * (1 - y) * (1 + y)
    return (w @ da.T).T, np.einsum("nd,nm->dm", x, da), np.ones(len(da)) @ da


def spoiled(change, name="cell"):
    return rg.pair(forward, lambda dout, cache: change(*backward(dout, cache)), inputs=INPUTS, name=name)


cell = rg.pair(forward, backward, inputs=INPUTS, name="cell")
rewritten = rg.pair(forward, reordered, inputs=INPUTS, name="cell")


def slightly(dx, dw, db):
    dw = dw.copy()
    dw.flat[np.argmax(np.abs(dw))] *= 1 + 1e-10
    return dx, dw, db


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "__gradients__" / "cell.npz"
    rg.record(cell, target)
    return target


def test_recorded_gradients_are_met_by_the_same_and_by_reordered_code(path):
    assert rg.compare(cell, path).verdict is rg.Verdict.PASS
    found = rg.compare(rewritten, path)
    assert found.verdict is rg.Verdict.PASS
    assert str(found).startswith("cell.npz against cell: the same within rounding")
    assert found["w"].ulps > 0
    assert found.case == "all 20"
    assert [file.name for file in sorted(path.parent.iterdir())] == ["cell.json", "cell.npz"]


def test_cases_are_recorded_as_text_and_differ_in_their_sizes(path):
    cases = [rg.Case(**one.dims, seed=one.seed, scale=one.scale) for one in cases_of(cell, None)]
    assert [one.case for one in load(path).cases] == [repr(case) for case in cases]
    assert all(len(set(case.dims.values())) == 3 for case in cases)


def test_an_entry_changed_by_1e_10_is_found_with_its_place_and_its_side(path):
    with pytest.raises(rg.NotEquivalent) as caught:
        rg.compare(spoiled(slightly), path)
    words = str(caught.value)
    assert words.startswith("w[")
    assert "ulp apart" in words
    assert "the code is wrong" in words
    assert "if it should be so, record it again with: pytest --rnngrad-update" in words
    assert caught.value.report["w"].verdict is rg.Verdict.FAIL


def test_a_file_recorded_from_wrong_code_is_told_so(path):
    recording = load(path)
    for one in recording.cases:
        one.tensors["b"][...] *= 2
    save(path, recording)
    with pytest.raises(rg.NotEquivalent, match="what the file holds was wrong all along"):
        rg.compare(cell, path)


def test_a_gradient_that_is_wrong_is_not_recorded(tmp_path):
    averaged = spoiled(lambda dx, dw, db: (dx, dw, db / 2))
    with pytest.raises(rg.GradientMismatch, match="nothing is recorded of a gradient that is wrong"):
        rg.record(averaged, tmp_path / "one.npz")
    assert list(tmp_path.iterdir()) == []


def renamed(pair, **changes):
    options = {"inputs": dict(pair.inputs), "name": pair.name, **changes}
    return rg.Pair(pair.forward, pair.backward, **options)


STALE = {
    "another pair": (renamed(cell, name="other"), None, "recorded from the pair 'cell', this one is 'other'"),
    "other shapes": (renamed(cell, inputs={"x": "N d", "w": "d n", "b": "n"}), None, "recorded for the inputs"),
    "other cases": (cell, [rg.Case(N=1, d=1, m=1)], "recorded at 20 cases"),
    "fewer gradients": (
        rg.pair(forward, lambda d, c: backward(d, c)[:2], inputs=INPUTS, wrt=("x", "w"), name="cell"),
        None,
        "it holds",
    ),
}


@pytest.mark.parametrize("kind", STALE)
def test_a_baseline_that_does_not_fit_is_stale_and_names_the_command(kind, path):
    pair, cases, words = STALE[kind]
    with pytest.raises(rg.InvalidBaseline, match=words) as caught:
        rg.compare(pair, path, cases=cases)
    assert str(caught.value).endswith("record it again with: pytest --rnngrad-update")


def test_a_text_file_that_says_something_else_is_stale(path):
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(rg.InvalidBaseline, match=r"cell.json does not say what it holds"):
        rg.compare(cell, path)


def test_what_it_was_recorded_with_is_said_where_it_is_no_longer_so(path, monkeypatch):
    monkeypatch.setattr(baseline, "versions", lambda: {"numpy": "99", "blas": "other"})
    found = rg.compare(cell, path)
    assert found.verdict is rg.Verdict.PASS
    assert found.notes[0].startswith("recorded with {'numpy'")
    assert json.loads(path.with_suffix(".json").read_text())["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize(
    "name",
    ["../up.npz", "a/../../up.npz", "", ".hidden.npz", "x" * 130 + ".npz", "con.npz", "nul", "a\0.npz", "ü.npz", 3],
)
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(rg.InvalidBaseline, match="expected letters, digits"):
        baseline.checked_name(name)


@pytest.mark.parametrize("path", ["one.txt", "one", 3, None])
def test_a_path_that_is_no_archive_is_refused(path):
    with pytest.raises(rg.InvalidBaseline, match=r"expected the path of an \.npz file"):
        rg.record(cell, path)


@pytest.mark.parametrize("cases", [0, True, -1, "all", [], [1], [rg.Case(N=1, d=1, m=1), None]])
def test_cases_that_are_none_are_refused(cases, tmp_path):
    with pytest.raises(rg.InvalidPair, match="expected how many to draw, or a list of"):
        rg.record(cell, tmp_path / "one.npz", cases=cases)


@pytest.mark.parametrize("pair", [None, rg.Pair(cell.forward, cell.backward)])
def test_a_pair_without_declared_inputs_is_refused(pair, tmp_path):
    with pytest.raises(rg.InvalidPair, match="declared inputs"):
        rg.record(pair, tmp_path / "one.npz")


def test_groups_sums_and_scalars_are_drawn_and_recorded(tmp_path):
    double = rg.pair(
        lambda x, s, c: (2 * x, s),
        lambda d, s: (2 * d, 0 * s, np.zeros(())),
        inputs={"x": "*batch n", "s": "n-1", "c": ""},
    )
    rg.record(double, tmp_path / "one.npz", cases=6)
    assert rg.compare(double, tmp_path / "one.npz", cases=6).verdict is rg.Verdict.PASS
    assert {len(case.dims["batch"]) for case in cases_of(double, 20)} == {0, 1, 2}
    assert min(case.dims["n"] for case in cases_of(double, 20)) == 2


def test_a_pair_that_raises_is_not_recorded_and_said_so_where_it_was(path):
    def raising(*_):
        raise ValueError("broken")

    with pytest.raises(rg.InvalidPair, match="backward raises ValueError: broken; no baseline without gradients"):
        rg.compare(rg.pair(forward, raising, inputs=INPUTS, name="cell"), path)
    with pytest.raises(rg.InvalidPair, match="forward raises ValueError: broken"):
        rg.compare(rg.pair(raising, backward, inputs=INPUTS, name="cell"), path)
    listed = rg.pair(forward, lambda d, c: {"dx": "none", "dw": 1.0, "db": 1.0}, inputs=INPUTS, name="cell")
    with pytest.raises(rg.InvalidPair, match="a str"):
        rg.compare(listed, path)


def test_gradients_that_are_no_floating_point_numbers_are_not_recorded(tmp_path, monkeypatch):
    whole = rg.Pair(
        lambda given: ({"y": given["x"]}, None), lambda d, c: {"x": np.ones(d["y"].shape, int)}, inputs={"x": "n"}
    )

    class Passed:
        report = rg.check(cell, rg.Case(N=1, d=1, m=1))

    monkeypatch.setattr(baseline, "examined", lambda *_, **__: Passed)
    with pytest.raises(rg.InvalidPair, match=r"x \(int64\).* cannot be recorded"):
        rg.record(whole, tmp_path / "one.npz")


def test_an_output_that_moved_is_found_too(path):
    shifted = rg.pair(lambda *a: (forward(*a)[0] + 1e-9, forward(*a)[1]), backward, inputs=INPUTS, name="cell")
    with pytest.raises(rg.NotEquivalent, match="output out"):
        rg.compare(shifted, path)
