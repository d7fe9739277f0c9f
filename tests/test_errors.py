"""The two exceptions: what they are, what they carry, how they are told apart."""

import pickle
import traceback

import pytest

import rnngrad as rg
from rnngrad.errors import mismatch_of


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [(rg.InvalidPair, ValueError), (rg.GradientMismatch, AssertionError), (rg.Undecided, AssertionError)],
    ids=["misuse", "finding", "undecided"],
)
def test_each_exception_is_a_builtin_of_its_kind(ours, builtin):
    assert issubclass(ours, builtin)
    assert not issubclass(ours, {ValueError: AssertionError, AssertionError: ValueError}[builtin])


def test_a_mismatch_carries_its_message_and_its_report():
    error = rg.GradientMismatch("dW is wrong", "the report")
    assert (str(error), error.report) == ("dW is wrong", "the report")
    assert rg.GradientMismatch("alone").report is None


def test_a_report_given_as_a_function_is_completed_once_when_somebody_looks():
    made = []

    def complete():
        made.append("made")
        return "the report"

    error = mismatch_of("W")(complete)
    assert made == []
    assert (error.report, str(error), error.report) == ("the report",) * 3
    assert made == ["made"]
    again = pickle.loads(pickle.dumps(mismatch_of("W")(complete)))
    assert (type(again), str(again), again.report) == (mismatch_of("W"), "the report", "the report")


def test_a_mismatch_survives_a_trip_between_processes():
    again = pickle.loads(pickle.dumps(rg.GradientMismatch("dW is wrong", "the report")))
    assert (str(again), again.report) == ("dW is wrong", "the report")


def test_the_mismatch_of_one_gradient_survives_it_too_with_its_class():
    error = mismatch_of("W")("dW is wrong", "the report")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.gradient) == (mismatch_of("W"), "W")
    assert (str(again), again.report) == ("dW is wrong", "the report")


def test_each_gradient_has_one_exception_class_of_its_own():
    first, again, other = mismatch_of("W"), mismatch_of("W"), mismatch_of("b")
    assert first is again
    assert first is not other
    assert not issubclass(first, other)
    assert issubclass(first, rg.GradientMismatch)
    assert first.__doc__ == "W is wrong."


def test_the_class_of_a_gradient_prints_as_the_public_one():
    error = mismatch_of("W")("W[0]: backward 1, numeric 2", "the report")
    assert traceback.format_exception_only(error) == ["rnngrad.GradientMismatch: W[0]: backward 1, numeric 2\n"]
    assert error.report == "the report"


def test_a_comparison_that_names_no_tensor_survives_pickling():
    error = pickle.loads(pickle.dumps(rg.NotEquivalent("moved")))
    assert (type(error), str(error), error.gradient) == (rg.NotEquivalent, "moved", None)
