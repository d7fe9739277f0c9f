"""The contract against planted protocol errors: each is found under its own kind and no other."""

import re

import numpy as np
import pytest
from breaches import PLANTED, SHAPES, backward, forward
from hypothesis import settings

import rnngrad as rg
from rnngrad.breaches import BREACHES
from rnngrad.check.assertion import settle
from rnngrad.check.pipeline import Examined

CASES = {
    ("x", "w", "b"): [rg.Case(N=4, d=3, m=2, seed=1), rg.Case(N=2, d=2, m=3, seed=5), rg.Case(N=3, d=1, m=1, seed=0)],
    ("x", "y"): [rg.Case(n=3, m=2, seed=1)],
}
VECTORS = {"x": np.arange(1.0, 4.0), "y": np.arange(2.0, 5.0)}


def reports(row):
    """Return the reports on a planted error, each on a pair made afresh."""
    if "m" not in "".join(row.make().inputs.values()):
        return [rg.check(row.make(), VECTORS, cotangents={"out": 1.0})]
    return [rg.check(row.make(), case) for case in CASES[tuple(row.make().shapes)]]


def found(report):
    return {(finding.kind, finding.gradient) for finding in report.breaches}


def wrong(report):
    """Return the gradients whose numbers are wrong or undecided."""
    return {one.name for one in report.gradients if one.wrong or any(not finding.breach for finding in one.findings)}


@pytest.mark.parametrize("row", PLANTED, ids=lambda row: row.name)
def test_a_planted_breach_is_found_under_its_kind_on_its_gradient_and_no_other(row):
    found_at = [report for report in reports(row) if report.breaches]
    assert found(found_at[0]) == row.found
    assert all(found(report) <= row.found for report in found_at)
    assert all(report.verdict is rg.Verdict.FAIL for report in found_at)
    assert all(wrong(report) <= set(row.wrong) for report in found_at)
    assert wrong(found_at[0]) == set(row.wrong)


@pytest.mark.parametrize("row", [row for row in PLANTED if not row.wrong], ids=lambda row: row.name)
def test_a_breach_beside_right_numbers_is_the_headline_and_an_exception_of_its_own(row):
    report = next(report for report in reports(row) if report.breaches)
    headline, *lines = str(report).split("\n")
    assert headline == report.breaches[0].message
    assert len([line for line in lines if line.startswith("contract   ")]) == len(report.breaches) - 1
    with pytest.raises(rg.ContractBreach) as caught:
        settle(Examined(report, None, lambda: report), 0)
    assert (caught.value.kind, caught.value.gradient or "") in row.found
    assert str(caught.value).split("\n")[0] == headline


ARRAYS = {"shape", "type", "none"}  # what is no array like its input cannot be compared, contract or not


@pytest.mark.parametrize(
    "row", [row for row in PLANTED if not ARRAYS & {kind for kind, _ in row.found}], ids=lambda row: row.name
)
def test_without_the_contract_only_the_numbers_count(row):
    vectors = "m" not in "".join(row.make().inputs.values())
    given = VECTORS if vectors else CASES[tuple(row.make().shapes)][0]
    report = rg.check(row.make(), given, contract=False, cotangents={"out": 1.0} if vectors else None)
    assert not report.breaches
    assert wrong(report) <= set(row.wrong)


def test_the_table_is_large_and_has_every_kind():
    assert len({row.name for row in PLANTED}) == len(PLANTED) >= 60
    assert {kind for row in PLANTED for kind, _ in row.found} == set(BREACHES)


@pytest.mark.parametrize("kind", BREACHES)
def test_the_words_of_a_kind_are_one_line(kind):
    assert re.fullmatch(r"[a-zA-Z -][^.\n]+", BREACHES[kind])


def test_a_property_test_tells_two_breaches_apart_and_shrinks_both():
    def spoiled(dout, cache):
        gradients = backward(dout, cache)
        dout[0, 0] = 7.0
        return gradients | {"db": np.clip(gradients["db"], -1e3, 1e3)}

    pair = rg.pair(forward, spoiled, inputs=SHAPES, name="spoiled")
    chosen = settings(deadline=None, derandomize=True, database=None, max_examples=40)
    with pytest.raises(ExceptionGroup) as caught:
        rg.gradient_test(pair, settings=chosen)()
    kinds = {(type(error), error.kind, error.gradient) for error in caught.value.exceptions}
    assert {(kind, gradient) for _, kind, gradient in kinds} == {("cotangent", None), ("linear", "b")}
    assert len({kind for kind, _, _ in kinds}) == 2
    for error in caught.value.exceptions:
        assert set(error.report.sizes.values()) == {1}
