"""Arrays in single or half precision: the float64 run against the numbers, the narrow run against the float64 run."""

from dataclasses import replace

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell, rnn_cell_backward, rnn_cell_forward

CELL = {
    "x_t": "m N",
    "s_prev": "n N",
    "parameters": {"U": "n m", "W": "n n", "V": "k n", "ba": "n 1", "by": "k 1"},
}


def arrays(dtype, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"x_t": (3, 2), "s_prev": (4, 2), "U": (4, 3), "W": (4, 4), "V": (3, 4), "ba": (4, 1), "by": (3, 1)}
    return {name: (scale * rng.standard_normal(shape)).astype(dtype) for name, shape in shapes.items()}


def cell(change):
    def backward(ds_next, dout_pred, cache):
        return change(rnn_cell_backward(ds_next, cache, dout_pred))

    return rg.pair(rnn_cell_forward, backward, inputs=CELL, returns=("s_next", "out_pred", "cache"))


def failing(report):
    return {gradient.name: gradient.findings[0] for gradient in report.gradients if gradient.findings}


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_right_cell_passes_in_a_narrow_dtype_at_any_saturation(dtype, scale, seed):
    assert not failing(rg.check(rnn_cell, arrays(dtype, scale, seed)))


def test_a_gradient_in_another_dtype_than_its_input_fails():
    report = rg.check(cell(lambda g: g | {"dW": g["dW"].astype(np.float64)}), arrays(np.float32))
    assert report.verdict is rg.Verdict.FAIL
    assert {name: finding.message for name, finding in failing(report).items()} == {
        "W": "W: dW has dtype float64, expected float32, the dtype of W"
    }


def test_a_dtype_that_is_waived_is_not_asked():
    pair = replace(cell(lambda g: g | {"dW": g["dW"].astype(np.float64)}), waive={"dtype": "the optimizer casts"})
    assert not failing(rg.check(pair, arrays(np.float32)))


def only_in_single(g):
    if g["dW"].dtype == np.float32:
        g["dW"][1, 2] *= np.float32(1.01)
    return g


def test_an_error_that_shows_in_single_precision_only_is_found_and_placed():
    report = rg.check(cell(only_in_single), arrays(np.float32))
    found = failing(report)
    assert list(found) == ["W"]
    assert found["W"].kind == "precision"
    assert found["W"].message.startswith("W[1, 2]: backward ")
    assert "in float32" in found["W"].message


def nan_in_single(g):
    if g["dW"].dtype == np.float32:
        g["dW"][0, 1] = np.nan
    return g


def test_a_nan_that_shows_in_single_precision_only_is_found():
    assert failing(rg.check(cell(nan_in_single), arrays(np.float32)))["W"].kind == "finite"


def test_a_gradient_that_is_wrong_in_double_precision_is_blamed_on_the_numbers():
    report = rg.check(cell(lambda g: g | {"dW": 2 * g["dW"]}), arrays(np.float32))
    assert report["W"].verdict is rg.Verdict.FAIL
    assert report["W"].wrong == 16


def test_of_mixed_dtypes_no_dtype_is_asked():
    mixed = arrays(np.float64) | {"x_t": arrays(np.float32)["x_t"]}
    assert not failing(rg.check(rnn_cell, mixed))


def test_a_backward_that_returns_no_dict_in_a_narrow_dtype_is_an_invalid_pair():
    def backward(cotangents, x):
        return {"x": 2 * x * cotangents["y"]} if x.dtype == np.float64 else [2 * x]

    pair = rg.Pair(lambda inputs: ({"y": inputs["x"] ** 2}, inputs["x"]), backward)
    with pytest.raises(rg.InvalidPair, match="returned a list, expected a dict"):
        rg.check(pair, {"x": np.ones(2, np.float32)})


def test_integer_inputs_stay_as_they_are_beside_narrow_ones():
    def backward(cotangents, cache):
        x, labels = cache
        out = np.zeros_like(x)
        out[labels] = cotangents["y"]
        return {"x": out}

    pair = rg.Pair(lambda i: ({"y": i["x"][i["labels"]]}, (i["x"], i["labels"])), backward)
    given = {"x": np.arange(4, dtype=np.float32), "labels": np.array([2, 0])}
    assert rg.check(pair, given).verdict is rg.Verdict.PASS


def normed(x):
    centred = x - x.mean(axis=0)
    inverse = 1 / np.sqrt((centred**2).mean(axis=0) + 1e-5).astype(x.dtype)
    return centred * inverse, (centred, inverse)


def normed_backward(dout, cache):
    centred, inverse = cache
    y = centred * inverse
    return (dout - dout.mean(axis=0) - y * (dout * y).mean(axis=0)) * inverse


def variance(x):
    return np.var(x + x.dtype.type(1e3)), np.array(x)  # as people copy, whatever kind of array it is


def variance_backward(dout, x):
    y = x + x.dtype.type(1e3)
    return (dout * 2 * (y - y.mean()) / y.size).astype(x.dtype)


LOSING = {  # pairs that lose most digits in single precision to numbers that do not depend on the last bits of x
    "batch norm": (normed, normed_backward, "N D", 1000.0, 1.0),
    "variance": (variance, variance_backward, "N", 1.0, 1e-3),
}


def losing(name, change=lambda x: x, **options):
    forward, backward, shape, offset, scale = LOSING[name]
    pair = rg.pair(forward, lambda dout, cache: change(backward(dout, cache)), inputs={"x": shape}, **options)
    shapes = {"N D": (2, 4), "N": (5,)}[shape]
    return pair, lambda seed: np.float32(scale * np.random.default_rng(seed).standard_normal(shapes) + offset)


@pytest.mark.parametrize("name", LOSING)
@pytest.mark.parametrize("seed", range(30))
def test_what_rounding_on_the_way_does_in_a_narrow_dtype_accuses_nobody(name, seed):
    pair, draw = losing(name)
    assert rg.check(pair, {"x": draw(seed)}).verdict is not rg.Verdict.FAIL


def test_a_gradient_too_small_for_a_narrow_dtype_may_be_zero_in_it():
    pair = rg.pair(lambda x: (np.exp(-x), np.exp(-x)), lambda dout, y: -dout * y, inputs={"x": "n"})
    assert rg.check(pair, {"x": np.array([110.0, 115.0, 120.0], np.float32)}).verdict is rg.Verdict.PASS
    gone = rg.pair(lambda x: (np.exp(-x), x), lambda dout, x: -dout * np.exp(-np.float32(8) * x), inputs={"x": "n"})
    assert rg.check(gone, {"x": np.array([10.0, 11.0], np.float32)}).verdict is rg.Verdict.FAIL


def one_off(x, share=0.01):
    if x.dtype == np.float32:
        x = x.copy()
        x.flat[1] += np.float32(share) * np.abs(x).max()
    return x


@pytest.mark.parametrize(("name", "share"), [("batch norm", 0.01), ("variance", 0.3)])
def test_an_entry_that_is_off_by_more_than_rounding_on_the_way_fails(name, share):
    pair, _ = losing(name, lambda x: one_off(x, share))
    x = np.float32(np.random.default_rng(0).standard_normal((6, 3) if name == "batch norm" else 6))
    assert failing(rg.check(pair, {"x": x}))["x"].kind == "precision"


def choosy(x):
    if type(x) is not np.ndarray:
        raise TypeError("only plain arrays")
    return normed(x)


def two_minded(x):
    out, (centred, inverse) = normed(x)
    return out, (centred, inverse * (1 if type(x) is np.ndarray else 5))


@pytest.mark.parametrize("forward", [choosy, two_minded])
def test_what_does_not_take_other_arrays_or_does_something_else_with_them_is_not_excused(forward):
    pair = rg.pair(forward, lambda dout, cache: one_off(normed_backward(dout, cache)), inputs={"x": "N D"})
    x = np.float32(np.random.default_rng(0).standard_normal((6, 3)))
    assert failing(rg.check(pair, {"x": x}))["x"].kind == "precision"


def test_where_the_budget_ends_before_rounding_on_the_way_is_asked_nobody_is_accused():
    pair, _ = losing("batch norm", one_off)
    x = np.float32(np.random.default_rng(0).standard_normal((6, 3)))
    found = {budget: rg.check(pair, {"x": x}, budget=budget) for budget in (38, 60)}
    assert found[38].verdict is rg.Verdict.INCONCLUSIVE
    assert failing(found[38])["x"].kind == "budget"
    assert found[60].verdict is rg.Verdict.FAIL
    assert all(report.evaluations <= budget for budget, report in found.items())


T = np.array([-0.5, 0.5])


def correlation(x):
    centred = (x - x.mean()).astype(np.float64)  # all that comes after it is exact, as it were
    return (centred @ T) / np.sqrt((centred @ centred) * (T @ T) + 1e-12), (x, centred)


def correlation_backward(dout, cache):
    x, centred = cache
    square = (centred @ centred) * (T @ T) + 1e-12
    slope = T / np.sqrt(square) - (centred @ T) * (T @ T) * centred / square**1.5
    return (dout * (slope - slope.mean())).astype(x.dtype)


def test_a_tie_that_is_the_same_whichever_way_it_rounds_accuses_nobody():
    """The mean of two numbers is off by half an ulp either way, to which the correlation is an even function."""
    pair = rg.pair(correlation, correlation_backward, inputs={"x": "2"})
    for seed in range(150):
        x = np.float32(7 + 1e-3 * np.random.default_rng(seed).standard_normal(2))
        assert rg.check(pair, {"x": x}).verdict is not rg.Verdict.FAIL


def test_an_entry_of_which_rounding_leaves_no_digit_accuses_nobody():
    pair = rg.pair(
        lambda x: ((x + 1e6) - 1e6, x), lambda dout, x: dout * np.exp((x + 1e9) - 1e9 - x), inputs={"x": "n"}
    )
    for seed in range(10):
        x = np.float32(np.random.default_rng(seed).uniform(1, 2, 3))
        assert rg.check(pair, {"x": x}).verdict is not rg.Verdict.FAIL


def test_where_random_rounding_breaks_a_pair_the_other_runs_count():
    seen = []

    def forward(x):
        seen.append(type(x) is not np.ndarray)
        if seen[-1] and sum(seen) > 3:
            raise FloatingPointError("enough")
        return normed(x)

    pair = rg.pair(forward, lambda dout, cache: one_off(normed_backward(dout, cache)), inputs={"x": "N D"})
    x = np.float32(np.random.default_rng(0).standard_normal((6, 3)))
    assert failing(rg.check(pair, {"x": x}))["x"].kind == "precision"
    assert sum(seen) > 4
