"""What the diagnosis promises: words that hold, at any size, for pairs it has never seen; it changes no verdict."""

import pickle
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from check_pairs import AFFINE, affine_backward, affine_forward, elementwise

import rnngrad as rg
from rnngrad.check.diagnose.neighbours import entries, neighbours
from rnngrad.check.diagnose.search import explain
from rnngrad.check.diagnose.stage import Guess, Stage
from rnngrad.check.diagnose.view import View
from rnngrad.check.pipeline import examined

FAIL = rg.Verdict.FAIL
RNG = np.random.default_rng(0)


def said(report, name):
    return [one.message for one in report[name].diagnoses]


def check(pair, given, **rest):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return rg.check(pair, given, **rest)


def spoiled(name, change):
    """Return the affine pair with one gradient changed by a function of it."""

    def backward(dout, cache):
        found = dict(zip("xwb", affine_backward(dout, cache), strict=True))
        return found | {name: change(found[name])}

    return rg.pair(affine_forward, backward, inputs=AFFINE, name="spoiled")


# attention


def attention(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v, (q, k, v, p)


def attention_backward(scale=np.sqrt, swap=False, turn=False):
    def backward(dout, cache):
        q, k, v, p = cache
        dp = dout @ v.T
        ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / scale(q.shape[1])
        dq, dk = ds @ k, ds.T @ q
        if swap and dq.shape == dk.shape:
            dq, dk = dk, dq
        return dq, dk, p @ dout if turn and len(p) == len(p.T) else p.T @ dout

    return rg.pair(attention, backward, inputs={"q": "n d", "k": "m d", "v": "m e"}, name="attention")


# convolution


def convolution(x, w, b):
    size = x.shape[2] - w.shape[2] + 1
    columns = np.stack([x[:, :, i : i + size] for i in range(w.shape[2])], axis=-1)
    return np.einsum("nclk,fck->nfl", columns, w) + b[:, None], (x, w, columns)


def convolution_backward(name, change):
    def backward(dout, cache):
        x, w, columns = cache
        dx = np.zeros_like(x)
        for i in range(w.shape[2]):
            dx[:, :, i : i + dout.shape[2]] += np.einsum("nfl,fc->ncl", dout, w[:, :, i])
        found = {"x": dx, "w": np.einsum("nfl,nclk->fck", dout, columns), "b": dout.sum(axis=(0, 2))}
        return found | {name: change(found[name], dout)}

    inputs = {"x": "N C L+K", "w": "F C K", "b": "F"}
    return rg.pair(convolution, backward, inputs=inputs, name="convolution")


# batch norm


def batch_norm(x, gamma):
    hat = (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)
    return gamma * hat, (hat, np.sqrt(x.var(axis=0) + 1e-5), gamma)


def batch_norm_backward(mean=1, along=1):
    def backward(dout, cache):
        hat, std, gamma = cache
        dhat = dout * gamma
        dx = (dhat - mean * dhat.mean(axis=0) - along * hat * (dhat * hat).mean(axis=0)) / std
        return dx, (dout * hat).sum(axis=0)

    return rg.pair(batch_norm, backward, inputs={"x": "N d", "gamma": "d"}, name="batch_norm")


def matvec(turn):
    return rg.pair(
        lambda A, z: (A @ z, (A, z)),
        lambda d, cache: (np.outer(d, cache[1].conj()), turn(cache[0]).T @ d),
        inputs={"A": "m n", "z": "n"},
        name="matvec",
    )


TALL = rg.Case(N=3, d=2, m=4, seed=1)
scaled = rg.pair(
    lambda x, alpha: (alpha * np.sin(x), (x, alpha)),
    lambda d, cache: (d * np.cos(cache[0]) * cache[1] ** 2, np.sum(d * np.sin(cache[0]))),
    inputs={"x": "n", "alpha": ""},
    name="scaled",
)
ignoring = rg.pair(
    lambda x: (np.sin(x), x**2, x),
    lambda sine, square, x: 2 * sine * np.cos(x) * np.cos(x),
    inputs={"x": "n"},
    returns=("sine", "square", "cache"),
    name="ignoring",
)
constant = rg.pair(lambda x: (1 + 0 * x, x), lambda d, x: d * np.cos(x), inputs={"x": "n"}, name="constant")
crooked = rg.pair(
    lambda x, alpha: (alpha * np.sin(x), (x, alpha)),
    lambda d, cache: (d * (cache[1] * np.cos(cache[0]) + 1 + cache[0] ** 3), np.sum(d * np.sin(cache[0]))),
    inputs={"x": "n", "alpha": ""},
    name="crooked",
)
stacked = rg.pair(
    lambda x, W: (W @ x, (x, W)),
    lambda d, cache: (cache[1].T @ d * np.arange(2.0, len(cache[0]) + 2), -np.outer(d, cache[0])),
    inputs={"x": "m", "W": "2*n m"},
    name="stacked",
)
many = rg.pair(np.sin, lambda d, x: (d * np.cos(x))[::-1], inputs={"x": "a b c d e"}, name="many")
MATRIX = {"A": RNG.normal(size=(3, 2)) + 1j * RNG.normal(size=(3, 2)), "z": RNG.normal(size=2) + 1j}
FLAT = rg.Pair(
    lambda inputs: ({"y": inputs["x"] @ inputs["w"]}, inputs),
    lambda d, inputs: {"x": d["y"] @ inputs["w"].T / len(inputs["x"]), "w": inputs["x"].T @ d["y"]},
    name="flat",
)
BOTH_WAYS = rg.jacobian(
    lambda x: np.array([x[0] * x[1], x[0] + 3 * x[1]]),
    lambda x: np.array([[x[1], 1.0], [x[0], 3.0]]),
    inputs={"x": "2"},
)
KERNEL = rg.Case(N=2, C=2, L=3, K=3, F=2, seed=1)
QUERY = rg.Case(n=3, d=2, m=4, e=5, seed=1)


def masked(x):
    return np.arange(x.size).reshape(x.shape) % 3 > 0


def dropout(slope):
    return rg.pair(lambda x: (x * masked(x) / 0.7, x), lambda d, x: d * slope(x), inputs={"x": "N D"}, name="dropout")


def log_softmax(axis):
    def forward(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return np.log(p), p

    return rg.pair(
        forward, lambda d, p: d - p * d.sum(axis=axis, keepdims=True), inputs={"z": "N K"}, name="log_softmax"
    )


def gain_forgotten():
    def backward(d, cache):
        hat, std, _ = cache
        return (d - d.mean(axis=0) - hat * (d * hat).mean(axis=0)) / std, (d * hat).sum(axis=0)

    return rg.pair(batch_norm, backward, inputs={"x": "N d", "gamma": "d"}, name="batch_norm")


gated = rg.pair(
    lambda x, h, z: (z * h + (1 - z) * np.tanh(x * h), (x, h, z, np.tanh(x * h))),
    lambda d, c: (
        d * (1 - c[2]) * (1 - c[3] ** 2) * c[1],
        d * (1 - c[2]) * (1 - c[3] ** 2) * c[0],
        d * (c[1] - c[3]),
    ),
    inputs={"x": "n", "h": "n", "z": "n"},
    name="gated",
)


def softmax(backward):
    def forward(x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p, p

    def softmax_backward(dout, p):
        return backward(p, dout, (dout * p).sum(axis=1, keepdims=True))

    return rg.pair(forward, softmax_backward, inputs={"x": "N k"})


ROWS = rg.Case(N=2, k=3, seed=1)
UNSEEN = [
    (dropout(masked), rg.Case(N=1, D=2, seed=0), "x", "0.7 times the true gradient"),
    (dropout(lambda x: 1 / 0.7), rg.Case(N=1, D=1, seed=0), "x", "the true gradient but where that is zero: a mask"),
    (
        log_softmax(0),
        rg.Case(N=1, K=2, seed=0),
        "z",
        "the sum in the Jacobian of the log-softmax out taken over axis 0",
    ),
    (gain_forgotten(), rg.Case(N=2, d=1, seed=0), "x", "a factor of gamma missing"),
    (gated, rg.Case(n=1, seed=0), "h", "-1 times the cotangent of out times z added to it: a direct path is missing"),
    (attention_backward(scale=lambda d: 1), QUERY, "q", "sqrt(d) times the true gradient"),
    (attention_backward(scale=lambda d: d), QUERY, "k", "1/sqrt(d) of the true gradient"),
    (attention_backward(swap=True), rg.Case(n=2, d=1, m=2, e=1, seed=0), "q", "the true gradient of k"),
    (attention_backward(swap=True), rg.Case(n=2, d=1, m=2, e=1, seed=0), "k", "wrong only where n = m"),
    (
        attention_backward(turn=True),
        rg.Case(n=3, d=2, m=3, e=1, seed=1),
        "v",
        "the Jacobian of out applied the wrong way",
    ),
    (convolution_backward("w", lambda w, _: w[:, :, ::-1]), KERNEL, "w", "reversed along K"),
    (convolution_backward("w", lambda w, _: w[::-1]), KERNEL, "w", "reversed along F"),
    (convolution_backward("w", lambda w, _: w[:, ::-1, ::-1]), KERNEL, "w", "reversed along C and K"),
    (convolution_backward("b", lambda b, d: b / len(d)), KERNEL, "b", "1/N of the true gradient"),
    (convolution_backward("b", lambda _, d: d.sum(axis=2)), KERNEL, "b", "not summed over N"),
    (
        convolution_backward("x", lambda x, _: x * (np.arange(x.shape[2]) > 0)),
        KERNEL,
        "x",
        "at the first index along L+K",
    ),
    (batch_norm_backward(mean=0), rg.Case(N=4, d=3, seed=1), "x", "the same at every index along N"),
    (batch_norm_backward(along=0), rg.Case(N=4, d=3, seed=1), "x", "along N a multiple of"),
    (batch_norm_backward(0, 0), rg.Case(N=4, d=3, seed=1), "x", "along N a constant and a multiple of x"),
    (
        elementwise(np.tanh, lambda x: np.ones_like(x)),
        rg.Case(n=1, seed=0),
        "x",
        "the derivative of tanh at out missing",
    ),
    (
        elementwise(np.tanh, lambda x: 1 - np.tanh(np.tanh(x)) ** 2),
        rg.Case(n=2, seed=0),
        "x",
        "of tanh taken at the activation out instead of the preactivation",
    ),
    (elementwise(lambda x: np.logaddexp(0, x), np.ones_like), rg.Case(n=3, seed=1), "x", "of softplus at out missing"),
    (elementwise(np.exp, lambda x: np.ones_like(x)), rg.Case(n=2, seed=0), "x", "a factor of out missing"),
    (softmax(lambda p, d, s: d - s), ROWS, "x", "a factor of out missing, in the result as a whole"),
    (softmax(lambda p, d, s: p**2 * (d - s)), ROWS, "x", "a factor of out too many, in the result as a whole"),
    (softmax(lambda p, d, s: p * (d + s)), ROWS, "x", "the mean missing, or wrong, in the Jacobian of the softmax out"),
    (elementwise(np.sin, lambda x: 3.7 * np.cos(x)), rg.Case(n=3, seed=1), "x", "3.7 times the true gradient"),
    (elementwise(np.sin, lambda x: np.cos(x) + x**3), rg.Case(n=3, seed=1), "x", "right while x is zero"),
    (
        elementwise(np.sin, lambda x: np.cos(x) + 1 + x**3),
        rg.Case(n=3, seed=1),
        "x",
        "nothing that was tried explains dx",
    ),
    (matvec(lambda A: A), MATRIX, "z", "right while A is real"),
    (FLAT, {"x": RNG.normal(size=(4, 3)), "w": RNG.normal(size=(3, 2))}, "x", "1/x.shape[0] of the true gradient"),
    (BOTH_WAYS, rg.Case(seed=3), "x", "the Jacobian of y applied the wrong way round"),
    (spoiled("x", lambda dx: dx.T), rg.Case(N=3, d=2, m=2, seed=1), "x", "the transpose of the true gradient"),
    (spoiled("w", lambda dw: np.stack([dw.T / 2, dw.T / 2])), TALL, "w", "not summed over axis 0"),
    (spoiled("w", lambda dw: np.stack([dw.T / 2, dw.T / 2])), TALL, "w", "and transposed"),
    (spoiled("x", lambda dx: dx * (1.0 + np.arange(dx.size).reshape(dx.shape))), TALL, "x", "nothing that was tried"),
    (scaled, rg.Case(n=3, seed=1), "x", "alpha times the true gradient"),
    (ignoring, rg.Case(n=3, seed=1), "x", "nothing coming from the cotangent of square: that path is missing, and"),
    (constant, rg.Case(n=3, seed=1), "x", "backward has norm"),
    (crooked, rg.Case(n=3, seed=1), "x", "nothing that was tried explains dx"),
    (stacked, rg.Case(m=3, n=2, seed=1), "x", "nothing that was tried explains dx"),
    (
        elementwise(lambda x: x / (1 + np.exp(-x)), lambda x: 1 / (1 + np.exp(-x))),
        rg.Case(n=3, seed=1),
        "x",
        "right while x is zero",
    ),
    (many, rg.Case(a=2, b=1, c=1, d=1, e=1, seed=1), "x", "reversed along a"),
    (spoiled("w", lambda dw: dw[None]), rg.Case(N=3, d=2, m=2, seed=1), "w", "laid out in another shape"),
]


@pytest.mark.parametrize(("pair", "given", "name", "words"), UNSEEN)
def test_errors_of_pairs_that_no_table_knows_are_named(pair, given, name, words):
    report = check(pair, given)
    assert report[name].verdict is FAIL
    assert any(words in message for message in said(report, name)), said(report, name)


LARGE = {"x": RNG.normal(size=(32, 90)), "w": RNG.normal(size=(90, 90)), "b": RNG.normal(size=90)}


def one_doubled(dw):
    dw[7, 9] *= 2
    return dw


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("w", lambda dw: dw.T.copy(), "the transpose of the true gradient"),
        ("w", lambda dw: dw / 32, "0.03125 times the true gradient"),  # at another N too, so that it is not 1/N
        ("w", one_doubled, "in a single entry, where it is 2 times"),
        ("x", lambda dx: np.roll(dx, 1, axis=0), "rolled on by one along N"),
        ("x", lambda dx: dx * (1.0 + np.arange(dx.size).reshape(dx.shape)), "nothing that was tried explains dx"),
        ("b", lambda db: -db, "with its sign turned"),
    ],
)
def test_of_a_large_tensor_some_entries_tell_as_much(name, change, words):
    assert any(words in message for message in said(check(spoiled(name, change), LARGE), name))


def test_a_diagnosis_of_a_large_pair_keeps_to_some_hundred_passes():
    calls = []

    def forward(x, w, b):
        calls.append("forward")
        return affine_forward(x, w, b)

    pair = rg.pair(forward, lambda d, c: (affine_backward(d, c)[0] + 1, *affine_backward(d, c)[1:]), inputs=AFFINE)
    found = examined(pair, LARGE)
    spent = len(calls)
    assert found.diagnosed()["x"].diagnoses
    assert len(calls) - spent < 2500


def test_where_forward_does_not_take_complex_numbers_differences_tell():
    def forward(x):
        return np.sin(np.real(x)) * abs(x), x

    pair = rg.pair(
        forward,
        lambda d, x: -d * (np.cos(x) * abs(x) + np.sin(x) * np.sign(x)),
        inputs={"x": "n m"},
        name="real",
    )
    assert (
        "dx is consistent with the true gradient with its sign turned"
        in said(check(pair, rg.Case(n=2, m=3, seed=1)), "x")[0]
    )


def test_a_diagnosis_says_how_much_it_leaves_unexplained():
    best = check(spoiled("w", lambda dw: dw / 3), rg.Case(N=3, d=2, m=2, seed=1))["w"].diagnoses[0]
    assert (best.kind, best.gradient, best.brief) == ("factor", "w", "1/3 of the true gradient")
    assert 0 <= best.residual < 1e-14
    assert f"(residual {best.residual:.0e})" in best.message or "residual 0" in best.message


def test_what_two_gradients_share_is_said_once_for_both():
    pair = rg.pair(affine_forward, lambda d, c: tuple(-g for g in affine_backward(d, c)), inputs=AFFINE)
    report = check(pair, rg.Case(N=3, d=2, m=4, seed=1))
    assert len({report[name].diagnoses[0].message for name in "xwb"}) == 1
    assert said(report, "x")[0].startswith("dx, dw and db are consistent with the true gradient with its sign turned")


def test_the_same_case_gives_the_same_diagnoses_and_they_can_be_pickled():
    pair = attention_backward(scale=lambda d: 1)
    first, again = check(pair, QUERY), check(pair, QUERY)
    assert first == again == pickle.loads(pickle.dumps(first))


def test_a_diagnosis_changes_nothing_else_of_a_report():
    found = examined(spoiled("w", lambda dw: -dw), rg.Case(N=3, d=2, m=2, seed=1))
    before, after = found.report, found.diagnosed()
    assert (before.verdict, before.evaluations, before.lead) == (after.verdict, after.evaluations, after.lead)
    assert [(g.name, g.verdict, g.error) for g in before.gradients] == [
        (g.name, g.verdict, g.error) for g in after.gradients
    ]


class Fragile:
    """A backward pass that is wrong at first and raises ever after."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, d, x):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("no more")
        return 2 * d * np.cos(x) + x


@pytest.mark.parametrize("calls", [1, 2, 3, 5, 8, 13, 40])
def test_an_experiment_that_raises_is_no_evidence_and_no_error(calls):
    pair = rg.pair(np.sin, Fragile(calls), inputs={"x": "n"}, name="fragile")
    report = check(pair, rg.Case(n=3, seed=1))
    assert report["x"].verdict is FAIL


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda x: -np.cos(x), "with its sign turned"), (lambda x: np.cos(x) + 1 + x**3, "nothing that was tried")],
)
def test_forward_that_raises_elsewhere_leaves_the_diagnosis_at_the_case_alone(change, words):
    def forward(x):
        if x.shape != (2, 3):
            raise ValueError("only this shape")
        return np.sin(x), x

    pair = rg.pair(forward, lambda d, x: d * change(x), inputs={"x": "n m"}, name="rigid")
    report = check(pair, rg.Case(n=2, m=3, seed=1))
    assert words in said(report, "x")[0]


def test_an_output_whose_cotangent_is_zero_tells_nothing():
    cotangents = {"sine": np.zeros(3), "square": np.ones(3)}
    pair = rg.pair(
        lambda x: (np.sin(x), x**2, x),
        lambda sine, square, x: sine * np.cos(x) + square * x,
        inputs={"x": "n"},
        returns=("sine", "square", "cache"),
    )
    report = check(pair, {"x": np.array([0.5, 1.0, 2.0])}, cotangents=cotangents)
    assert "dx is consistent with 1/2 of the true gradient" in said(report, "x")[0]


@pytest.mark.parametrize(("budget", "known"), [(0, False), (5, False), (3000, True)])
def test_a_diagnosis_ends_where_its_budget_does(monkeypatch, budget, known):
    module = sys.modules["rnngrad.check.diagnose.report"]
    monkeypatch.setattr(module, "RUNS", budget)
    monkeypatch.setattr(module, "FEWEST", budget)
    pair = elementwise(np.tanh, lambda x: np.ones_like(x))
    report = check(pair, rg.Case(n=2, seed=1))
    assert any("derivative of tanh" in message for message in said(report, "x")) == known


def test_where_the_derivatives_are_too_many_to_be_kept_nothing_is_said(monkeypatch):
    monkeypatch.setattr(sys.modules["rnngrad.check.diagnose.truth"], "NUMBERS", 3)
    assert said(check(elementwise(np.tanh, lambda x: np.ones_like(x)), rg.Case(n=2, seed=1)), "x") == []


def test_an_error_in_the_diagnosis_itself_leaves_the_report_as_it_is(monkeypatch):
    found = examined(spoiled("w", lambda dw: -dw), rg.Case(N=3, d=2, m=2, seed=1))

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(sys.modules["rnngrad.check.diagnose.report"], "diagnoses", broken)
    assert found.diagnosed() == found.report


def test_an_input_that_cannot_be_stretched_is_passed_by_in_the_search_for_an_eps():
    def forward(x):
        if np.abs(x).max() > 5:
            raise ValueError("too large")
        return np.sin(x), x

    pair = rg.pair(forward, lambda d, x: d * (np.cos(x) + 1 + x**3), inputs={"x": "n"}, name="bounded")
    assert "nothing that was tried explains dx" in said(check(pair, rg.Case(n=3, seed=1)), "x")[0]


def test_of_a_large_tensor_without_the_complex_step_fewer_entries_tell_as_much():
    pair = rg.pair(
        lambda x, w, b: (np.real(x) @ w + abs(b), (x, w)),
        lambda d, cache: (d @ cache[1].T, (cache[0].T @ d).T.copy(), d.sum(axis=0) * np.sign(LARGE["b"])),
        inputs={"x": "N d", "w": "d d", "b": "d"},
    )
    report = check(pair, LARGE)
    assert report.method.startswith("central")
    assert "dw is consistent with the transpose of the true gradient" in said(report, "w")[0]


def test_what_explains_one_of_two_cases_alone_says_so():
    def backward(d, x):
        return d * np.cos(x) * (-1 if len(x) == 2 else 0)

    report = check(rg.pair(np.sin, backward, inputs={"x": "n"}), rg.Case(n=2, seed=1))
    zero = "dx is consistent with zero: the gradient is missing, seen at Case(n=3, seed=2)"
    assert said(report, "x")[0].startswith(zero)


def test_a_multiple_that_is_another_one_in_every_case_is_called_so():
    def backward(d, x):
        return d * np.cos(x) * (1 + len(x) ** 1.5)

    report = check(rg.pair(np.sin, backward, inputs={"x": "n"}), rg.Case(n=4, seed=1))
    words = "dx is consistent with a multiple of the true gradient, by a factor that depends on sizes or values (9 here"
    assert said(report, "x")[0].startswith(words)


@pytest.mark.parametrize(("by", "named"), [(7.0, True), (1 + np.array([3, 4, 5]), False)])
def test_the_multiple_of_a_single_number_is_told_by_other_cotangents(by, named):
    pair = rg.pair(
        lambda k: (np.sin(k * ANGLES), k), lambda d, k: (by * d * ANGLES * np.cos(k * ANGLES)).sum(), inputs={"k": ""}
    )
    found = said(check(pair, {"k": np.array(0.7)}), "k")
    assert any("7 times the true gradient" in one for one in found) == named
    assert any("times the true gradient" in one for one in found) == named


def test_the_multiple_of_a_single_number_of_a_single_number_is_no_explanation():
    pair = rg.pair(lambda k: (np.sin(k), k), lambda d, k: 7 * d * np.cos(k), inputs={"k": ""})
    assert "nothing that was tried explains dk" in said(check(pair, {"k": np.array(0.7)}), "k")[0]


ANGLES = np.array([0.3, 0.5, 1.1])


def test_a_gradient_that_adds_up_over_calls_is_named_without_the_contract():
    total = {}

    def adding(dout, x):
        total["x"] = total.get("x", 0) + dout * np.cos(x)
        return total["x"].copy()

    sine = rg.pair(lambda x: (np.sin(x), x), adding, inputs={"x": "3"})
    assert rg.check(sine, rg.Case(seed=1)).findings[0].kind == "state"
    report = rg.check(sine, rg.Case(seed=1), contract=False)
    assert any("each call adds to what the last one left" in message for message in said(report, "x"))


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (1 + 2.0**-26, "1 + 1.5e-08 times the true gradient"),
        (1 - 2.0**-26, "1 - 1.5e-08 times the true gradient"),
        (-1 - 2.0**-26, "-(1 + 1.5e-08) times the true gradient"),
        (1.0005, "1.0005 times the true gradient"),
        (-1.05, "-1.05 times the true gradient"),
    ],
)
def test_a_factor_beside_one_is_written_by_how_much_it_differs_from_one(by, words):
    best = check(elementwise(np.sin, lambda x: by * np.cos(x)), rg.Case(n=3, seed=1))["x"].diagnoses[0]
    assert best.message.startswith(f"dx is consistent with {words}: the same direction")
    assert best.brief == words


@pytest.mark.parametrize(
    ("true", "claimed"),
    [([0.39, 0.31, 0.99], [0.3, 0.4, 0.9]), ([0.34], [0.3])],
    ids=["beyond half a unit", "one number"],
)
def test_numbers_that_are_short_by_chance_are_not_called_rounded(true, claimed):
    pair = rg.pair(lambda x: (np.array(true) * x, x), lambda d, x: np.array(claimed) * d, inputs={"x": "n"})
    ones = np.ones(len(true))
    report = check(pair, {"x": ones}, cotangents={"out": ones})
    assert not any("rounding" in message for message in said(report, "x")), said(report, "x")


def test_gradients_rounded_to_some_decimals_are_called_so():
    pair = rg.pair(lambda x: (np.sin(x), x), lambda d, x: np.round(d * np.cos(x), 2), inputs={"x": "n"})
    report = check(pair, {"x": RNG.normal(size=4)}, cotangents={"out": np.ones(4)}, contract=False)
    assert "rounding to 2 decimals" in said(report, "x")[0]


@pytest.mark.parametrize(("slack", "fits"), [(1e-3, True), (0.6, False)])
def test_where_bars_are_as_wide_as_the_error_nothing_explains_it(slack, fits):
    view = View("x", "dx", np.array([2.0, 4.0]), np.array([1.0, 3.0]), slack, ("n",), (1,))
    assert np.isfinite(view.misfit(np.array([2.0, 4.0 + 0.9 * slack]))) == fits


WHERE_IT_IS_WRONG = {
    "some value is large": lambda x: x.size > 0 and x.max() > 4,
    "there are three, or the first is above zero": lambda x: x.size >= 3 or x[0] > 0,
    "there is a value above a half": lambda x: (x > 0.5).any(),
    "the sum is above zero": lambda x: x.sum() > 0,
}


@pytest.mark.parametrize("where", WHERE_IT_IS_WRONG)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "scale"), [(1, 1.0), (2, 8.0), (3, 8.0)])
def test_no_size_is_called_right_where_it_is_wrong_for_some_values(where, seed, n, scale):
    wrong = WHERE_IT_IS_WRONG[where]
    pair = elementwise(np.sin, lambda x: np.cos(x) * (1 + 1e-3 * wrong(x)))
    words = said(check(pair, rg.Case(n=n, scale=scale, seed=seed)), "x")
    assert not any("whenever" in one or "wrong only" in one or "equals" in one for one in words), words


def test_an_error_too_small_to_be_seen_by_a_slope_is_not_called_absent_elsewhere():
    pair = elementwise(np.tanh, lambda x: 1 - np.tanh(x) ** 2 + 1e-12)
    words = said(check(pair, rg.Case(n=1, seed=0)), "x")
    assert not any("n >= 3" in one or "some of the indices" in one for one in words), words


def test_what_is_wrong_for_large_values_alone_is_called_so():
    pair = elementwise(np.sin, lambda x: np.cos(x) + np.where(abs(x) > 0.5, x**3, 0.0))
    assert "dx is right while x is small: wrong for large values alone?" in said(check(pair, rg.Case(n=8, seed=1)), "x")


def test_given_arrays_are_varied_before_a_condition_on_values_is_stated():
    pair = elementwise(np.sin, lambda x: np.cos(x) + x**3 + np.sin(x) ** 2)
    assert "dx is right while x is zero: a term in it is wrong or missing?" in said(
        check(pair, {"x": RNG.normal(size=3)}), "x"
    )


def summed_over(axis):
    """Return a layer with a gain and a bias, the gradients of both summed over an axis."""

    def forward(x, g, b):
        return g * np.tanh(x) + b, (x, g)

    def backward(d, cache):
        x, g = cache
        return d * g * (1 - np.tanh(x) ** 2), (d * np.tanh(x)).sum(axis=axis), d.sum(axis=axis)

    return rg.pair(forward, backward, inputs={"x": "N M", "g": "M", "b": "M"}, name="layer")


@pytest.mark.parametrize(
    "case", [rg.Case(N=2, M=2, seed=0), rg.Case(N=4, M=3, seed=1)], ids=["square", "another length"]
)
def test_gains_and_biases_summed_over_the_wrong_axis_are_named_whether_their_shape_is_right_or_not(case):
    report = check(summed_over(1), case)
    for name in "gb":
        best = report[name].diagnoses[0]
        assert best.message.startswith("dg and db are consistent with a sum over M in the place of the sum over N")
        assert best.brief == "summed over the wrong axis"


def test_a_cotangent_that_is_handed_on_as_it_is_is_called_so():
    pair = rg.pair(lambda x: (x**2, None), lambda d, _: d, inputs={"x": "n"}, name="square")
    assert said(check(pair, rg.Case(n=1, seed=0), contract=False), "x")[0].startswith(
        "dx is consistent with the cotangent of out as it is: no derivative is applied"
    )


@pytest.mark.parametrize("where", ["though not at", "in a single entry"])
def test_what_is_refuted_at_another_case_is_no_explanation(where):
    group = rg.pair(
        lambda x: (x - x.mean(axis=2, keepdims=True), x),
        lambda d, _: d - d.mean(axis=1, keepdims=True),
        inputs={"x": "N G C"},
    )
    huber = elementwise(lambda x: np.where(abs(x) < 0.5, x * x, abs(x) - 0.25), lambda x: 2 * x)
    found = [
        *said(check(group, rg.Case(N=1, G=1, C=2, seed=0)), "x"),
        *said(check(huber, rg.Case(n=1, seed=0)), "x"),
    ]
    assert found
    assert not any(where in one and "seen at" not in one for one in found), found


def test_an_error_that_follows_from_another_gets_no_condition_on_values_beside():
    def forward(x, W):
        z, c = np.split(W @ x, 2)
        z = 1 / (1 + np.exp(-z))
        return z * x + (1 - z) * np.tanh(c), (x, W, z, np.tanh(c))

    def backward(d, cache):
        x, W, z, c = cache
        da = np.concatenate([d * (c - x) * z * (1 - z), d * (1 - z) * (1 - c**2)])
        return W.T @ da + d * z, np.outer(da, x)

    pair = rg.pair(forward, backward, inputs={"x": "n", "W": "2*n n"}, name="gate")
    (only,) = check(pair, rg.Case(n=1, seed=0))["x"].diagnoses
    assert only.kind == "following"
    assert "it is right while block 0 of W is zero" in only.message


def test_another_length_with_other_numbers_is_no_sum_over_the_wrong_axis():
    right = summed_over(0)
    change = {"g": lambda g, x: 2 * np.ones(len(x)), "b": lambda b, x: b}

    def backward(cotangents, cache):
        found = right.backward(cotangents, cache)
        return {name: change.get(name, lambda g, _: g)(g, found["x"]) for name, g in found.items()}

    report = check(rg.Pair(right.forward, backward, inputs=right.inputs), rg.Case(N=4, M=3, seed=1))
    assert report["g"].verdict is FAIL
    assert not any("sum over" in one for one in said(report, "g")), said(report, "g")


@pytest.mark.parametrize(
    ("cached", "called"),
    [(lambda s: (1.0, s), "cache[1]"), (lambda s: s, "cache"), (lambda s: {"s": [s]}, "cache[s][0]")],
)
def test_what_lies_in_the_cache_is_called_as_backward_knows_it(cached, called):
    kept = []

    def forward(x):
        kept[:] = [np.cos(x)]
        return np.sin(x), cached(kept[0])

    pair = rg.pair(forward, lambda dout, _: dout * kept[0] ** 2, inputs={"x": "n"})
    assert f"a factor of {called} too many" in said(check(pair, rg.Case(n=4, seed=1)), "x")[0]


def causal(scale=np.sqrt, order=("q", "k", "v"), turned=True):
    """Return causal attention over one joint projection, its backward pass as given."""

    def forward(x, w, b):
        q, k, v = np.split(x @ w, 3, axis=1)
        s = np.where(np.tri(len(x)) > 0, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
        e = np.exp(s - s.real.max(axis=1, keepdims=True))
        p = e / e.sum(axis=1, keepdims=True)
        return p @ v + b, (x, w, q, k, v, p)

    def backward(dout, cache):
        x, w, q, k, v, p = cache
        dp = dout @ v.T
        ds = p * (dp - (dp * p).sum(axis=1, keepdims=True)) / scale(k.shape[1])
        parts = {"q": ds @ k, "k": (ds.T if turned else ds) @ q, "v": p.T @ dout}
        d = np.concatenate([parts[one] for one in order], axis=1)
        return d @ w.T, x.T @ d, dout.sum(axis=0)

    return rg.pair(forward, backward, inputs={"x": "T d", "w": "d 3*d", "b": "d"}, name="causal")


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (causal(scale=lambda d: 1), "where it is sqrt(d) times what it should be"),
        (causal(order=("k", "q", "v")), "blocks 0 and 1 of 3*d swapped"),
    ],
)
def test_what_is_wrong_from_the_second_step_on_is_called_by_its_name_where_it_has_one(pair, words):
    report = check(pair, rg.Case(T=4, d=3, seed=1))
    assert words in said(report, "w")[0]
    assert "follows from that of dw" in said(report, "x")[0]
    assert not any("recurrent" in text for name in "xw" for text in said(report, name))


def test_no_state_is_compared_with_itself_where_it_has_come_to_be_the_same_at_every_step():
    texts = said(check(causal(turned=False), rg.Case(T=4, d=3, seed=1)), "x")
    assert texts
    assert not any("equals out" in text for text in texts)


def test_of_two_dims_of_one_size_that_is_named_by_which_a_gradient_is_divided():
    def backward(dout, x):
        return dout + 0 * x, dout.sum(axis=(0, 2, 3)) / (dout.shape[2] * dout.shape[3])

    pair = rg.pair(lambda x, b: (x + b[:, None, None], x), backward, inputs={"x": "N 2*c H W", "b": "2*c"})
    assert "1/(H*W) of the true gradient" in said(check(pair, rg.Case(N=2, c=2, H=2, W=3, seed=1)), "b")[0]


def test_an_error_that_stays_while_the_gradient_grows_is_no_eps_left_out():
    def forward(x, s):
        d2 = (x**2).sum(axis=1)
        return (2 * np.sin(s) + d2 * np.exp(-2 * s) / 2).sum(), (x, s, d2)

    def backward(dout, cache):
        x, s, d2 = cache
        return dout * x * np.exp(-2 * s)[:, None], dout * (np.cos(s) - d2 * np.exp(-2 * s))

    texts = said(
        check(
            rg.pair(forward, backward, inputs={"x": "N 2", "s": rg.Array("N", low=-1, high=1)}), rg.Case(N=2, seed=1)
        ),
        "s",
    )
    assert texts
    assert not any("eps" in text for text in texts)


def test_a_wrong_gradient_is_explained_where_forward_takes_no_other_sizes():
    def forward(x):
        if x.shape != (2, 2):
            raise ValueError("only 2 x 2 here")
        return np.sin(x), x

    pair = rg.pair(forward, lambda dout, x: 3 * dout * np.cos(x), inputs={"x": "m n"})
    assert "dx is consistent with 3 times the true gradient" in str(check(pair, rg.Case(m=2, n=2, seed=1)))


def test_where_no_other_case_can_be_had_there_are_no_neighbours():
    def refused(case):
        raise rg.InvalidPair(f"not at {case}")

    scene = SimpleNamespace(
        pair=rg.pair(np.sin, lambda d, _: d, inputs={"x": "n"}),
        upstream={"out": np.ones(2)},
        sizes={"n": 2},
        dims={"n": 2},
        case=rg.Case(n=2, seed=0),
        at=refused,
    )
    assert [*neighbours(scene)] == []
    assert entries(scene, {"n": 3}) == 3
    assert entries(scene, {}) == np.inf  # no size for n


def test_what_only_says_where_an_error_is_stands_back_behind_what_explains_it():
    where = Guess("dw", "part", "wrong in the first rows", None)
    why = Guess("dw", "factor", "2 times the right gradient", 1e-12)
    asked = []

    def hypothesis(*guesses):
        def found(stage):
            asked.append(set(stage.views))
            yield from guesses

        return found

    stage = Stage(None, None, {"dw": None}, {})
    assert explain(stage, None, [hypothesis(where), hypothesis(why), hypothesis()]) == {"dw": why}
    assert len(asked) == 2  # once it is explained nothing more is asked of it
    assert explain(stage, None, [hypothesis(where), hypothesis()]) == {"dw": where}


def test_a_cache_that_is_not_finite_leaves_no_message_of_a_library(capfd):
    def forward(x, u):
        masked = np.where(u > 0, u, -np.inf)
        return x**3 * np.exp(masked), (x, masked)

    def backward(dout, cache):
        x, masked = cache
        weight = np.exp(masked)
        return dout * (x**2 * weight + np.sin(x) * weight.sum()), dout * x**3 * weight

    report = check(rg.pair(forward, backward, inputs={"x": "n k", "u": "n k"}), rg.Case(n=4, k=5, seed=0))
    assert report["x"].verdict is FAIL
    assert said(report, "x")
    assert capfd.readouterr() == ("", "")


def test_gradients_of_unlike_shapes_that_are_swapped_are_called_so():
    swapped = rg.pair(
        lambda x, w: (x @ w, (x, w)),
        lambda dout, cache: (cache[0].T @ dout, dout @ cache[1].T),
        inputs={"x": "N d", "w": "d m"},
    )
    report = rg.check(swapped, rg.Case(N=3, d=4, m=2, seed=0))
    for name, other in ("x", "w"), ("w", "x"):
        [only] = report[name].diagnoses
        assert f"d{name} is consistent with the true gradient of {other}: results swapped?" in only.message


def test_of_gradients_that_are_swapped_one_that_is_wrong_beside_is_not_called_so():
    swapped = rg.pair(
        lambda x, w: (x @ w, (x, w)),
        lambda dout, cache: (cache[0].T @ np.cumsum(dout, axis=0), dout @ cache[1].T),
        inputs={"x": "N d", "w": "d m"},
    )
    report = rg.check(swapped, rg.Case(N=3, d=4, m=2, seed=0))
    assert not any("swapped" in one.message for one in report["x"].diagnoses)
    assert "dw is consistent with the true gradient of x: results swapped?" in report["w"].diagnoses[0].message


def test_a_gradient_that_ignores_its_cotangent_is_told_in_its_own_numbers():
    deaf = rg.pair(lambda x: (np.sin(x).sum(), x), lambda dout, x: np.cos(x), inputs={"x": "n"})
    [breach] = rg.check(deaf, {"x": np.zeros(2)}).breaches
    assert "for 1/16777216 of the sum of two cotangents it gives 1, expected as much of 2, what" in breach.message
