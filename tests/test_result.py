"""Reports and their parts are frozen values that can be asked, sent and written."""

import json
import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.report import html
from rnngrad.result import Entry, Finding, GradientResult

X = GradientResult("x", rg.Verdict.PASS, (2, 3))
W = GradientResult("W", rg.Verdict.FAIL, (), (Finding(rg.Verdict.FAIL, "none", "W", "W: backward returned None"),))
REPORT = rg.Report(
    "affine", None, {"n": 2}, rg.Verdict.FAIL, (X, W), 41, "central differences", "rg.check(affine)", "W"
)


def test_verdicts_stand_in_order_the_worst_last():
    assert [verdict.value for verdict in rg.Verdict] == ["pass", "inconclusive", "FAIL"]


@pytest.mark.parametrize(("shape", "size"), [((), 1), ((3,), 3), ((2, 3), 6), ((2, 0), 0)])
def test_the_size_of_a_gradient_is_the_number_of_its_entries(shape, size):
    assert GradientResult("x", rg.Verdict.PASS, shape).size == size


def test_a_report_gives_the_result_of_an_input_by_name():
    assert REPORT["x"] is X
    assert REPORT["W"] is W


def test_a_name_that_is_not_in_the_report_is_told_with_those_that_are():
    with pytest.raises(KeyError) as caught:
        REPORT["dW"]
    assert caught.value.args == ("no gradient of 'dW' in this report; it has ['x', 'W']",)


ESTIMATE = rg.Estimate(np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1), np.ones(1), 7)
ENTRY = Entry((0, 1), 1.0, 2.0, 1e-9)


@pytest.mark.parametrize("value", [REPORT, X, W.findings[0], ENTRY, ESTIMATE], ids=lambda value: type(value).__name__)
def test_no_field_of_a_result_can_be_set(value):
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)


def test_a_report_survives_a_trip_between_processes():
    assert pickle.loads(pickle.dumps(REPORT)) == REPORT


def test_a_printed_report_is_its_text():
    assert str(REPORT).split("\n")[0] == "W: backward returned None"
    assert str(REPORT).split("\n")[-1] == "replay     rg.check(affine)"


def test_a_report_as_json_is_an_object_with_its_fields():
    assert json.loads(REPORT.to_json())["gradients"][1]["findings"][0]["kind"] == "none"


@pytest.mark.parametrize("as_path", [lambda path: path, str], ids=["Path", "str"])
def test_a_report_is_written_as_an_html_file_in_utf8(tmp_path, as_path):
    path = tmp_path / "report.html"
    REPORT.to_html(as_path(path))
    assert path.read_bytes().decode("utf-8").startswith("<!doctype html>")
    assert path.read_bytes().replace(b"\r\n", b"\n") == html.render(REPORT).encode("utf-8")
