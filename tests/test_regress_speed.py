"""Two pairs timed side by side, and two recorded files without code: the commands `compare` and `diff`."""

import json
import time

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cli import main
from rnngrad.regress.recording import Recorded, Recording
from rnngrad.regress.speed import paces
from rnngrad.regress.store import save

MODULE = """
import time
import numpy as np
import rnngrad as rg

def forward(x):
    return 2 * x, None

def backward(dout, cache):
    return 2 * dout

def slow_backward(dout, cache):
    time.sleep(0.002)
    return 2 * np.tile(dout, 1000)[: len(dout)]

old = rg.pair(forward, backward, inputs={"x": "n"}, name="old")
new = rg.pair(forward, slow_backward, inputs={"x": "n"}, name="new")
other = rg.Pair(
    lambda given: ({"y": 2 * given["z"]}, None), lambda d, _: {"z": 2 * d["y"]}, inputs={"z": "n"}, name="other"
)
"""


@pytest.fixture
def cells(tmp_path, monkeypatch):
    (tmp_path / "speed_cells.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "speed_cells.py"


def test_time_and_memory_are_told_as_ratios_of_one_run():
    def slower(dout, _):
        time.sleep(0.003)
        return 2 * np.tile(dout, 1000)[: len(dout)]

    old = rg.pair(lambda x: (2 * x, x), lambda d, _: 2 * d, inputs={"x": "n"})
    new = rg.pair(lambda x: (2 * x, x), slower, inputs={"x": "n"})
    forward, backward = paces(old, new, [rg.Case(n=100)], repeats=3)
    assert (forward.role, backward.role, forward.case) == ("forward", "backward", "Case(n=100, seed=0)")
    assert len(backward.ratios) == 3
    assert backward.seconds[1] > 0.003
    assert backward.ratios[0] > 10
    assert backward.peak[1] > 100 * backward.peak[0] > 0


def test_what_cannot_be_timed_is_refused():
    def refuse(*_):
        raise ValueError("never")

    never = rg.pair(refuse, lambda d, _: d, inputs={"x": "n"})
    with pytest.raises(rg.InvalidPair, match="forward raises ValueError: never; nothing to time"):
        paces(never, never, [rg.Case(n=1)])
    with pytest.raises(rg.InvalidPair, match="repeats=0"):
        paces(never, never, [rg.Case(n=1)], repeats=0)


def test_the_command_compares_at_drawn_and_at_given_cases(cells, capsys):
    assert main(["compare", f"{cells}::old", f"{cells}::new", "--repeats", "2", "--drawn", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("old against new\nCase(n=")
    assert "new/old" in out
    assert "backward" in out
    given = ["--case", "Case(n=3)", "--case", "Case(n=5)", "--name", "x=z", "--repeats", "1"]
    assert main(["compare", f"{cells}::old", "speed_cells::other", *given]) == 0
    out = capsys.readouterr().out
    assert "Case(n=3, seed=0)" in out
    assert "Case(n=5, seed=0)" in out


BAD = [
    (
        ["compare", "CELLS::old", "CELLS::nothing"],
        "names no pair; expected FILE::NAME, with one of the names ['old', 'new', 'other']",
    ),
    (["compare", "CELLS", "CELLS::new"], "names no pair"),
    (["compare", "nowhere.py::old", "CELLS::new"], "cannot be imported"),
    (["diff", "a.npz", "b.npz"], "there is no baseline a.npz"),
]


@pytest.mark.parametrize(("argv", "words"), BAD)
def test_bad_usage_of_the_commands_is_told(argv, words, cells, capsys):
    assert main([word.replace("CELLS", cells) for word in argv]) == 2
    assert words in capsys.readouterr().out


def test_an_option_that_neither_command_has_is_refused(cells, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["compare", f"{cells}::old", f"{cells}::new", "-x"])
    assert caught.value.code == 2
    assert "unrecognized arguments: -x" in capsys.readouterr().err


def recording(change=lambda tensors: tensors, pair="cell", case="Case(n=2, seed=0)"):
    tensors = {"output y": np.array([1.0, 2.0]), "x": np.array([1.0, 3.0])}
    other = {"output y": np.array([1.0]), "x": np.array([0.5])}
    return Recording(pair, {"x": "n"}, (Recorded(case, change(tensors)), Recorded("Case(n=1, seed=0)", other)), {})


def moved(tensors):
    return tensors | {"x": np.array([1.0, 3.0 + 2.0**-50])}


DIFFERENCES = {
    "same": (recording(), 0, ["a.npz against b.npz: the same within rounding", "every bit is the same"]),
    "moved": (
        recording(moved),
        1,
        ["x[1]: left 3, right 3.0000000000000009, 2e+0 ulp apart", "case Case(n=2, seed=0)"],
    ),
    "fewer": (recording(lambda tensors: {"x": tensors["x"]}), 1, ["output y at Case(n=2, seed=0) is in a.npz only"]),
    "more": (recording(lambda tensors: tensors | {"w": np.ones(1)}), 1, ["w at Case(n=2, seed=0) is in b.npz only"]),
    "another pair": (recording(pair="other"), 1, ["the pair differ: left 'cell', right 'other'"]),
    "other cases": (
        recording(case="Case(n=2, seed=1)"),
        1,
        ["1 cases are in the left file only, such as Case(n=2, seed=0)", "right file only, such as Case(n=2, seed=1)"],
    ),
    "another shape": (recording(lambda tensors: tensors | {"x": np.ones((1, 2))}), 1, ["x: left has shape (2,)"]),
}


@pytest.mark.parametrize("kind", DIFFERENCES)
def test_two_recorded_files_are_compared_bit_by_bit(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    other, status, words = DIFFERENCES[kind]
    save(tmp_path / "a.npz", recording())
    save(tmp_path / "b.npz", other)
    assert main(["diff", "a.npz", "b.npz"]) == status
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []
    assert json.loads((tmp_path / "a.json").read_text())["pair"] == "cell"
