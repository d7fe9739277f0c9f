"""The harness against wrong gradients: each must fail, under its own name, and nothing else may."""

import re

import numpy as np
import pytest
from hypothesis import settings
from mutants import ALL, MUTANTS, correct

import rnngrad as rg

CASES = [
    rg.Case(m=1, n=1, k=1, N=1, seed=0),
    rg.Case(m=1, n=2, k=3, N=2, seed=0),
    rg.Case(m=2, n=3, k=4, N=1, seed=1),
    rg.Case(m=3, n=2, k=4, N=5, seed=2),
    rg.Case(m=3, n=2, k=4, N=5, seed=3),
    rg.Case(m=3, n=3, k=3, N=3, seed=4),
    rg.Case(m=2, n=4, k=3, N=2, seed=5, scale=0.25),
    rg.Case(m=4, n=2, k=2, N=3, seed=6, scale=2.0),
]


def failed(pair, case):
    report = rg.check(pair, case)
    return {gradient.name for gradient in report.gradients if gradient.verdict is rg.Verdict.FAIL}


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_correct_backward_pass_passes(case):
    report = rg.check(correct, case)
    assert {gradient.name: gradient.verdict.name for gradient in report.gradients} == dict.fromkeys(ALL, "PASS")


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if not m.raises], ids=lambda m: m.name)
def test_a_wrong_backward_pass_fails_on_exactly_what_is_wrong(mutant):
    pair = mutant.pair()
    found = [failed(pair, case) for case in CASES]
    assert set().union(*found) <= set(mutant.wrong), "a right gradient was blamed"
    assert set(mutant.wrong) in found


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.raises], ids=lambda m: m.name)
def test_a_gradient_that_is_not_returned_is_asked_for(mutant):
    with pytest.raises(rg.InvalidPair, match=rf"returned no gradient for {mutant.wrong[0]}: expected the key 'd"):
        rg.check(mutant.pair(), CASES[3])


def test_the_table_is_large_and_names_each_mutant_once():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


@pytest.mark.parametrize("gradient", ALL)
def test_every_gradient_has_a_mutant_of_its_own(gradient):
    assert any(mutant.wrong == (gradient,) for mutant in MUTANTS)


HEADLINE = re.compile(r"(\w+)\[([\d, ]+)\]: backward (\S+), numeric (\S+) ± (\S+)")


@pytest.mark.parametrize(
    ("name", "gradient", "smallest"),
    [
        ("dx_t_doubled", "x_t", {"m": 1, "N": 1, "n": 1, "k": 1}),
        ("s_prev_W_not_transposed", "s_prev", {"m": 1, "N": 1, "n": 2, "k": 1}),
        ("dba_averaged", "ba", {"m": 1, "N": 2, "n": 1, "k": 1}),
        ("dV_last_row_zero", "V", {"m": 1, "N": 1, "n": 1, "k": 2}),
    ],
)
def test_a_property_test_shrinks_to_the_smallest_sizes_and_names_the_entry(name, gradient, smallest):
    pair = next(mutant for mutant in MUTANTS if mutant.name == name).pair()
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
    written = re.search(r"replay .*rg\.(Case\(.*?\))\)", str(caught.value)).group(1)
    assert all(f"{dim}={size}" in written for dim, size in smallest.items())
