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
