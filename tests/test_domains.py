"""Inputs declared with the values that they may have: drawn within them at any scale, never rejected."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnngrad as rg
from rnngrad.case import draw_inputs
from rnngrad.spec import parse

SCALES = [2.0**k for k in range(-4, 5)]
FILLS = ["full", "zeros", "one-hot"]


def drawn(declared, case):
    return draw_inputs({name: parse(shape) for name, shape in declared.items()}, case)


@pytest.mark.parametrize("scale", [-16.0, *SCALES])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("seed", [0, 1, 7])
@pytest.mark.parametrize(("low", "high"), [(0, None), (None, 0), (0, 1), (-3.0, 5.0), (2, 2.5), (None, -1)])
def test_real_values_lie_between_their_bounds(low, high, seed, fill, scale):
    case = rg.Case(n=200, fills={"x": fill}, scale=scale, seed=seed)
    values = drawn({"x": rg.Array("n", low=low, high=high)}, case)["x"]
    assert low is None or (values > low).all()
    assert high is None or (values < high).all()


@pytest.mark.parametrize(("low", "high"), [(0, None), (None, 0), (0, 1)])
def test_real_values_are_as_many_as_those_that_they_come_from_and_in_their_order(low, high):
    case = rg.Case(n=200, seed=3)
    values = drawn({"x": rg.Array("n", low=low, high=high)}, case)["x"]
    plain = drawn({"x": "n"}, case)["x"]
    assert np.array_equal(np.argsort(values), np.argsort(plain))
    assert len(set(values)) == 200


@pytest.mark.parametrize("sign", [1, -1])
def test_not_even_a_huge_scale_reaches_a_single_bound(sign):
    declared = {"x": rg.Array("50", low=0), "y": rg.Array("50", high=0)}
    arrays = drawn(declared, rg.Case(scale=sign * 1e12, seed=1))
    assert (arrays["x"] > 0).all()
    assert (arrays["y"] < 0).all()


def test_the_zeros_of_a_fill_lie_in_the_middle():
    case = rg.Case(fills={"x": "zeros", "y": "zeros", "z": "zeros"})
    declared = {"x": rg.Array("1", low=0, high=1), "y": rg.Array("1", low=2), "z": rg.Array("1", high=2)}
    assert [value.tolist() for value in drawn(declared, case).values()] == [[0.5], [3.0], [1.0]]


@settings(max_examples=50, deadline=None)
@given(k=st.integers(1, 40), seed=st.integers(0, 9), scale=st.sampled_from(SCALES), fill=st.sampled_from(FILLS))
def test_integers_lie_below_their_dim(k, seed, scale, fill):
    case = rg.Case(k=k, N=30, fills={"labels": fill}, scale=scale, seed=seed)
    labels = drawn({"logits": "k N", "labels": rg.Array("N", below="k")}, case)["labels"]
    assert labels.dtype == np.int64
    assert ((labels >= 0) & (labels < k)).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_every_integer_below_the_bound_is_drawn(seed):
    assert set(drawn({"x": rg.Array("200", below=7)}, rg.Case(seed=seed))["x"]) == set(range(7))
    assert set(drawn({"x": rg.Array("200", below=2)}, rg.Case(seed=seed))["x"]) == {0, 1}


def test_the_fills_of_integers_are_zeros_and_ones():
    case = rg.Case(fills={"x": "zeros", "y": "one-hot"}, seed=1)
    arrays = drawn({"x": rg.Array("3", below=5), "y": rg.Array("3", below=5)}, case)
    assert arrays["x"].tolist() == [0, 0, 0]
    assert sorted(arrays["y"].tolist()) == [0, 0, 1]


def test_a_bound_may_be_a_sum_of_dims():
    labels = drawn({"x": "k", "labels": rg.Array("200", below="2*k+1")}, rg.Case(k=2, seed=1))["labels"]
    assert set(labels) == set(range(5))


def test_below_an_empty_dim_there_is_no_integer_unless_none_is_asked_for():
    declared = {"x": "k", "labels": rg.Array("N", below="k")}
    assert drawn(declared, rg.Case(k=0, N=0))["labels"].shape == (0,)
    with pytest.raises(rg.InvalidPair, match="labels holds integers below k, and there are none"):
        drawn(declared, rg.Case(k=0, N=1))


BAD = {
    "no number": (lambda: rg.Array("n", low="0"), "a bound is a finite number"),
    "a boolean": (lambda: rg.Array("n", high=True), "a bound is a finite number"),
    "infinite": (lambda: rg.Array("n", high=float("inf")), "a bound is a finite number"),
    "nan": (lambda: rg.Array("n", low=float("nan")), "a bound is a finite number"),
    "turned round": (lambda: rg.Array("n", low=1, high=1), "nothing lies between low and high"),
    "both kinds": (lambda: rg.Array("n", low=0, below=2), "low and high are for reals"),
    "shape": (lambda: parse(rg.Array("n,m")), "shape 'n,m' does not parse here"),
    "limit": (lambda: parse(rg.Array("n", below="k,")), "shape 'k,' does not parse here"),
    "unknown dim": (
        lambda: rg.Pair(abs, abs, inputs={"x": rg.Array("n", below="k")}),
        r"input 'x' lies below \['k'\], which are no dims; the dims are \['n'\]",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_domain_that_cannot_be_is_refused(name):
    call, message = BAD[name]
    with pytest.raises(rg.InvalidPair, match=message):
        call()


def test_integers_are_not_differentiated_and_reals_between_bounds_are():
    def forward(x, weight):
        return np.log(x) * weight, (x, weight)

    def backward(dout, cache):
        x, weight = cache
        return (dout * weight / x,)

    pair = rg.pair(forward, backward, inputs={"x": rg.Array("n", low=0), "weight": rg.Array("n", below=3)})
    assert pair.wrt == ["x"]
    for seed in range(4):
        assert rg.check(pair, rg.Case(n=4, seed=seed)).verdict is rg.Verdict.PASS
    assert rg.forward_passes(pair, rg.Case(n=4, seed=1)) == rg.forward_passes(
        pair, {"x": np.ones(4), "weight": np.ones(4, int)}
    )


def test_a_pair_in_canonical_form_has_domains_too():
    def forward(inputs):
        return {"y": np.sqrt(inputs["x"])}, inputs["x"]

    pair = rg.Pair(forward, lambda v, x: {"x": v["y"] / (2 * np.sqrt(x))}, inputs={"x": rg.Array("*batch n", low=0)})
    rg.gradient_test(pair, settings=settings(max_examples=20, deadline=None))()
