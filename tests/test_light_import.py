"""What is imported when: nothing heavy until it is used, since every run of pytest loads the plugin."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "hypothesis")


def loaded(statement, *options):
    """Return which heavy modules a statement loads in a new process."""
    code = f"import sys\n{statement}\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import rnngrad", "[]"),
        ("import rnngrad.pytest_plugin", "[]"),
        ("import rnngrad.cli", "[]"),
        ("import rnngrad; rnngrad.InvalidPair, rnngrad.__all__, rnngrad.__version__", "[]"),
        ("import rnngrad; rnngrad.check", "['numpy']"),
        ("import rnngrad; rnngrad.gradient_test", "['numpy', 'hypothesis']"),
    ],
)
def test_an_import_loads_what_is_asked_for_and_no_more(statement, expected):
    assert loaded(statement) == expected


def test_help_is_answered_without_pytest():
    code = """
import sys
from rnngrad.cli import main
try:
    main(["check", "--help"])
except SystemExit:
    sys.exit("pytest" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_run_of_pytest_that_checks_no_gradient_loads_nothing_heavy(pytester):
    # without the plugin of Hypothesis, which loads Hypothesis itself
    pytester.makeconftest(
        f"""
import sys

def pytest_unconfigure(config):
    assert config.pluginmanager.hasplugin("rnngrad")
    print("loaded", [name for name in {HEAVY} if name in sys.modules], "rnngrad.pair" in sys.modules)
"""
    )
    pytester.makepyfile("def test_plain(): pass\ndef test_wrong(): assert False")
    result = pytester.runpytest_subprocess("-s", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["loaded [[][]] False"])
