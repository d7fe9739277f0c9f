"""A gradient of an elementwise product with another factor in the place of the right one, above all in a loop."""

from types import SimpleNamespace

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.check.diagnose.partner import at_hand, partnered


def scan(a, x):
    """Return h_t = a_t h_{t-1} + x_t, from 0."""
    h, states = np.zeros_like(x[0]), []
    for decay, inflow in zip(a, x, strict=True):
        h = decay * h + inflow
        states.append(h)
    return np.stack(states), (a, np.stack(states))


def scan_backward(dh, cache, wrong):
    a, h = cache
    da, dx, back = np.zeros_like(a), np.zeros_like(h), np.zeros_like(h[0])
    for t in reversed(range(len(a))):
        dx[t] = dh[t] + back
        da[t] = dx[t] * (h[t] if wrong else h[t - 1] if t else 0.0)
        back = a[t] * dx[t]
    return {"a": da, "x": dx}


def gated(c0, f):
    """Return c_t = f_t c_{t-1}, of which all are kept."""
    states = [c0]
    for gate in f:
        states.append(gate * states[-1])
    return states[-1], (np.stack(states), f)


def gated_backward(dc, cache, wrong):
    states, f = cache
    df = np.zeros_like(f)
    for t in reversed(range(len(f))):
        df[t] = dc * states[t + 1 if wrong else t]
        dc = dc * f[t]
    return {"c0": dc, "f": df}


def pair(forward, backward, inputs, *, wrong):
    return rg.pair(forward, lambda d, cache: backward(d, cache, wrong), inputs=inputs, name=forward.__name__)


SCAN = (scan, scan_backward, {"a": "T n", "x": "T n"})
GATED = (gated, gated_backward, {"c0": "n", "f": "T n"})


@pytest.mark.parametrize("case", [rg.Case(T=1, n=1, seed=0), rg.Case(T=2, n=3, seed=1), rg.Case(T=5, n=2, seed=2)])
def test_a_state_in_the_place_of_the_one_before_is_named_wherever_there_is_one_before(case):
    report = rg.check(pair(*SCAN, wrong=True), case)
    assert [one.name for one in report.gradients if one.verdict is rg.Verdict.FAIL] == ["a"]
    assert "a factor of out in the place of out one step before along T" in report["a"].diagnoses[0].message


@pytest.mark.parametrize("case", [rg.Case(T=3, n=2, seed=1), rg.Case(T=4, n=1, seed=2)])
def test_states_that_are_kept_with_the_first_one_are_told_by_their_place(case):
    report = rg.check(pair(*GATED, wrong=True), case)
    assert "a factor of cache[0][1:] in the place of cache[0][:-1]" in report["f"].diagnoses[0].message


@pytest.mark.parametrize("parts", [SCAN, GATED])
def test_with_the_right_factor_there_is_nothing_to_say(parts):
    assert rg.check(pair(*parts, wrong=False), rg.Case(T=4, n=2, seed=0)).verdict is rg.Verdict.PASS


def test_a_factor_of_something_else_is_not_taken_for_the_state_before():
    def backward(dh, cache):
        found = scan_backward(dh, cache, False)
        return found | {"a": found["a"] * np.cos(cache[0])}

    report = rg.check(rg.pair(scan, backward, inputs=SCAN[2], name="scan"), rg.Case(T=4, n=2, seed=0))
    assert not any("one step" in one.message for one in report["a"].diagnoses)


def stage_of(claimed, cached, *, supported):
    """Return a stage of one wrong gradient, all ones, with what forward leaves behind."""
    true = np.ones_like(claimed)
    view = SimpleNamespace(
        true=true,
        axes=("T",) * claimed.ndim,
        wrong=claimed != true,
        misfit=lambda predicted: float(np.nanmax(np.abs(predicted - claimed))),
    )
    return SimpleNamespace(
        views={"f": view}, cached=cached, wants=lambda _: True, least=lambda count: 1 if supported else count
    )


def test_what_lies_before_the_first_step_and_after_the_last_one_is_not_known():
    found = at_hand(stage_of(np.ones(3), {"s": np.array([1.0, 2.0, 3.0])}, supported=False), (3,), ("T",))
    assert np.isnan(found["s one step before along T"][0])
    assert np.isnan(found["s one step after along T"][-1])
    assert np.isfinite(found["s"]).all()


@pytest.mark.parametrize("supported", [False, True])
def test_on_two_numbers_no_factor_is_guessed_unless_another_case_bears_it_out(supported):
    states = {"s": np.array([2.0, 3.0]), "r": np.array([4.0, 9.0])}
    said = [guess.words for guess in partnered(stage_of(states["r"] / states["s"], states, supported=supported))]
    assert ("a factor of r in the place of s" in said) == supported
