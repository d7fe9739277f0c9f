"""Which planted errors a test would have caught, and why not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell
from rnngrad.power import measure_power, of_each

CASES = [rg.Case(m=3, N=2, n=4, k=3, seed=seed) for seed in range(1, 5)]


def forward(x, w, b):
    return x @ w + b, (x, w)


def backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


affine = rg.pair(forward, backward, inputs={"x": "N d", "w": "d m", "b": "m"}, name="affine")
square = rg.pair(forward, backward, inputs={"x": "N d", "w": "d d", "b": "d"}, name="square")


def missed(power):
    return {(error.kind, *error.gradients): error.reason for error in power.missed}


def test_good_cases_catch_every_error_in_the_numbers():
    power = measure_power(rnn_cell, CASES)
    assert {key for key in missed(power) if len(key) > 1} == set()
    kinds = {(error.kind, error.gradients) for error in power.planted}
    assert {
        ("transposed", ("W",)),
        ("averaged over N", ("ba",)),
        ("sign", ("V",)),
        ("last step zeroed", ("x_t",)),
    } <= kinds
    assert all(error.reason.startswith("Case(m=3") for error in power.planted if error.caught)


@pytest.mark.parametrize("pair", [rnn_cell, affine, square], ids=lambda pair: pair.name)
def test_what_is_caught_is_what_a_check_of_the_wrong_pair_fails_on(pair):
    sizes = {"m": 3, "N": 2, "n": 4, "k": 5, "d": 3}
    dims = {name: size for name, size in sizes.items() if any(name in text for text in pair.inputs.values())}
    case = rg.Case(**dims, seed=7)
    caught = {(error.kind, error.gradients): error.caught for error in measure_power(pair, [case]).planted}
    for error in of_each(pair, pair.shapes):

        def wrong(cotangents, cache, error=error):
            right = pair.backward(cotangents, cache)
            return dict(right) | dict(error.plant(right, dims))

        report = rg.check(replace(pair, backward=wrong), case)
        failed = {gradient.name for gradient in report.gradients if gradient.verdict is rg.Verdict.FAIL}
        assert failed == (set(error.gradients) if caught[error.kind, error.gradients] else set())


def test_an_error_that_no_shape_shows_is_missed_with_the_dim_that_hides_it():
    power = measure_power(affine, [rg.Case(N=1, d=3, m=2, seed=seed) for seed in range(3)])
    assert missed(power)["averaged over N", "w"] == "no case had N > 1"
    assert missed(power)["averaged over N", "b"] == "no case had N > 1"
    assert "last step zeroed", "w" not in missed(power)
    power = measure_power(square, [rg.Case(N=2, d=1, seed=1)])
    assert missed(power)["transposed", "w"] == "no case had d > 1 and an unsymmetric gradient"
    assert 0 < power.share < 1


def test_gradients_of_one_shape_are_swapped_and_their_equality_hides_it():
    add = rg.pair(lambda a, b: (a + b, None), lambda d, _: (d.copy(), d.copy()), inputs={"a": "n", "b": "n"})
    assert missed(measure_power(add, [rg.Case(n=3, seed=1)]))["swapped", "a", "b"] == (
        "the two gradients were equal in every case"
    )
    product = rg.pair(lambda a, b: (a * b, (a, b)), lambda d, c: (d * c[1], d * c[0]), inputs={"a": "n", "b": "n"})
    assert ("swapped", "a", "b") not in missed(measure_power(product, [rg.Case(n=3, seed=1)]))


def test_a_gradient_that_is_zero_everywhere_shows_no_error_in_it():
    zero = rg.pair(lambda x, y: (x + 0 * y, None), lambda d, _: (d.copy(), 0 * d), inputs={"x": "n", "y": "n"})
    assert missed(measure_power(zero, [rg.Case(n=2, seed=1)]))["sign", "y"] == "the gradient was zero in every case"


def test_where_nothing_can_be_decided_nothing_is_caught():
    kink = rg.pair(lambda x: (np.abs(x), x), lambda d, x: d * np.sign(x), inputs={"x": "n"})
    power = measure_power(kink, [rg.Case(n=1, fills={"x": "zeros"}, seed=1), rg.Case(n=1, seed=0, scale=0.0)])
    assert missed(power)["sign", "x"] == "the gradient was zero in every case"
    ones = rg.pair(lambda x: (np.abs(x), x), lambda d, x: d * np.ones_like(x), inputs={"x": "n"})
    power = measure_power(ones, [rg.Case(n=1, fills={"x": "zeros"}, seed=1)])
    assert missed(power)["sign", "x"] == "no case that it changes could be decided"


def test_an_error_below_the_resolution_is_told_with_both_sizes():
    noisy = rg.pair(
        lambda x: (x + 1e-5 * np.sin(x.view(np.int64) % np.int64(1009)), None), lambda d, _: d * 1.0, inputs={"x": "n"}
    )
    reason = missed(measure_power(noisy, [rg.Case(n=40, seed=1)]))["one entry off by 1 %", "x"]
    assert reason.startswith("it is off by ")
    assert " at most where " in reason
    assert reason.endswith(" would have been seen")


def test_the_behaviour_of_backward_is_planted_too():
    kinds = {error.kind: error.caught for error in measure_power(rnn_cell, CASES).planted if not error.gradients}
    assert kinds["cotangent ignored"]
    assert kinds["single precision"]


def test_nothing_is_planted_into_the_pair_itself_or_into_what_it_holds():
    kept = np.ones(3)
    held = rg.pair(lambda x: (x * kept, kept), lambda d, cache: d * cache, inputs={"x": "3"})
    measure_power(held, [rg.Case(seed=1)])
    assert (kept == 1).all()
    assert rg.check(held, rg.Case(seed=1)).verdict is rg.Verdict.PASS


def test_a_scalar_has_no_step_to_zero():
    shift = rg.pair(lambda x, c: (x + c, x), lambda d, _: (d * 1.0, d.sum()), inputs={"x": "n", "c": ""})
    kinds = {error.kind for error in measure_power(shift, [rg.Case(n=3, seed=1)]).planted if error.gradients == ("c",)}
    assert kinds == {"sign", "factor 2", "one entry off by 1 %", "averaged over n"}


def test_empty_arrays_take_no_error_and_break_nothing():
    power = measure_power(affine, [rg.Case(N=0, d=2, m=3, seed=1)])
    assert missed(power)["sign", "w"] == "the gradient was zero in every case"


def test_a_test_or_a_pair_is_drawn_from_with_its_own_dims_and_settings():
    chosen = settings(max_examples=7, derandomize=True, database=None, deadline=None)
    test = rg.gradient_test(affine, dims={"N": 1}, settings=chosen)
    of_test, of_pair = rg.power(test), rg.power(affine, dims={"N": 1}, settings=chosen)
    assert of_test == of_pair
    assert of_test.examples == 7
    assert ("averaged over N", "w") in missed(of_test)
    assert ("averaged over N", "w") not in missed(rg.power(affine, settings=chosen))


def test_the_cost_is_told_in_forward_passes():
    calls = []

    def counting(x, w, b):
        calls.append(1)
        return forward(x, w, b)

    pair = rg.pair(counting, backward, inputs={"x": "N d", "w": "d m", "b": "m"})
    assert measure_power(pair, [rg.Case(N=2, d=3, m=4, seed=1)]).evaluations == len(calls)


def test_the_text_gives_the_share_and_a_line_for_each_error_that_was_missed():
    power = measure_power(affine, [rg.Case(N=1, d=3, m=2, seed=1)])
    head, cost, *lines = str(power).splitlines()
    caught = len(power.planted) - len(lines)
    assert head.startswith(f"power of affine    {caught} of {len(power.planted)} planted errors caught (")
    assert cost.startswith("    1 example, ")
    assert len(lines) == len(power.missed)
    assert any(line.split("  ")[0] == "missed" and line.endswith("no case had N > 1") for line in lines)


def test_without_a_case_or_a_pair_there_is_no_power():
    with pytest.raises(rg.InvalidPair, match="power of affine: there is no case; pass one at least"):
        measure_power(affine, [])
    with pytest.raises(rg.InvalidPair, match="cases are drawn from declared shapes; 3 declares no inputs"):
        rg.power(3)
