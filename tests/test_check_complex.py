"""The complex step inside a check: used where it is safe, and refused without a word where it is not."""

import warnings
from importlib import import_module

import numpy as np
import pytest
from check_pairs import FAIL, OPEN, PASS, elementwise

import rnngrad as rg
from rnngrad.check.trust import trusting

X = np.array([1.0, -2.0, 3.0, 0.25])


class Watched:
    """A forward that remembers whether it has met complex numbers."""

    def __init__(self, f):
        self.f = f
        self.kinds = set()

    def __call__(self, x):
        self.kinds.add(x.dtype.kind)
        return self.f(x)


def real_only(x):
    if np.iscomplexobj(x):
        raise TypeError("no complex numbers here")
    return np.tanh(x)


def into_a_real_buffer(x):
    out = np.empty(x.shape)
    out[:] = x**3
    return out


def reshaped(x):
    return x**3 if x.dtype.kind == "f" else np.append(x**3, 0.0)


def partly_real(x):
    """Return x² with the first output cut off from the complex part."""
    out = x**2
    return np.concatenate([out[:1].real, out[1:]])


UNSAFE = {
    "abs": (np.abs, np.sign),
    "x |x|": (lambda x: np.abs(x) * x, lambda x: 2 * np.abs(x)),
    "norm": (lambda x: np.linalg.norm(x) + 0 * x, lambda x: 4 * x / np.linalg.norm(x)),  # the norm, four times
    "real": (lambda x: np.real(x) ** 3, lambda x: 3 * x**2),
    "conj": (lambda x: np.conj(x) * x, lambda x: 2 * x),
    "raises": (real_only, lambda x: 1 - np.tanh(x) ** 2),
    "real buffer": (into_a_real_buffer, lambda x: 3 * x**2),
    "another shape": (reshaped, lambda x: 3 * x**2),
    "one output": (partly_real, lambda x: 2 * x),
}


SAFE = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "maximum": (lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "where": (lambda x: np.where(x.real > 0, x**3, x), lambda x: np.where(x > 0, 3 * x**2, 1.0)),
    "rounding by hand": (lambda x: (np.exp(x) - 1.0) + 1.0, np.exp),
}


@pytest.mark.parametrize(("f", "df"), SAFE.values(), ids=SAFE)
def test_a_forward_that_is_safe_is_judged_by_the_complex_step(f, df):
    right, wrong = (rg.check(elementwise(f, lambda x, by=by: df(x) * (1 + by)), {"x": X}) for by in (0.0, 1e-10))
    assert (right.verdict, right.method) == (PASS, "complex step along directions")
    assert right["x"].bar < 1e-13 * abs(right["x"].numeric) + 1e-14
    assert (wrong.verdict, wrong.method) == (FAIL, "complex step along directions")


@pytest.mark.parametrize(("f", "df"), UNSAFE.values(), ids=UNSAFE)
def test_a_forward_that_is_not_safe_for_complex_numbers_is_judged_rightly(f, df):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ones = {"out": np.ones(4)}
        right = rg.check(elementwise(f, df), {"x": X}, cotangents=ones)
        wrong = rg.check(elementwise(f, lambda x: df(x) * [1, 1, 1 + 1e-6, 1]), {"x": X}, cotangents=ones)
    assert (right.verdict, right.notes) == (PASS, ())
    assert right.method == "central differences along directions"
    assert (wrong.verdict, wrong["x"].worst_index, wrong["x"].wrong) == (FAIL, (2,), 1)
    assert wrong.notes == ()


def test_every_forward_meets_complex_numbers_and_may_refuse_them():
    safe, unsafe = Watched(np.tanh), Watched(real_only)
    reports = [rg.check(elementwise(f, lambda x: 1 - np.tanh(x) ** 2), {"x": X}) for f in (safe, unsafe)]
    assert [f.kinds for f in (safe, unsafe)] == [{"f", "c"}, {"f", "c"}]
    assert [report.verdict for report in reports] == [PASS, PASS]
    assert [report.method for report in reports] == [
        "complex step along directions",
        "central differences along directions",
    ]


def test_every_entry_is_asked_for_without_complex_numbers():
    f = Watched(np.tanh)
    report = rg.check(elementwise(f, lambda x: 1 - np.tanh(x) ** 2), {"x": X}, effort="entries")
    assert (report.verdict, f.kinds) == (PASS, {"f"})


def test_a_kink_that_complex_numbers_do_not_see_is_seen():
    def relu(x):
        return x * (np.real(x) > 0)

    report = rg.check(elementwise(relu, lambda x: np.where(x > 0, 1.0, 0.0)), {"x": np.array([1.0, 0.0, -1.0])})
    assert (report.verdict, report["x"].worst_index) == (OPEN, (1,))
    assert report["x"].findings[0].kind == "kink"


def test_a_wrong_gradient_beside_the_one_that_is_not_analytic_is_the_only_one_blamed():
    pair = rg.pair(
        lambda x, y: np.tanh(x) + np.abs(y),
        lambda dout, x, y: (dout * (1 - np.tanh(x) ** 2) * 1.001, dout * np.sign(y)),
        inputs={"x": "n", "y": "n"},
        name="mixed",
    )
    report = rg.check(pair, {"x": X, "y": X})
    assert [gradient.verdict for gradient in report.gradients] == [FAIL, PASS]


def test_a_forward_that_turns_against_complex_numbers_midway_is_still_judged():
    met = []

    def fickle(x):
        met.extend([1] * np.iscomplexobj(x))
        if len(met) > 1 and np.iscomplexobj(x):
            raise TypeError("once is enough")
        return np.tanh(x)

    report = rg.check(elementwise(fickle, lambda x: 1 - np.tanh(x) ** 2), {"x": X})
    assert (report.verdict, len(met) > 1) == (PASS, True)
    assert report.method == "central differences along directions"


def test_a_forward_that_changes_complex_inputs_is_judged_all_the_same():
    def careless(x):
        out = np.tanh(x)
        x *= 0
        return out, out

    pair = rg.pair(careless, lambda dout, out: dout * (1 - out**2), inputs={"x": "n"}, name="careless")
    report = rg.check(pair, {"x": X}, contract=False)
    assert (report.verdict, report.notes) == (PASS, ("forward changes its inputs ['x']; it was given copies",))


def asked(monkeypatch, pair, times=3):
    """Return how often the complex step was certified in each of a few checks of one point."""
    counts, module = [], import_module("rnngrad.check.certificate")
    plain = module.certify
    monkeypatch.setattr(module, "certify", lambda *given, **options: counts.append(1) or plain(*given, **options))
    found = []
    for _ in range(times):
        before = len(counts)
        assert rg.check(pair, {"x": X}).verdict is PASS
        found.append(len(counts) - before)
    monkeypatch.undo()
    return found


def test_a_certificate_is_remembered_while_that_is_asked_for_and_no_longer(monkeypatch):
    pair = elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
    assert asked(monkeypatch, pair) == [1, 1, 1]
    with trusting():
        assert asked(monkeypatch, pair) == [1, 0, 0]
        assert asked(monkeypatch, elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2)) == [1, 0, 0]
    assert asked(monkeypatch, pair) == [1, 1, 1]


def test_a_refusal_is_not_remembered(monkeypatch):
    pair = elementwise(real_only, lambda x: 1 - np.tanh(x) ** 2)
    with trusting():
        assert asked(monkeypatch, pair) == [1, 1, 1]


def test_a_trusted_pair_is_still_watched_by_real_differences():
    def relu(x):
        return x * (np.real(x) > 0)

    pair = elementwise(relu, lambda x: np.where(x > 0, 1.0, 0.0))
    with trusting():
        right = rg.check(pair, {"x": np.array([1.0, 2.0, -1.0])})
        kinked = rg.check(pair, {"x": np.array([1.0, 0.0, -1.0])})
    assert (right.verdict, right.method) == (PASS, "complex step along directions")
    assert (kinked.verdict, kinked["x"].worst_index) == (OPEN, (1,))


def test_outputs_that_are_zero_leave_the_complex_step_its_sharpness():
    """Where all weights are zero, and so is the output, nothing but the cotangent says what is large."""

    def forward(x, w, b):
        y = np.tanh(w @ x + b)
        return y, (x, w, y)

    def backward(dy, cache):
        x, w, y = cache
        da = (1 - y**2) * dy
        return w.T @ da, da @ x.T, da.sum(axis=1, keepdims=True)

    cell = rg.pair(forward, backward, inputs={"x": "m N", "w": "n m", "b": "n 1"})
    fills = {"w": "zeros", "b": "zeros"}
    with warnings.catch_warnings(), trusting():
        warnings.simplefilter("error")
        assert rg.check(cell, rg.Case(m=2, N=2, n=3, seed=1)).verdict is PASS
        for seed in range(40):
            report = rg.check(cell, rg.Case(m=1, N=1, n=1 + seed % 4, fills=fills, seed=seed))
            assert report.verdict is PASS
            assert report["w"].resolution < 1e-9
