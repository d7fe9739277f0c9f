"""The line that runs one check again."""

import shlex
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from check_pairs import elementwise

import rnngrad as rg

CELL = """
import rnngrad as rg

def pairs():
    return rg.pair(lambda x: x**2, lambda dout, x: 2 * x * dout, inputs={"x": "n"}, name="other_name")

square = pairs()
"""


@pytest.fixture
def cell(monkeypatch):
    """Return a function that makes a module with a pair called square, lying in the given file."""

    def make(file):
        module = ModuleType("cell_of_test")
        if file is not None:
            module.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "cell_of_test", module)
        exec(compile(CELL, str(file or "no file"), "exec"), vars(module))
        return module

    return make


def replay_of(pair, given):
    """Return the replay line of a check."""
    return rg.check(pair, given).replay


def test_a_module_level_pair_is_replayed_by_file_and_variable(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = cell(tmp_path / "cells" / "mine.py").square
    line = replay_of(pair, rg.Case(n=2, fills={"x": "zeros"}, scale=0.5, seed=3))
    case = "Case(n=2, fills={'x': 'zeros'}, scale=0.5, seed=3)"
    assert line == f'rnngrad check cells/mine.py::square --case "{case}"'


def test_a_module_outside_the_current_folder_is_replayed_by_its_whole_path(cell, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    file = tmp_path.resolve() / "mine.py"
    line = replay_of(cell(file).square, rg.Case(n=2, seed=0))
    assert shlex.split(line)[:3] == ["rnngrad", "check", f"{file.as_posix()}::square"]


def test_an_installed_module_is_replayed_by_its_dotted_name(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pair = cell(Path(sysconfig.get_path("purelib")) / "mine.py").square
    assert replay_of(pair, rg.Case(n=2, seed=0)).startswith("rnngrad check cell_of_test::square --case ")


@pytest.mark.parametrize(
    "folder", ["plain", "my dir", "don't", "$HOME", 'a "b" c', "back\\slash", "tilde~", "öl", "a!b"]
)
def test_the_line_is_what_a_shell_takes_apart_again(cell, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    case = rg.Case(n=2, fills={"x": "zeros"}, scale=0.5, seed=3)
    line = replay_of(cell(tmp_path / folder / "mine.py").square, case)
    assert shlex.split(line) == ["rnngrad", "check", f"{folder}/mine.py::square", "--case", repr(case)]


def test_a_space_is_quoted_as_every_shell_knows_it(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = replay_of(cell(tmp_path / "my dir" / "mine.py").square, rg.Case(n=2, seed=0))
    assert line == 'rnngrad check "my dir/mine.py::square" --case "Case(n=2, seed=0)"'


def test_a_pair_of_a_module_without_a_file_is_replayed_by_a_call(cell):
    pair = cell(None).square
    assert replay_of(pair, rg.Case(n=2, seed=0)) == "rg.check(square, rg.Case(n=2, seed=0))"


def test_a_local_pair_is_replayed_by_a_call(cell, tmp_path):
    pair = cell(tmp_path / "mine.py").pairs()
    assert replay_of(pair, rg.Case(n=2, seed=0)) == "rg.check(pair, rg.Case(n=2, seed=0))"


def test_a_pair_of_a_module_that_is_gone_is_replayed_by_a_call(cell, monkeypatch):
    pair = cell(None).square
    monkeypatch.delitem(sys.modules, "cell_of_test")
    assert replay_of(pair, rg.Case(n=2, seed=0)) == "rg.check(pair, rg.Case(n=2, seed=0))"


def test_given_arrays_are_replayed_by_a_call(cell, tmp_path):
    assert replay_of(cell(tmp_path / "mine.py").square, {"x": np.ones(2)}) == "rg.check(square, arrays)"
    assert replay_of(elementwise(np.exp, np.exp), {"x": np.ones(2)}) == "rg.check(pair, arrays)"
