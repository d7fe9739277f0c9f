"""The fixture `gradient_baseline`: compared by default, written on request, never under CI, and what nobody uses."""

import sys

import pytest
from hypothesis import settings

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
    return dx, dw * (1 + 1e-9)

INPUTS = {"x": "N d", "w": "d m"}
linear = rg.pair(forward, right, inputs=INPUTS, name="linear")
"""
TEST = """
from my_cell import linear

def test_recorded(gradient_baseline):
    gradient_baseline(linear)
"""
ARCHIVE = "test_it.test_recorded.linear.npz"


@pytest.fixture(autouse=True)
def hermetic(monkeypatch):
    for name in ("GITHUB_STEP_SUMMARY", "CI", "BUILD_NUMBER", "CONTINUOUS_INTEGRATION", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)
    before = settings.get_current_profile_name()
    yield
    settings.load_profile(before)


@pytest.fixture
def project(pytester):
    """Make a project of a cell and a test, and return what runs it in a process of its own."""

    def write(cell=CELL, test=TEST):
        pytester.makepyfile(my_cell=cell, test_it=test)
        return pytester

    write()
    pytester.write = write
    pytester.run_it = lambda *options: pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
    return pytester


def recorded(project):
    return sorted(path.name for path in project.path.glob("__gradients__/*"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Import the project's module anew at every run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    sys.modules.pop("my_cell", None)


def rerun(project, *options):
    sys.modules.pop("my_cell", None)
    return project.run_it(*options)


def test_a_missing_baseline_fails_and_names_the_command(project):
    result = rerun(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*there is no baseline *; record it with: pytest --rnngrad-update"])
    assert recorded(project) == []


def test_it_is_recorded_on_request_and_compared_from_then_on(project):
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    assert recorded(project) == [ARCHIVE.replace("npz", "json"), ARCHIVE]
    rerun(project).assert_outcomes(passed=1)
    project.write(cell=CELL.replace("forward, right", "forward, wrong"))
    result = rerun(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*w[[]*: file *, code *ulp apart*the code is wrong*"])


def test_one_that_holds_is_left_as_it_is_and_one_that_does_not_is_replaced(project):
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    path = project.path / "__gradients__" / ARCHIVE
    before = path.stat().st_mtime_ns
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    assert path.stat().st_mtime_ns == before
    path.write_bytes(b"broken")
    rerun(project).assert_outcomes(failed=1)
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    rerun(project).assert_outcomes(passed=1)


def test_a_wrong_gradient_replaces_nothing(project):
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    path = project.path / "__gradients__" / ARCHIVE
    before = path.read_bytes()
    project.write(cell=CELL.replace("forward, right", "forward, wrong").replace("1e-9", "1e-3"))
    result = rerun(project, "--rnngrad-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*nothing is recorded of a gradient that is wrong*"])
    assert path.read_bytes() == before


@pytest.mark.parametrize(("value", "written"), [("true", False), ("1", False), ("false", True), ("", True)])
def test_nothing_is_written_under_ci(project, monkeypatch, value, written):
    monkeypatch.setenv("CI", value)
    result = rerun(project, "--rnngrad-update")
    result.assert_outcomes(passed=int(written), failed=int(not written))
    assert bool(recorded(project)) == written
    if not written:
        result.stdout.fnmatch_lines(["*nothing is recorded under CI; run pytest --rnngrad-update locally, and commit*"])


def test_cases_and_names_are_the_users(project):
    test = TEST.replace("linear)", "linear, cases=[rg.Case(N=1, d=2, m=3, seed=4)], name='mine')")
    project.write(test="import rnngrad as rg\n" + test)
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    assert recorded(project) == ["mine.json", "mine.npz"]
    rerun(project).assert_outcomes(passed=1)
    project.write(test="import rnngrad as rg\n" + test.replace("seed=4", "seed=5"))
    rerun(project).stdout.fnmatch_lines(["*mine.npz is stale: it was recorded at 1 cases*"])


@pytest.mark.parametrize("name", ["'../up'", "'a/b'", "''", "3"])
def test_a_name_that_would_leave_the_folder_is_refused(project, name):
    project.write(test=TEST.replace("linear)", f"linear, name={name})"))
    rerun(project, "--rnngrad-update").stdout.fnmatch_lines(["*InvalidBaseline: name=*expected letters, digits*"])
    assert recorded(project) == []


def test_two_baselines_of_a_test_need_names(project):
    project.write(test=TEST + "    gradient_baseline(linear)\n")
    rerun(project, "--rnngrad-update").stdout.fnmatch_lines(["*two baselines of this test are called *; give each*"])


def test_the_name_of_a_parametrized_test_becomes_that_of_a_file(project):
    project.write(
        test="import pytest\n"
        + TEST.replace("def test_recorded(", "@pytest.mark.parametrize('a', ['x/y', 'x:y'])\ndef test_recorded(a, ")
    )
    rerun(project, "--rnngrad-update").assert_outcomes(passed=2)
    names = recorded(project)
    assert len(names) == 4
    assert all(name.startswith("test_it.test_recorded_x_y_.linear-") for name in names)
    rerun(project).assert_outcomes(passed=2)


UNUSED = f"unused baseline: __gradients__/{ARCHIVE}; no test compares with it any more, remove it"
OTHER = "\ndef test_other():\n    pass\n"


def test_a_baseline_that_no_test_uses_any_more_is_reported(project):
    project.write(test=TEST + OTHER)
    rerun(project, "--rnngrad-update").assert_outcomes(passed=2)
    assert UNUSED not in rerun(project).outlines
    project.write(test=OTHER)
    assert UNUSED in rerun(project).outlines
    project.write(test=TEST.replace("    gradient_baseline(linear)", "    pass"))
    assert UNUSED in rerun(project).outlines
    (project.path / "test_it.py").rename(project.path / "test_that.py")
    assert UNUSED in rerun(project).outlines


@pytest.mark.parametrize(
    "options", [("-k", "other"), ("test_it.py::test_other",), ("--deselect", "test_it.py::test_recorded"), ("--co",)]
)
def test_where_not_all_tests_ran_nothing_is_called_unused(project, options):
    project.write(test=TEST + OTHER)
    rerun(project, "--rnngrad-update").assert_outcomes(passed=2)
    assert UNUSED not in rerun(project, *options).outlines


def test_where_its_test_fails_before_or_the_run_stops_a_baseline_is_not_called_unused(project):
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    broken = TEST.replace("    gradient_baseline", "    assert not 'yet'\n    gradient_baseline")
    project.write(test=broken)
    assert UNUSED not in rerun(project).outlines
    project.write(test="def test_first():\n    assert False\n" + OTHER)
    assert UNUSED not in rerun(project, "-x").outlines
    assert UNUSED in rerun(project).outlines
    project.write(test="def test_first():\n    raise KeyboardInterrupt\n")
    assert UNUSED not in project.runpytest_subprocess("-p", "no:cacheprovider").outlines


def test_text_files_that_are_no_baselines_are_passed_by(project):
    rerun(project, "--rnngrad-update").assert_outcomes(passed=1)
    for name, text in {"notes": "[]", "broken": "{", "mine": '{"test": ""}', "number": "3"}.items():
        (project.path / "__gradients__" / f"{name}.json").write_text(text)
    assert not any("unused" in line for line in rerun(project).outlines)


def test_parallel_workers_record_compare_and_report(project):
    many = "\n".join(TEST.replace("test_recorded", f"test_{n}") for n in range(6))
    same = "".join(
        TEST.replace("test_recorded", f"test_same_{n}").replace("linear)", "linear, name='same')") for n in range(4)
    )
    project.write(test=many + same)
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2", "--rnngrad-update")
    result.assert_outcomes(passed=10)
    assert len(recorded(project)) == 2 * 7
    project.write(test=many)
    result = project.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2")
    result.assert_outcomes(passed=6)
    assert [line for line in result.outlines if "unused" in line] == [UNUSED.replace(ARCHIVE, "same.npz")]
