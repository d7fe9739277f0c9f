"""Why a gradient cannot be decided: each diagnosis, in its words."""

import numpy as np
import pytest
from check_pairs import OPEN, PASS, elementwise, jittered

import rnngrad as rg
from rnngrad.check.tally import collecting


def finite_above_zero(x):
    if x.min() < 0:
        raise ValueError("negative")
    return np.sqrt(x)


def ragged(x):
    return np.append(x * 2, 0.0)[: len(x) + (x.min() < 0)]


def steep(x):
    """Return a function whose slope is -1 below zero and 3 above."""
    return 3 * np.maximum(x, 0) - np.minimum(x, 0)


def steep_derivative(x):
    return np.where(x > 0, 3.0, -1.0)


UNDECIDABLE = {
    "kink": (
        np.abs,
        np.sign,
        [0.0, 1.0],
        "kink",
        "x[0]: forward has a kink here: slope -1 on one side, 1 on the other",
        (),
    ),
    "steep": (
        steep,
        steep_derivative,
        [0.0, 1.0],
        "kink",
        "x[0]: forward has a kink here: slope -1 on one side, 3 on the other",
        (),
    ),
    "nan": (np.sqrt, np.ones_like, [0.0], "nonfinite", "x[0]: forward returns nan at x[0] - ", ()),
    "raises": (
        finite_above_zero,
        np.ones_like,
        [0.0],
        "nonfinite",
        "x[0]: forward returns nan at x[0] - ",
        ("near this point forward raised ValueError: negative",),
    ),
    "ragged": (
        ragged,
        lambda x: 2 + 0 * x,
        [0.0],
        "nonfinite",
        "x[0]: forward returns nan at x[0] - ",
        ("near this point forward raised ValueError: out changes its shape from (1,) to (2,)",),
    ),
    "noise": (jittered, lambda x: 2 * x, [0.7], "noise", "x[0]: the numerical derivative is ", ()),
    "ripple": (
        lambda x: x**2 + 1e-3 * np.sin(1e12 * x),
        lambda x: 2 * x,
        [0.7],
        "disagreement",
        "x[0]: two numerical estimates disagree here: forward is not smooth at the scale of the steps",
        (),
    ),
}


@pytest.mark.parametrize(("f", "df", "x", "kind", "message", "notes"), UNDECIDABLE.values(), ids=UNDECIDABLE)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_cannot_be_decided_is_inconclusive_and_says_why(f, df, x, kind, message, notes):
    pair = elementwise(f, df)
    given = {"x": np.array(x)}
    report = rg.check(pair, given, cotangents={"out": np.ones(len(x))})
    assert (report.verdict, report["x"].verdict, report.notes) == (OPEN, OPEN, notes)
    (finding,) = report["x"].findings
    assert (finding.verdict, finding.kind, finding.gradient) == (OPEN, kind, "x")
    assert finding.message.startswith(message)
    assert str(report).startswith(message)
    with collecting():  # of this test's own examples none can be decided, which it would be failed for
        assert rg.assert_gradients(pair, given) is None


def step_up(x):
    """Return x, from 0.7 upwards raised by a half."""
    return x + np.where(x > 0.7, 0.5, 0.0)


def step_from(x):
    """Return x, at 0.7 already raised by a half."""
    return x + np.where(x >= 0.7, 0.5, 0.0)


JUMPS = {
    "above": (step_up, np.ones_like, 0.7, 0.5),
    "the point included": (step_from, np.ones_like, 0.7, 0.5),
    "floor": (np.floor, np.zeros_like, 1.0, 1.0),
    "heaviside": (lambda x: np.heaviside(x, 1.0), np.zeros_like, 0.0, 1.0),
    "round": (np.round, np.zeros_like, 0.5, 1.0),
    "heaviside of zero": (lambda x: np.heaviside(x, 0.0), np.zeros_like, 0.0, 1.0),
    "sign": (np.sign, np.zeros_like, 0.0, 2.0),
}


@pytest.mark.parametrize(("f", "df", "x", "size"), JUMPS.values(), ids=JUMPS)
@pytest.mark.parametrize("effort", ["auto", "entries"])
def test_a_jump_is_inconclusive_and_told_with_its_size(f, df, x, size, effort):
    report = rg.check(elementwise(f, df), {"x": np.array([x])}, cotangents={"out": np.ones(1)}, effort=effort)
    assert report.verdict is OPEN
    (finding,) = report["x"].findings
    assert finding.kind == "jump"
    assert finding.message.startswith(f"x[0]: forward jumps here, by {size:.3g} within a step of ")


@pytest.mark.parametrize("entries", [3, 100])
def test_the_entry_that_cannot_be_decided_is_named(entries):
    x = 1.0 + np.arange(entries) / 8
    x[2] = 0.0
    report = rg.check(elementwise(np.abs, np.sign), {"x": x}, cotangents={"out": np.ones(entries)})
    assert (report["x"].verdict, report["x"].worst_index) == (OPEN, (2,))
    assert str(report).startswith("x[2]: forward has a kink here: slope -1 on one side, 1 on the other")


def test_a_scalar_is_named_without_an_index():
    report = rg.check(elementwise(np.abs, np.sign, shape=""), {"x": 0.0}, cotangents={"out": 2.0})
    assert str(report).startswith("x: forward has a kink here: slope -2 on one side, 2 on the other")


def test_what_is_not_finite_only_far_away_is_no_edge():
    report = rg.check(elementwise(np.sqrt, lambda x: 0.5 / np.sqrt(x)), {"x": np.array([1e-3, 1.0])})
    assert report.verdict is rg.Verdict.PASS


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_infinite_output_is_told_as_such():
    def f(x):
        return np.where(x > 1.0, np.inf, x)

    report = rg.check(elementwise(f, np.ones_like), {"x": np.array([1.0])})
    assert report["x"].findings[0].kind == "nonfinite"
    assert str(report).startswith("x[0]: forward returns inf at x[0] + ")


def bend(width):
    def f(x):
        return np.sqrt(x**2 + width**2)

    return f


@pytest.mark.parametrize(("claim", "verdict"), [(0.0, PASS), (0.5, OPEN)])
@pytest.mark.parametrize("width", [1e-4, 1e-7])
def test_a_bend_sharper_than_the_first_steps_is_decided_by_finer_ones_if_it_is_right(width, claim, verdict):
    pair = elementwise(bend(width), lambda x: claim + 0 * x)
    assert rg.check(pair, {"x": np.array([0.0])}, cotangents={"out": np.ones(1)}).verdict is verdict


@pytest.mark.parametrize("width", [1e-10, 1e-11])
def test_a_smooth_bend_sharper_than_all_steps_is_not_called_noise(width):
    f = bend(width)
    report = rg.check(elementwise(f, lambda x: x / f(x)), {"x": np.array([0.0])}, cotangents={"out": np.ones(1)})
    assert report["x"].verdict is OPEN
    assert report["x"].findings[0].kind == "sharp"
    assert str(report).startswith("x[0]: the numerical derivative is 0 ± ")
    assert "forward bends too sharply here to decide" in str(report)


@pytest.mark.parametrize("effort", ["auto", "entries"])
def test_a_forward_that_is_not_deterministic_is_told_as_such(effort):
    rng = np.random.default_rng(0)

    def f(x):
        return x**2 + 0.1 * rng.normal(size=x.shape)

    given = {"x": np.array([0.7, 1.0, 2.0])}
    report = rg.check(elementwise(f, lambda x: 2 * x), given, cotangents={"out": np.ones(3)}, effort=effort)
    assert (report["x"].verdict, report["x"].findings[0].kind) == (OPEN, "random")
    assert "forward is not deterministic: two calls at the same point differ by " in " ".join(str(report).split())
    assert [finding.kind for finding in report.findings] == ["random"]
    assert str(report).startswith("forward is not deterministic: two calls at the same point differ; out[")


def test_a_forward_that_fails_when_it_is_called_again_is_not_deterministic():
    calls = []

    def forward(inputs):
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("once only")
        return {"y": inputs["x"] ** 2}, inputs["x"]

    pair = rg.Pair(forward, lambda cotangents, x: {"x": 2 * x * cotangents["y"]})
    report = rg.check(pair, {"x": np.array([0.7, 1.0])})
    assert report["x"].findings[0].kind == "random"
    assert "forward is not deterministic: a second call at the same point fails" in " ".join(str(report).split())
