"""The harness against wrong gradients: each must fail, under its own name, and be named in words; nothing else may."""

import re

import mutants_rnn
import numpy as np
import pytest
from hypothesis import settings
from mutants import FAMILIES, MUTANTS

import rnngrad as rg
from rnngrad.check.pipeline import examined

FAIL = rg.Verdict.FAIL


def failed(report):
    return {gradient.name for gradient in report.gradients if gradient.verdict is FAIL}


def texts(report, name):
    findings = [*report.findings, *report[name].findings]
    return [finding.message for finding in findings] + [one.message for one in report[name].diagnoses]


@pytest.mark.parametrize(
    ("family", "case"),
    [pytest.param(family, case, id=f"{family.name}-{case}") for family in FAMILIES for case in family.cases],
)
def test_the_correct_backward_pass_passes_without_a_diagnosis(family, case):
    report = rg.check(family.pair(), case)
    assert {gradient.name: gradient.verdict.name for gradient in report.gradients} == dict.fromkeys(
        family.names, "PASS"
    )
    assert all(not gradient.diagnoses for gradient in report.gradients)


@pytest.mark.parametrize("mutant", [pytest.param(m, id=f"{m.family.name}-{m.name}") for m in MUTANTS if not m.raises])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # some of the wrong backward passes divide by zero
def test_a_wrong_backward_pass_fails_on_exactly_what_is_wrong_and_is_named(mutant):
    pair = mutant.pair()
    for case in mutant.family.cases:
        found = examined(pair, case)
        assert failed(found.report) <= set(mutant.wrong), "a right gradient was blamed"
        if failed(found.report) == set(mutant.wrong):
            break
    report = found.diagnosed()
    assert failed(report) == set(mutant.wrong), "not caught"
    for name in mutant.wrong:
        said = texts(report, name)
        assert any(words in text for words in mutant.words.split("|") for text in said), said


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.raises], ids=lambda m: m.name)
def test_a_gradient_that_is_not_returned_is_asked_for(mutant):
    with pytest.raises(rg.InvalidPair, match=rf"returned no gradient for {mutant.wrong[0]}: expected the key 'd"):
        rg.check(mutant.pair(), mutant.family.cases[0])


def test_the_table_is_large_names_each_mutant_once_and_nearly_all_in_words():
    names = [(mutant.family.name, mutant.name) for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 200
    assert sum(bool(mutant.words) for mutant in MUTANTS) >= 0.95 * len(MUTANTS)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_gradient_is_spoiled_by_a_mutant(family):
    spoiled = {name for mutant in MUTANTS if mutant.family is family for name in mutant.wrong}
    assert spoiled == set(family.names)


HEADLINE = re.compile(r"(\w+)\[([\d, ]+)\]: backward (\S+), numeric (\S+) ± (\S+)")


@pytest.mark.parametrize(
    ("name", "gradient", "smallest", "words"),
    [
        ("dx_t_doubled", "x_t", {"m": 1, "N": 1, "n": 1, "k": 1}, "2 times the true gradient"),
        ("s_prev_W_not_transposed", "s_prev", {"m": 1, "N": 1, "n": 2, "k": 1}, "right while W is symmetric"),
        ("dba_averaged", "ba", {"m": 1, "N": 2, "n": 1, "k": 1}, "1/N of the true gradient"),
        ("dV_last_row_zero", "V", {"m": 1, "N": 1, "n": 1, "k": 2}, "at the last index along k, where it is zero"),
    ],
)
def test_a_property_test_shrinks_to_the_smallest_sizes_and_names_the_entry(
    monkeypatch, name, gradient, smallest, words
):
    monkeypatch.setattr("rnngrad.search.PATIENCE", 600.0)  # on a busy machine the search would end before that
    pair = next(mutant for mutant in mutants_rnn.MUTANTS if mutant.name == name).pair()
    chosen = settings(deadline=None, derandomize=True, database=None, max_examples=60)
    with pytest.raises(rg.GradientMismatch) as caught:
        rg.gradient_test(pair, settings=chosen)()
    report = caught.value.report
    named, index, backward, numeric, _ = HEADLINE.match(str(caught.value)).groups()
    worst = report[gradient]
    assert named == gradient
    assert tuple(map(int, index.split(", "))) == worst.worst_index
    assert float(backward) == pytest.approx(worst.backward, rel=1e-3)
    assert float(numeric.rstrip(";")) == pytest.approx(worst.numeric, rel=1e-3)
    assert not np.isclose(worst.backward, worst.numeric)
    assert report.sizes == smallest
    assert any(words in text for text in texts(report, gradient))
    written = re.search(r"replay .*rg\.(Case\(.*?\))\)", str(caught.value)).group(1)
    assert all(f"{dim}={size}" in written for dim, size in smallest.items())
