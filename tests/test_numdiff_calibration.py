"""A slice of the calibration: every family of it, at a fixed seed, against a complex step in extended precision."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from rnngrad.numdiff.complex_step import Certificate

CALIBRATION = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "calibration.py"))
FAMILIES = CALIBRATION["FAMILIES"]
UNSAFE = {"ill-scaled, visible", "fine wave"}  # too fine for the short ladders that certify the complex step
ENTRIES = 60  # for each family, 2,000 in all


@pytest.mark.parametrize("name", FAMILIES)
def test_no_error_is_larger_than_its_bar(name):
    with np.errstate(all="ignore"):
        counts, refused = CALIBRATION["measure"](name, ENTRIES, np.random.default_rng([7, len(name)]))
    sure = np.concatenate(counts["doubly sure"].q)
    assert len(sure) >= ENTRIES
    assert sure.max() <= 1
    exact = counts["direction, complex"].q
    assert (not exact) == (name in UNSAFE)
    assert bool(exact) or refused.total() > 0
    assert np.concatenate([[0.0], *exact]).max() <= 1


def test_an_error_beyond_its_bar_would_be_counted():
    count = CALIBRATION["Count"]()
    rows = np.array([[1.0, 2.0, np.nan], [0.1, 0.1, np.inf]])
    still = np.zeros(3)
    count.add(CALIBRATION["Estimate"](*rows, still, still, still, 6), np.array([1.05, 2.5, 3.0]))
    assert np.concatenate(count.q) == pytest.approx([0.5, 5.0, 0.0])
    assert count.row().split()[:4] == ["3", "3.3e-01", "3.3e-01", "5"]


def test_a_method_of_which_nothing_was_measured_ends_the_script_with_an_error(monkeypatch):
    script = CALIBRATION["main"].__globals__
    monkeypatch.setitem(script, "FAMILIES", {"line": (lambda t: 3 * t, lambda rng: rng.standard_normal(4))})
    monkeypatch.setitem(script, "certify", lambda *_, **__: Certificate(False, "none is", 0))
    monkeypatch.setattr("sys.argv", ["calibration.py", "--entries", "4"])
    with pytest.raises(SystemExit, match="nothing was measured of direction, complex"):
        script["main"]()
