"""`rg.assert_gradients`: a check as an assertion."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

import pickle
from dataclasses import replace

import numpy as np
import pytest
from check_pairs import AFFINE, ARRAYS, CASE, affine, affine_forward, averaged, averaged_backward, elementwise

import rnngrad as rg
from rnngrad.check.pipeline import examined


def test_assert_gradients_returns_nothing_where_all_is_right():
    assert rg.assert_gradients(affine, CASE) is None
    assert rg.assert_gradients(affine, ARRAYS) is None


def test_a_mismatch_carries_the_report_and_shows_it():
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.assert_gradients(averaged, CASE)
    error = caught.value
    assert replace(error.report, evaluations=0) == replace(rg.check(averaged, CASE), evaluations=0)
    assert str(error) == str(error.report)
    assert str(error).startswith("w[0, 0]: backward -0.08, numeric -0.16 ± ")
    assert (type(error).__name__, isinstance(error, AssertionError)) == ("GradientMismatch", True)


def test_of_many_failures_only_the_one_that_is_read_is_diagnosed():
    calls = []

    def counted(x, w, b):
        calls.append("forward")
        return affine_forward(x, w, b)

    pair = rg.pair(counted, averaged_backward, inputs=AFFINE)
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.assert_gradients(pair, CASE)
    spent = len(calls)
    assert "1/N of the true gradient" in str(caught.value)
    diagnosed = len(calls)
    assert diagnosed > spent
    assert caught.value.report["w"].diagnoses
    assert str(caught.value) == str(caught.value.report)
    assert len(calls) == diagnosed


def test_each_wrong_gradient_leads_for_some_seed_and_has_a_class_of_its_own():
    pair = rg.pair(
        lambda x, y, z: x + y + z,
        lambda dout, x, y, z: (2 * dout, dout, 3 * dout),
        inputs={"x": "n", "y": "n", "z": "n"},
        name="p",
    )
    found = []
    for given in (rg.Case(n=1, seed=0), rg.Case(n=1, seed=1), rg.Case(n=1, seed=2), dict.fromkeys("xyz", np.ones(1))):
        with pytest.raises(rg.GradientMismatch) as caught:
            rg.assert_gradients(pair, given)
        found.append((caught.value.report.lead, type(caught.value)))
    assert [lead for lead, _ in found] == ["x", "z", "x", "x"]
    assert found[0][1] is found[2][1] is not found[1][1]
    assert str(caught.value).splitlines()[0].endswith("; 2 times the true gradient; 1 more wrong")


def test_a_mismatch_can_be_pickled():
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.assert_gradients(averaged, CASE)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.report) == (str(caught.value), caught.value.report)


@pytest.mark.parametrize(("error", "put_off"), [(1e-10, False), (0.5, True)])
def test_entries_wait_for_a_reader_only_where_a_claim_is_far_off(error, put_off):
    wrong = elementwise(np.sin, lambda x: np.cos(x) * (1 + error))
    given = {"x": np.array([0.3, 1.2, -0.7])}
    brief, whole = examined(wrong, given, brief=True), rg.check(wrong, given)
    assert brief.report["x"].verdict is whole["x"].verdict is rg.Verdict.FAIL
    assert (brief.report["x"].wrong == 0) == put_off
    assert brief.diagnosed()["x"].wrong == whole["x"].wrong == 3
