import numpy as np
import pytest
from numdiff_lines import lines_of

from rnngrad.numdiff.confirm import confirm
from rnngrad.numdiff.ladder import climb

SIGMA = 1e-16


def confirmed(f, x, claimed, *, sigma=SIGMA, scale=1.0):
    """Return the first estimate, the confirmation and the calls that it took."""
    lines, counted = lines_of(f, x, scale=scale, sigma=sigma)
    first = climb(lines)
    before = counted.calls
    return first, confirm(lines, first, np.atleast_1d(claimed)), counted.calls - before


@pytest.mark.parametrize("claimed", [0.5, 0.0, np.cos(1.0) + 1e-8, np.cos(1.0), 1e9])
def test_two_ladders_on_a_smooth_function_agree_whatever_was_claimed(claimed):
    first, confirmation, _ = confirmed(lambda t: np.sin(t[0]), 1.0, claimed)
    assert confirmation.agrees.all()
    assert abs(confirmation.second.value[0] - np.cos(1.0)) <= confirmation.second.bar[0]
    assert confirmation.second.step[0] != first.step[0]


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("frequency", [3217.0, 6434.0])
def test_a_wave_that_looks_slow_at_dyadic_steps_is_disowned(frequency, scale):
    frequency = np.round(frequency / (64 * np.pi)) * 64 * np.pi  # each step of 1/64 or more spans whole half waves
    exact = frequency * np.cos(frequency * 0.3)
    first, confirmation, _ = confirmed(lambda t: np.sin(frequency * t[0]), 0.3, exact, sigma=1e-13, scale=scale)
    assert abs(first.value[0] - exact) > 5 * first.bar[0]  # the first ladder alone would accuse
    assert not confirmation.agrees.any()


def test_a_staircase_that_looks_like_a_line_to_dyadic_steps_is_disowned():
    first, confirmation, _ = confirmed(lambda t: np.round(64 * t[0]) / 64, 1.0, 0.0)
    assert first.value[0] == 1.0
    assert not confirmation.agrees.any()


def dent(t):
    return np.sin(t[0]) + 0.1 * t[0] * np.exp(-((1e6 * t[0]) ** 2))  # slope 1.1 at 0, but 1 to all steps beyond 1e-5


def test_what_both_ladders_overlook_the_probe_sees_and_a_ladder_from_below_measures():
    first, confirmation, _ = confirmed(dent, 0.0, 1.1)
    assert abs(first.value[0] - 1.0) < 1e-6
    assert abs(confirmation.second.value[0] - 1.1) <= confirmation.second.bar[0] < 1e-6
    assert not confirmation.agrees.any()


@pytest.mark.parametrize("share", [1.0, 1e-3])
@pytest.mark.parametrize("frequency", [1e5, 1e7])
def test_a_right_claim_about_a_fine_wave_is_met_by_the_estimate_that_counts(frequency, share):
    for x in np.linspace(0.3, 1.7, 12):
        exact = 2 * x + share * np.cos(frequency * x)
        _, confirmation, _ = confirmed(
            lambda t: (t * t + share / frequency * np.sin(frequency * t))[0], x, exact, sigma=3e-16
        )
        assert abs(confirmation.second.value[0] - exact) <= confirmation.second.bar[0] <= 1e-3 * share


def test_a_third_ladder_is_climbed_only_where_the_second_one_leaves_the_claim_open():
    frequency = np.round(3217.0 / (64 * np.pi)) * 64 * np.pi
    exact = frequency * np.cos(frequency * 0.3)
    calls = []
    for claimed in (exact, 0.0):
        _, confirmation, made = confirmed(lambda t: np.sin(frequency * t[0]), 0.3, claimed, sigma=1e-13, scale=0.5)
        assert not confirmation.agrees.any()
        assert confirmation.second.evaluations == made
        calls.append(made)
    assert calls[1] >= calls[0] + 2 + 6  # a probe and three steps at least


def test_the_probe_does_not_help_a_claim_that_is_further_off_than_the_numbers():
    assert confirmed(dent, 0.0, 0.5)[1].agrees.all()


def test_evaluations_are_those_of_the_second_ladder_and_two_for_each_probe():
    for claimed in (0.5, np.cos(1.0)):
        _, confirmation, calls = confirmed(lambda t: np.sin(t[0]), 1.0, claimed)
        assert confirmation.second.evaluations == calls


def test_a_claim_that_the_numbers_cannot_tell_apart_is_not_probed():
    calls = [confirmed(lambda t: np.sin(t[0]), 1.0, np.cos(1.0) + off)[2] for off in (0.1, 1e-15)]
    assert calls[0] == calls[1] + 2


def test_every_line_is_confirmed_by_itself():
    def f(t):
        return np.sin(t[0]) + np.round(64 * t[1]) / 64 + t[2] ** 2

    _, confirmation, _ = confirmed(f, [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    assert confirmation.agrees.tolist() == [True, False, True]


def test_a_function_that_is_not_finite_on_one_side_agrees_with_nothing():
    assert not confirmed(lambda t: np.sqrt(t[0]), 0.0, 1.0)[1].agrees.any()
