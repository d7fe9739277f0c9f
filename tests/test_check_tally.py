"""What is counted while tests run."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

from contextvars import Context

import numpy as np
import pytest
from check_pairs import CASE, affine, averaged, elementwise

import rnngrad as rg
from rnngrad.check.tally import collecting, shortfall


def test_checks_made_by_assertions_are_counted_while_collecting_and_no_other():
    rg.assert_gradients(affine, CASE)
    with collecting() as tallies:
        rg.check(affine, CASE)
        assert tallies == {}
        for n in (2, 5, 3):
            rg.assert_gradients(affine, rg.Case(N=n, d=1, m=1, seed=0))
        with pytest.raises(rg.GradientMismatch):
            rg.assert_gradients(averaged, CASE)
        Context().run(rg.assert_gradients, affine, CASE)  # where nobody collects
        rg.assert_gradients(elementwise(np.abs, np.sign, name="kinked"), {"x": np.arange(2.0)})
    rg.assert_gradients(affine, CASE)
    assert list(tallies) == ["affine", "averaged", "kinked"]
    counted = tallies["affine"]
    assert (counted["pair"], counted["examples"]) == ("affine", 3)
    assert counted["sizes"] == {"N": [2, 5], "d": [1, 1], "m": [1, 1]}
    reports = [rg.check(affine, rg.Case(N=n, d=1, m=1, seed=0)) for n in (2, 5, 3)]
    assert counted["evaluations"] == sum(report.evaluations for report in reports)
    assert counted["gradients"]["w"] == {
        "pass": 3,
        "inconclusive": 0,
        "FAIL": 0,
        "ratio": max(report["w"].ratio for report in reports),
        "resolution": max(report["w"].resolution for report in reports),
        "why": "",
    }
    verdicts = {"pass": 0, "inconclusive": 0, "FAIL": 0, "ratio": 0.0, "resolution": 0.0, "why": ""}
    assert tallies["averaged"]["gradients"]["w"] == verdicts | {"FAIL": 1}
    assert tallies["affine"]["breaches"] == {}
    why = "x[0]: forward has a kink here: slope 0.5 on one side, -0.5 on the other"
    assert tallies["kinked"]["gradients"]["x"] == verdicts | {"inconclusive": 1, "why": why}


def test_empty_gradients_are_counted_without_numbers():
    with collecting() as tallies:
        rg.assert_gradients(affine, rg.Case(N=0, d=1, m=1, seed=0))
    assert tallies["affine"]["gradients"]["x"] == {
        "pass": 1,
        "inconclusive": 0,
        "FAIL": 0,
        "ratio": 0.0,
        "resolution": 0.0,
        "why": "",
    }


def test_a_collection_inside_another_keeps_its_own_counts():
    with collecting() as outer:
        with collecting() as inner:
            rg.assert_gradients(affine, CASE)
        assert (list(outer), list(inner)) == ([], ["affine"])
        rg.assert_gradients(averaged, rg.Case(N=1, d=1, m=1, seed=0))
    assert list(outer) == ["averaged"]


def tally_of(**decided):
    """Return the tallies of one pair: for each gradient how many examples passed, failed and stayed open."""
    rows = {name: dict(zip(("pass", "FAIL", "inconclusive"), counts, strict=True)) for name, counts in decided.items()}
    return {"p": {"pair": "p", "gradients": {name: row | {"why": f"why {name}"} for name, row in rows.items()}}}


@pytest.mark.parametrize(
    ("counts", "share", "short"),
    [
        ((1, 0, 1), 0.5, False),
        ((0, 1, 1), 0.5, False),
        ((1, 0, 2), 0.5, True),
        ((0, 0, 1), 0.01, True),
        ((0, 0, 1), 0.0, False),
        ((9, 0, 1), 1.0, True),
        ((9, 1, 0), 1.0, False),
        ((0, 0, 0), 1.0, False),
    ],
)
def test_a_gradient_is_short_where_less_than_the_share_was_decided(counts, share, short):
    assert (shortfall(tally_of(x=counts), share) is not None) == short


def test_a_shortfall_names_each_gradient_its_numbers_and_a_reason():
    assert shortfall(tally_of(x=(2, 1, 9), y=(9, 0, 0), z=(0, 0, 1)), 0.5) == (
        "x of p: 3 of 12 examples could be decided, at least 50% are asked for; the last of the others: why x\n"
        "z of p: 0 of 1 examples could be decided, at least 50% are asked for; the last of the others: why z"
    )
    assert shortfall({}, 0.5) is None
