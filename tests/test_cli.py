"""The command line: targets, options, output and exit status."""

import json
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import settings

import rnngrad as rg
import rnngrad.cells.rnn
import rnngrad.report.summary
import rnngrad.strategies
from rnngrad.cli import main

CELL = """
import rnngrad as rg
from rnngrad.cells.rnn import SHAPES, backward_from_both, rnn_cell_forward

def wrong_backward(ds_next, dout_pred, cache):
    gradients = backward_from_both(ds_next, dout_pred, cache)
    return gradients | {"dW": gradients["dW"] / 2}

RETURNS = ("s_next", "out_pred", "cache")
good = rg.pair(rnn_cell_forward, backward_from_both, inputs=SHAPES, returns=RETURNS, name="good")
bad = rg.pair(rnn_cell_forward, wrong_backward, inputs=SHAPES, returns=RETURNS, name="bad")
"""
SQUARE = """
import rnngrad as rg
square = rg.pair(lambda x: x**2, lambda dout, x: 2 * x * dout, inputs={"x": "n"}, name="square")
"""
CUBE = """
import rnngrad as rg
from hypothesis import settings
cube = rg.pair(lambda x: x**3, lambda dout, x: 3 * x * dout, inputs={"x": "n"}, name="cube")
"""
SMALL = "Case(m=1, N=1, n=1, k=1, seed=0)"


@pytest.fixture(autouse=True)
def hermetic(monkeypatch):
    """Draw the same few examples at every run, keep none, and write no summary of a run inside a run."""
    for name in ("GITHUB_STEP_SUMMARY", "CI", "BUILD_NUMBER"):  # under the last two pytest repeats whole failures
        monkeypatch.delenv(name, raising=False)
    before = settings.get_current_profile_name()
    chosen = {"derandomize": True, "database": None, "deadline": None, "max_examples": 8}
    settings.register_profile("hermetic", settings(settings.get_profile("default"), **chosen))
    settings.load_profile("hermetic")
    yield
    settings.load_profile(before)


@pytest.fixture
def rnngrad(pytester, monkeypatch):
    """Return a function that runs the command line, its pytest isolated in this process, and returns the result."""

    def run(*argv):
        results = []

        def isolated(args):
            patch.undo()
            results.append(pytester.runpytest_inprocess(*args))
            return results[-1].ret

        with monkeypatch.context() as patch:
            patch.setattr(pytest, "main", isolated)
            status = main(argv)
        (result,) = results
        assert status == result.ret
        return result

    return run


def items(result):
    """Return the names of what was collected, from the output of --collect-only -q."""
    return [line for line in result.outlines if "::" in line]


def shipped():
    """Return the names of all pairs of the cells, by file."""
    folder = Path(rg.cells.rnn.__file__).parent
    modules = [import_module(f"rnngrad.cells.{path.stem}") for path in sorted(folder.glob("*.py"))]
    own = [
        (module, name, value)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, rg.Pair)
    ]
    return {f"{Path(module.__file__).name}::{name}" for module, name, value in own if value.module == module.__name__}


def test_without_a_target_the_cells_that_ship_are_checked(rnngrad):
    result = rnngrad("check", "--noconftest")
    result.assert_outcomes(passed=len(shipped()))
    assert result.ret == 0
    seen = {line.split("    ")[0] for line in result.outlines if line.startswith("pair ")}
    assert seen == {f"pair {name.split('::')[1]}" for name in shipped()}


def test_the_test_paths_of_a_project_are_no_targets(rnngrad, pytester):
    pytester.makepyfile(my_cell=CUBE)
    pytester.makeini("[pytest]\ntestpaths = .\n")
    assert set(items(rnngrad("check", "--collect-only", "-q"))) == shipped()


def test_a_wrong_gradient_is_named_with_its_index_and_both_values_on_the_smallest_case(rnngrad, pytester):
    pytester.makepyfile(my_cell=CELL)
    result = rnngrad("check", "my_cell.py")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == 1
    lines = result.outlines
    first = next(number for number, line in enumerate(lines) if line.strip("_") == " bad ") + 1
    assert lines[first].startswith("GradientMismatch: W[0, 0]: backward 0.0827")
    assert ", numeric 0.1654" in lines[first]
    assert lines[first + 2] == f"pair bad    case {SMALL}"
    assert f'replay     rnngrad check my_cell.py::bad --case "{SMALL}"' in lines
    assert "Traceback" not in result.stdout.str()


TARGETS = {
    "file": (["a.py"], ["a.py::square"]),
    "pair": (["b.py::cube"], ["b.py::cube"]),
    "two files": (["a.py", "b.py"], ["a.py::square", "b.py::cube", "b.py::other"]),
    "module": (["a"], ["a.py::square"]),
    "pair of a module": (["b::cube"], ["b.py::cube"]),
    "module in a package": (["pack.inner"], ["pack/inner.py::square"]),
    "package": (["pack"], ["pack/inner.py::square"]),
    "folder": (["pack"], ["pack/inner.py::square"]),
    "path": (["./pack/inner.py"], ["pack/inner.py::square"]),
    "here": (["."], ["a.py::square", "b.py::cube", "b.py::other", "pack/inner.py::square"]),
    "-k": (["b.py", "-k", "cube"], ["b.py::cube"]),
    "options first": (["-k", "cube", "b.py"], ["b.py::cube"]),
    "module from elsewhere": (["faraway"], ["lib/faraway.py::square"]),
    "package from elsewhere": (["farpack"], ["lib/farpack/cell.py::square"]),
}


@pytest.mark.parametrize(("argv", "expected"), TARGETS.values(), ids=TARGETS)
def test_a_target_is_a_file_a_folder_a_module_or_one_pair(rnngrad, pytester, argv, expected):
    pytester.makepyfile(a=SQUARE, b=CUBE + "other = rg.Pair(max, max)", empty="x = 1")
    pytester.makepyfile(**{"pack/__init__": "", "pack/inner": SQUARE})
    pytester.makepyfile(**{"lib/faraway": SQUARE, "lib/farpack/__init__": "", "lib/farpack/cell": SQUARE})
    pytester.makefile(".cfg", **{"lib/readme": ""})
    pytester.syspathinsert()
    pytester.syspathinsert(pytester.path / "lib")
    argv = [*argv, "--ignore=lib"] if argv == ["."] else argv
    assert items(rnngrad("check", *argv, "--collect-only", "-q")) == expected


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["empty.py"], 2, "empty.py holds no pair: expected a module-level name bound to rg.pair(...) or rg.Pair(...)"),
        (["none"], 5, "no tests ran in"),
        (["nofile.py"], 4, "ERROR: file or directory not found: nofile.py"),
        (["no.such.module"], 4, "ERROR: file or directory not found: no.such.module"),
        (["no-module.py"], 4, "ERROR: file or directory not found: no-module.py"),
        (["nosuchmodule"], 4, "ERROR: file or directory not found: nosuchmodule"),
        (["namespace"], 4, "ERROR: file or directory not found: namespace"),
        (["a.py::cube"], 4, "::cube"),
        (["broken.py"], 2, "E   ModuleNotFoundError: No module named 'nosuch'"),
        (["leaving.py"], 2, "leaving.py calls sys.exit when it is imported"),
        (["a.py", "-k", "nothing"], 5, "1 deselected in"),
        (["a.py", "--no-such-option"], 4, "unrecognized arguments: --no-such-option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_checked_says_why_and_is_no_success(rnngrad, pytester, argv, status, message):
    pytester.makepyfile(
        **{
            "a": SQUARE,
            "empty": "x = 1",
            "none/empty": "x = 1",
            "broken": "import nosuch",
            "leaving": "raise SystemExit(0)",
        }
    )
    pytester.makepyfile(**{"lib/namespace/inner": SQUARE})
    pytester.syspathinsert(pytester.path / "lib")
    result = rnngrad("check", *argv)
    assert result.ret == status
    assert message in result.stdout.str() + result.stderr.str()


def test_a_pair_that_a_second_file_imports_is_checked_once(rnngrad, pytester):
    pytester.makepyfile(a=SQUARE, b="from a import square\nimport a\nagain = a.square")
    assert items(rnngrad("check", ".", "--collect-only", "-q")) == ["a.py::square"]


def test_tests_and_classes_of_a_target_are_not_collected(rnngrad, pytester):
    pytester.makepyfile(
        test_a=SQUARE + "def test_it(): assert False\nclass TestIt:\n    def test_it(self): assert False"
    )
    rnngrad("check", "test_a.py").assert_outcomes(passed=1)


def test_the_first_failure_is_the_last_with_x(rnngrad, pytester):
    pytester.makepyfile(a=CUBE, b=CUBE)
    assert rnngrad("check", "a.py", "b.py").parseoutcomes()["failed"] == 2
    result = rnngrad("check", "-x", "a.py", "b.py")
    assert (result.parseoutcomes()["failed"], result.ret) == (1, 1)


def test_a_reader_that_leaves_early_is_met_with_silence(tmp_path):
    (tmp_path / "a.py").write_text(SQUARE, encoding="utf-8")
    command = [sys.executable, "-m", "rnngrad", "check", "a.py", "-p", "no:cacheprovider"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


def test_the_junit_file_is_written(rnngrad, pytester):
    pytester.makepyfile(a=SQUARE)
    assert rnngrad("check", "a.py", "--junitxml=out.xml").ret == 0
    text = (pytester.path / "out.xml").read_text(encoding="utf-8")
    assert 'name="square"' in text
    (tally,) = [json.loads(item.get("value")) for item in ElementTree.fromstring(text).iter("property")]
    assert (tally["pair"], tally["examples"]) == ("square", 8)


def test_a_case_that_passes_prints_its_report(rnngrad, pytester):
    pytester.makepyfile(my_cell=CELL)
    result = rnngrad("check", "my_cell.py::good", "--case", SMALL)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "good: every gradient is right",
            f"pair good    case {SMALL}",
            "W  *pass * [[]0, 0[]] *0.16549*",
            f'replay     rnngrad check my_cell.py::good --case "{SMALL}"',
            "pair good    1 example    *m 1, N 1, n 1, k 1",
        ]
    )


def test_a_case_that_fails_is_the_one_that_was_asked_for(rnngrad, pytester):
    pytester.makepyfile(my_cell=CELL)
    case = "Case(m=2, N=3, n=2, k=1, scale=0.5, seed=7)"
    result = rnngrad("check", "my_cell.py::bad", f"--case={case}")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["GradientMismatch: W[[]*", f"pair bad    case {case}", "pair bad    1 example    *"])


def test_the_line_that_a_failure_prints_shows_the_same_failure_again(rnngrad, pytester):
    pytester.makepyfile(my_cell=CELL)
    first = rnngrad("check", "my_cell.py::bad")
    (line,) = [line for line in first.outlines if line.startswith("replay ")]
    command, case, _ = line.removeprefix("replay     rnngrad ").split('"')
    again = rnngrad(*command.split()[:-1], "--case", case)
    headlines = [[line for line in run.outlines if line.startswith("GradientMismatch")] for run in (first, again)]
    assert headlines[0] == headlines[1] != []
    assert again.ret == 1


@pytest.mark.parametrize("start", [".", "my project", "elsewhere"])
def test_the_line_of_a_nested_test_with_a_space_in_its_path_shows_the_same_failure(
    rnngrad, pytester, monkeypatch, start
):
    for folder in ("my project/tests/unit", "elsewhere"):
        (pytester.path / folder).mkdir(parents=True)
    test = pytester.path / "my project" / "tests" / "unit" / "test_mine.py"
    test.write_text(f"{CELL}\ntest_bad = rg.gradient_test(bad)\n", encoding="utf-8")
    monkeypatch.chdir(pytester.path / start)
    first = pytester.runpytest_inprocess(str(test), "-p", "rnngrad", f"--rootdir={pytester.path}")
    (line,) = [line for line in first.outlines if line.startswith("replay ")]
    again = rnngrad(*shlex.split(line.removeprefix("replay     rnngrad ")))
    headlines = [[line for line in run.outlines if line.startswith("GradientMismatch")] for run in (first, again)]
    assert headlines[0] == headlines[1] != []
    assert again.ret == 1


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("Case(m=1", "InvalidPair: 'Case(m=1' is no case; expected something like 'Case(m=1, n=2, seed=0)'"),
        ("__import__('os')", "is no case; expected something like"),
        ("Case(m=-1)", "InvalidPair: dim 'm' is -1; a size is an integer >= 0"),
        (
            "Case(m=2, seed=0)",
            "InvalidPair: Case(m=2, seed=0) does not fit: the dims are ['m', 'N', 'n', 'k'], ",
        ),
    ],
)
def test_a_case_that_does_not_parse_or_fit_is_told_in_one_line_and_fails(rnngrad, pytester, case, message):
    pytester.makepyfile(my_cell=CELL)
    result = rnngrad("check", "my_cell.py::good", "--case", case)
    assert result.ret == 1
    assert message in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_a_case_of_which_nothing_can_be_decided_fails_in_words_and_shows_its_report(rnngrad, pytester):
    pytester.makepyfile(
        a="import numpy as np, rnngrad as rg\n"
        "kink = rg.pair(np.abs, lambda d, x: d * np.sign(x), inputs={'x': 'n'}, name='kink')\n"
    )
    result = rnngrad("check", "a.py", "--case", "Case(n=1, fills={'x': 'zeros'}, seed=0)")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "Undecided: x of kink: 0 of 1 examples could be decided, *: x[[]0[]]: forward has a kink here: *",
            "x[[]0[]]: forward has a kink here: *",
            "x         inconclusive  [[]0[]] *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_what_is_none_of_our_exceptions_is_shown_as_pytest_shows_it(rnngrad, pytester):
    pytester.makepyfile(
        a="import rnngrad as rg\ndef leave(x): raise SystemExit(3)\nodd = rg.pair(leave, max, inputs={'x': 'n'})"
    )
    result = rnngrad("check", "a.py")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*SystemExit: 3*"])


def test_the_verbose_name_of_a_check_is_the_file_and_the_variable(rnngrad, pytester):
    pytester.makepyfile(a=SQUARE)
    rnngrad("check", "a.py", "-v").stdout.fnmatch_lines(["a.py::square PASSED*"])


def test_power_is_told_for_each_pair_and_in_the_table(pytester, rnngrad):
    pytester.makepyfile(square=SQUARE)
    result = rnngrad("check", "square.py", "--power")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["power of square    * planted errors caught (* %)", "    8 examples, * forward passes"]
    )
    result.stdout.fnmatch_lines(["pair square    8 examples    * forward passes each    power * %    n *"])
    assert "power" not in rnngrad("check", "square.py").stdout.str()


@pytest.mark.parametrize(
    ("argv", "status", "out", "err"),
    [
        (["--help"], 0, "usage: rnngrad [-h] {check,compare,diff} ...", ""),
        (["check", "--help"], 0, "usage: rnngrad check [TARGET ...] [--power] [--case CASE] [pytest options]", ""),
        ([], 2, "", "rnngrad: error: the following arguments are required: command"),
        (["chekc"], 2, "", "invalid choice: 'chekc'"),
        (["check", "--case"], 2, "", "rnngrad check: error: argument --case: expected one argument"),
    ],
)
def test_help_and_bad_usage_are_answered_without_a_run(capsys, argv, status, out, err):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == status
    shown = capsys.readouterr()
    assert out in shown.out
    assert err in shown.err


def test_the_help_of_check_names_targets_options_and_statuses(capsys):
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    shown = capsys.readouterr().out
    for word in ("TARGET", "::NAME", "--case", "-x", "-k EXPRESSION", "--junitxml=PATH", "exit status"):
        assert word in shown


def test_the_package_runs_as_a_module_with_the_arguments_of_the_process(pytester):
    pytester.makepyfile(my_cell=CUBE)
    command = [sys.executable, "-m", "rnngrad", "check", "my_cell", "--case", "Case(n=2, seed=0)"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pytester.path, check=False)
    assert done.returncode == 1
    assert "GradientMismatch: x[0]: backward " in done.stdout
    assert done.stderr == ""


def test_pairs_are_checked_in_other_processes(pytester):
    pytester.makepyfile(a=CUBE, b=SQUARE)
    command = [sys.executable, "-m", "rnngrad", "check", "a.py", "b.py", "-n", "2", "--case", "Case(n=2, seed=0)"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pytester.path, check=False)
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "GradientMismatch: x[0]: backward " in done.stdout
    assert "square: every gradient is right" in done.stdout
    assert {"pair cube", "pair square"} <= {line.split("    ")[0] for line in done.stdout.splitlines()}


def test_a_second_name_of_a_pair_is_a_target_too(rnngrad, pytester):
    pytester.makepyfile(a=SQUARE + "also = square")
    assert items(rnngrad("check", "a.py::also", "--collect-only", "-q")) == ["a.py::also"]


def test_a_pair_asked_for_in_the_file_that_imports_it_is_found(rnngrad, pytester):
    pytester.makepyfile(a=SQUARE, b="from a import square")
    assert rnngrad("check", "a.py::square", "b.py::square").ret == 0


def test_a_module_of_the_current_folder_is_found_by_its_dotted_name(pytester):
    pytester.makepyfile(**{"pack/__init__": "", "pack/cell": SQUARE})
    code = "import sys; from rnngrad.cli import main; sys.exit(main(['check', 'pack.cell', '--co', '-q']))"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=pytester.path, check=False)
    assert "pack/cell.py::square" in done.stdout


def test_the_main_module_of_a_package_is_not_run(rnngrad, pytester):
    pytester.makepyfile(**{"pack/__init__": "", "pack/cell": SQUARE, "pack/__main__": "import sys\nsys.exit(0)"})
    rnngrad("check", "pack").assert_outcomes(passed=1)
