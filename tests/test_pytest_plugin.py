"""What a pytest run shows, counts and writes where gradients are checked."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import settings

import rnngrad
import rnngrad.cells.rnn
import rnngrad.report.summary
import rnngrad.strategies

PACKAGE = str(Path(rnngrad.__file__).parent)

CELL = """
import numpy as np
import rnngrad as rg

def forward(x, w):
    return x @ w, (x, w)

def right(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout

def wrong(dout, cache):
    dx, dw = right(dout, cache)
    return dx, dw / len(dout)

def both_wrong(dout, cache):
    dx, dw = right(dout, cache)
    return 2 * dx, 3 * dw

INPUTS = {"x": "N d", "w": "d m"}
linear = rg.pair(forward, right, inputs=INPUTS, name="linear")
averaged = rg.pair(forward, wrong, inputs=INPUTS, name="averaged")
doubled = rg.pair(forward, both_wrong, inputs=INPUTS, name="doubled")
"""
ONE = "rg.Case(N=2, d=1, m=1, seed=0)"
LINE = "GradientMismatch: w[0, 0]: backward 0.055, numeric 0.11 ± "


@pytest.fixture(autouse=True)
def hermetic(monkeypatch):
    """Draw the same examples at every run, keep none, and write no summary of a run inside a run."""
    for name in ("GITHUB_STEP_SUMMARY", "CI", "BUILD_NUMBER"):  # under the last two pytest repeats whole failures
        monkeypatch.delenv(name, raising=False)
    before = settings.get_current_profile_name()
    chosen = {"derandomize": True, "database": None, "deadline": None, "max_examples": 30}
    settings.register_profile("hermetic", settings(settings.get_profile("default"), **chosen))
    settings.load_profile("hermetic")
    yield
    settings.load_profile(before)


@pytest.fixture
def project(pytester):
    """Return a function that makes a project of CELL and one test file."""

    def make(tests, cell=CELL):
        pytester.makepyfile(my_cell=cell, test_it="import rnngrad as rg\nfrom my_cell import *\n" + tests)
        return pytester

    return make


def table(result):
    """Return the lines of the table that ends a run."""
    lines = result.outlines
    (start,) = [number for number, line in enumerate(lines) if line.strip("-") == " gradients "]
    rest = lines[start + 1 :]
    return [line for line in rest[: next(number for number, line in enumerate(rest) if line.startswith("==="))] if line]


def test_a_run_ends_with_a_table_of_what_was_decided(project):
    result = project("test_linear = rg.gradient_test(linear)").runpytest_inprocess()
    result.assert_outcomes(passed=1)
    title, header, x, w = table(result)
    assert title.startswith("pair linear    30 examples    ")
    assert title.endswith(" forward passes each    N 1-6, d 1-6, m 1-6")
    assert header.split("  ")[0] == "gradient"
    assert header.split() == ["gradient", "decided", "inconclusive", "failed", "error/bar", "would", "have", "seen"]
    assert x.split()[:4] == ["x", "30", "0", "0"]
    assert w.split()[:4] == ["w", "30", "0", "0"]
    assert 0 < float(w.split()[4]) < 5
    assert 0 < float(w.split()[5]) < 1e-6


def test_the_table_counts_failures_and_what_was_left_open(project):
    cell = CELL + "relu = rg.pair(np.abs, lambda dout, x: dout * np.sign(x), inputs={'x': 'n'}, name='relu')\n"
    tests = f"""
def test_wrong():
    rg.assert_gradients(averaged, {ONE})
def test_open():
    rg.assert_gradients(relu, {{"x": np.array([0.0, 1.0])}})
"""
    result = project(tests + "import numpy as np", cell).runpytest_inprocess("-o", "rnngrad_decided=0")
    result.assert_outcomes(passed=1, failed=1)
    rows = {tuple(line.split()[:4]) for line in table(result)}
    assert {("w", "1", "0", "1"), ("x", "1", "0", "0"), ("x", "0", "1", "0")} <= rows


OPEN = """
import numpy as np
relu = rg.pair(np.abs, lambda dout, x: dout * np.sign(x), inputs={"x": "n"}, name="relu")

def test_half():
    rg.assert_gradients(relu, {"x": np.array([0.0])})
    rg.assert_gradients(relu, {"x": np.array([1.0])})

def test_less():
    rg.assert_gradients(relu, {"x": np.array([1.0])})
    rg.assert_gradients(relu, {"x": np.array([0.0, 1.0])})
    rg.assert_gradients(relu, {"x": np.array([1.0, 0.0])})

def test_drawn():
    rg.gradient_test(linear)()

def test_unasked():
    assert rg.check(relu, {"x": np.array([0.0])}).verdict is rg.Verdict.INCONCLUSIVE
"""
SHORT = "Undecided: x of relu: 1 of 3 examples could be decided, at least 50% are asked for; the last of the others: "


def test_a_test_that_could_decide_too_little_fails_in_words_though_nothing_is_wrong(project):
    result = project(OPEN).runpytest_inprocess()
    result.assert_outcomes(passed=3, failed=1)
    lines = result.outlines
    title = next(number for number, line in enumerate(lines) if line.strip("_") == " test_less ")
    assert lines[title + 1].startswith(SHORT + "x[1]: forward has a kink here: slope ")
    assert lines[title + 2] == "the share is the ini option rnngrad_decided"
    assert PACKAGE not in result.stdout.str()


@pytest.mark.parametrize(("share", "failed"), [("0", 0), ("0.3", 0), ("0.34", 1), ("0.51", 2), ("1", 2)])
def test_the_share_that_has_to_be_decided_is_an_ini_option(project, share, failed):
    result = project(OPEN).runpytest_inprocess("-o", f"rnngrad_decided={share}")
    result.assert_outcomes(passed=4 - failed, failed=failed)
    asked = f"{float(share):.0%}"
    shown = [line for line in result.outlines if line.startswith("Undecided: ")]
    assert len(shown) == failed
    assert all(f" at least {asked} are asked for" in line for line in shown)


def test_a_wrong_gradient_is_told_before_what_could_not_be_decided(project):
    tests = f"""
import numpy as np
relu = rg.pair(np.abs, lambda dout, x: dout * np.sign(x), inputs={{"x": "n"}}, name="relu")
def test_both():
    rg.assert_gradients(relu, {{"x": np.array([0.0])}})
    rg.assert_gradients(averaged, {ONE})
"""
    result = project(tests).runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * w[[]0, 0[]]: backward 0.055, numeric 0.11 ± *"])
    result.stdout.no_fnmatch_line("*Undecided*")


def test_a_run_without_checks_ends_without_a_table(project):
    result = project("def test_nothing(): rg.check(linear, rg.Case(N=1, d=1, m=1, seed=0))").runpytest_inprocess()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*gradients*")


def test_the_counts_travel_as_user_properties_into_the_junit_file(project):
    pytester = project(
        f"test_averaged = rg.gradient_test(averaged)\ndef test_one(): rg.assert_gradients(linear, {ONE})"
    )
    pytester.runpytest_inprocess("--junitxml=out.xml").assert_outcomes(passed=1, failed=1)
    cases = {case.get("name"): case for case in ElementTree.parse(pytester.path / "out.xml").iter("testcase")}
    found = {}
    for name, case in cases.items():
        (found[name],) = [json.loads(item.get("value")) for item in case.iter("property")]
        assert [item.get("name") for item in case.iter("property")] == ["rnngrad"]
    assert found["test_one"]["examples"] == 1
    assert found["test_one"]["sizes"] == {"N": [2, 2], "d": [1, 1], "m": [1, 1]}
    assert found["test_averaged"]["pair"] == "averaged"
    assert found["test_averaged"]["gradients"]["w"]["FAIL"] > 0
    assert found["test_averaged"]["gradients"]["x"]["FAIL"] == 0
    assert cases["test_averaged"].find("failure").get("message").startswith(LINE)


def test_the_table_is_appended_to_the_step_summary_of_github(project, monkeypatch, tmp_path):
    target = tmp_path / "summary.md"
    target.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    project(f"def test_one(): rg.assert_gradients(linear, {ONE})").runpytest_inprocess().assert_outcomes(passed=1)
    lines = target.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert lines[1].startswith("**pair linear    1 example    ")
    assert lines[2:5] == [
        "",
        "| gradient | decided | inconclusive | failed | error/bar | would have seen |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    assert [line.split(" | ")[0] for line in lines[5:]] == ["| x", "| w"]


def test_a_run_without_checks_writes_no_step_summary(project, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    project("def test_nothing(): pass").runpytest_inprocess().assert_outcomes(passed=1)
    assert not (tmp_path / "summary.md").exists()


def test_everything_also_works_when_the_tests_run_in_other_processes(project):
    tests = "test_averaged = rg.gradient_test(averaged)\ntest_linear = rg.gradient_test(linear)\n"
    pytester = project(tests)
    result = pytester.runpytest_subprocess("-n", "2", "--junitxml=out.xml")
    result.assert_outcomes(passed=1, failed=1)
    titles = [line for line in table(result) if line.startswith("pair ")]
    assert sorted(title.split()[1] for title in titles) == ["averaged", "linear"]
    assert LINE in result.stdout.str()
    xml = ElementTree.parse(pytester.path / "out.xml")
    assert [item.get("name") for item in xml.iter("property")] == ["rnngrad", "rnngrad"]


def test_the_step_summary_is_written_once_when_the_tests_run_in_other_processes(project, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    project(f"def test_one(): rg.assert_gradients(linear, {ONE})").runpytest_subprocess("-n", "1")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").count("**pair linear ") == 1


def test_a_failing_gradient_test_shows_the_finding_first_and_no_frame_at_all(project):
    result = project("test_averaged = rg.gradient_test(averaged)").runpytest_inprocess()
    result.assert_outcomes(failed=1)
    lines = result.outlines
    title = next(number for number, line in enumerate(lines) if line.strip("_") == " test_averaged ")
    assert lines[title + 1].startswith(LINE)
    assert lines[title + 3] == "pair averaged    case Case(N=2, d=1, m=1, seed=0)"
    assert any(
        line == 'replay     rnngrad check my_cell.py::averaged --case "Case(N=2, d=1, m=1, seed=0)"' for line in lines
    )
    assert any(line.startswith("FAILED test_it.py::test_averaged - " + LINE[:40]) for line in lines)
    assert PACKAGE not in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_gradient_tests_may_stand_in_classes(project):
    tests = """
import unittest

class TestCells:
    test_linear = rg.gradient_test(linear)
    test_averaged = rg.gradient_test(averaged)

class Cells(unittest.TestCase):
    test_same = rg.equivalence_test(linear, linear)
"""
    result = project(tests).runpytest_inprocess()
    result.assert_outcomes(passed=2, failed=1)
    assert any(line.startswith(LINE) for line in result.outlines)


def test_two_wrong_gradients_of_one_test_are_both_shown(project):
    result = project("test_doubled = rg.gradient_test(doubled)").runpytest_inprocess()
    result.assert_outcomes(failed=1)
    shown = [line.split(": backward")[0] for line in result.outlines if line.startswith("GradientMismatch: ")]
    assert sorted(shown) == ["GradientMismatch: w[0, 0]", "GradientMismatch: x[0, 0]"]
    assert PACKAGE not in result.stdout.str()


WRITTEN = {
    "assertion": f"""
def test_written():
    rg.assert_gradients(averaged, {ONE})
""",
    "given": """
from hypothesis import Phase, given, settings
@given(rg.cases(averaged))
@settings(phases=[Phase.generate, Phase.shrink])
def test_written(case):
    rg.assert_gradients(averaged, case)
""",
}


@pytest.mark.parametrize("tests", WRITTEN.values(), ids=WRITTEN)
def test_a_test_that_was_written_out_shows_the_users_line_and_no_frame_of_ours(project, tests):
    result = project(tests).runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*    rg.assert_gradients(averaged, *", "E * w[[]0, 0[]]: backward 0.055, numeric 0.11 ± *"]
    )
    assert PACKAGE not in result.stdout.str()


def test_misuse_is_told_in_words_by_a_gradient_test(project):
    cell = (
        CELL + "def refuse(x): raise RuntimeError('no')\nodd = rg.pair(refuse, right, inputs={'x': 'n'}, name='odd')\n"
    )
    result = project("test_odd = rg.gradient_test(odd)", cell).runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["_* test_odd _*", "InvalidPair: forward of odd raised RuntimeError: no", "    at *"])
    assert PACKAGE not in result.stdout.str()


def test_what_is_none_of_our_exceptions_is_shown_as_pytest_shows_it(project):
    cell = CELL + "def odd_forward(x): raise SystemExit(3)\nodd = rg.pair(odd_forward, right, inputs={'x': 'n'})\n"
    result = project("test_odd = rg.gradient_test(odd)", cell).runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*def odd_forward(x): raise SystemExit(3)*", "*SystemExit: 3*"])


def test_other_tests_are_reported_as_ever(project):
    result = project("def test_plain(): assert 1 == 2\ndef test_fine(): pass").runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*assert 1 == 2"])


@pytest.mark.parametrize(("profile", "examples"), [("explore", 2000), ("dev", 100)])
def test_our_profiles_are_known_in_a_foreign_project(pytester, profile, examples):
    pytester.makepyfile(f"from hypothesis import settings\ndef test_it(): assert settings().max_examples == {examples}")
    pytester.runpytest_subprocess(f"--hypothesis-profile={profile}").assert_outcomes(passed=1)


def test_a_profile_that_somebody_has_registered_is_left_alone(pytester):
    settings.register_profile("explore", max_examples=7)
    pytester.makepyfile("from hypothesis import settings\ndef test_it(): assert settings().max_examples == 7")
    pytester.runpytest_inprocess("--hypothesis-profile=explore").assert_outcomes(passed=1)
    rnngrad.strategies.register_profiles("explore")


def test_the_plugin_adds_its_options_to_the_help(pytester):
    result = pytester.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(["gradient checking:", "  --rnngrad-check *", "  --rnngrad-case=CASE *"])


STOPPED = """
calls = []

def stopped(x, w):
    calls.append(1)
    if len(calls) == 124:  # while w is looked at entry by entry
        raise KeyboardInterrupt
    return forward(x, w)

stopping = rg.pair(stopped, wrong, inputs=INPUTS, name="stopping")
"""


def test_an_interrupted_run_shows_what_was_decided_until_then(project):
    pytester = project(
        STOPPED
        + """
def test_linear():
    rg.assert_gradients(linear, rg.Case(N=1, d=2, m=1, seed=3))

def test_stopped():
    rg.assert_gradients(stopping, rg.Case(N=1, d=1, m=1, seed=1))
    calls.clear()
    rg.assert_gradients(stopping, rg.Case(N=3, d=5, m=4, seed=1))
"""
    )
    result = pytester.runpytest_subprocess()  # in this process an interrupt would end both
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "pair linear    1 example *",
            "pair stopping    1 example *",
            "*interrupted; decided until then:",
            "w: interrupted before this was decided",
            "x         pass *",
            "w         inconclusive*",
        ]
    )
