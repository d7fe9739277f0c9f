"""A JVP beside the VJP: <v, J u> = <J^T v, u>, to rounding."""

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cells.rnn import RETURNS, SHAPES, backward_from_both, rnn_cell_forward

PASS, FAIL, OPEN = rg.Verdict.PASS, rg.Verdict.FAIL, rg.Verdict.INCONCLUSIVE
CASE = rg.Case(N=3, d=2, m=4, seed=1)


def forward(x, w, b):
    s = np.tanh(x @ w + b)
    return s, (x, w, s)


def backward(ds, cache):
    x, w, s = cache
    da = (1 - s**2) * ds
    return da @ w.T, x.T @ da, da.sum(axis=0)


def jvp(dx, dw, db, cache):
    x, w, s = cache
    return (1 - s**2) * (dx @ w + x @ dw + db)


def layer(jvp=jvp, backward=backward, **rest):
    return rg.pair(forward, backward, inputs={"x": "N d", "w": "d m", "b": "m"}, jvp=jvp, name="layer", **rest)


def test_a_right_jvp_passes_and_has_a_row_of_its_own():
    report = rg.check(layer(), CASE)
    assert report.verdict is PASS
    assert [gradient.name for gradient in report.gradients] == ["x", "w", "b", "jvp"]
    assert report["jvp"].resolution < 1e-11
    assert abs(report["jvp"].backward - report["jvp"].numeric) < 1e-14


def test_a_pair_without_a_jvp_has_no_such_row():
    assert [gradient.name for gradient in rg.check(layer(jvp=None), CASE).gradients] == ["x", "w", "b"]


WRONG = {
    "b left out": lambda dx, dw, db, c: (1 - c[2] ** 2) * (dx @ c[1] + c[0] @ dw),
    "no derivative of tanh": lambda dx, dw, db, c: dx @ c[1] + c[0] @ dw + db,
    "sign": lambda *a: -jvp(*a),
    "off by 1e-9": lambda *a: jvp(*a) * (1 + 1e-9),
    "one entry": lambda *a: jvp(*a) + 1e-9 * np.eye(3, 4) * a[0][0, 0],
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_jvp_fails_alone_and_the_numbers_say_who_is_wrong(wrong):
    report = rg.check(layer(wrong), CASE)
    assert [gradient.verdict for gradient in report.gradients] == [PASS, PASS, PASS, FAIL]
    assert str(report).startswith("jvp: along a direction u through ")
    assert "<v, J u> is" in str(report)
    assert "the JVP is wrong" in str(report)
    with pytest.raises(rg.GradientMismatch, match=r"^jvp: "):
        rg.assert_gradients(layer(wrong), CASE)


def test_the_input_through_which_it_is_wrong_is_named():
    message = rg.check(layer(WRONG["b left out"]), CASE)["jvp"].findings[0].message
    assert message.startswith("jvp: along a direction u through b <v, J u> is 0, ")


def test_a_right_jvp_is_not_blamed_for_a_wrong_gradient():
    report = rg.check(layer(backward=lambda d, c: (backward(d, c)[0], -backward(d, c)[1], backward(d, c)[2])), CASE)
    assert [gradient.verdict for gradient in report.gradients] == [PASS, FAIL, PASS, PASS]


def test_a_jvp_that_makes_the_same_mistake_as_backward_is_wrong_too():
    twice = layer(lambda *a: jvp(*a) * 2, lambda d, c: tuple(2 * g for g in backward(d, c)))
    assert [gradient.verdict for gradient in rg.check(twice, CASE).gradients] == [FAIL] * 4


def test_what_rounding_does_not_explain_fails_even_where_no_difference_can_see_it():
    """The forward is so noisy that both sides lie within the error bars of the numbers."""

    def noisy(x):
        return x + 1e-9 * np.sin(x.view(np.int64) % np.int64(1009)), x

    def with_jvp(error):
        jvp = lambda dx, _: dx * (1 + error)  # noqa: E731
        return rg.pair(noisy, lambda d, _: d * 1.0, inputs={"x": "n"}, jvp=jvp)

    report = rg.check(with_jvp(4e-7), rg.Case(n=3, seed=1))
    assert [gradient.verdict for gradient in report.gradients] == [PASS, FAIL]
    assert "apart, rounding explains" in report["jvp"].findings[0].message
    assert rg.check(with_jvp(0.0), rg.Case(n=3, seed=1)).verdict is PASS


def test_at_a_kink_where_the_two_take_different_sides_nothing_is_decided():
    pair = rg.pair(
        lambda x: (np.maximum(x, 0), x),
        lambda d, x: d * (x > 0),
        inputs={"x": "n"},
        jvp=lambda dx, x: dx * (x >= 0),
    )
    report = rg.check(pair, {"x": np.array([0.0, 1.0])})
    assert report["jvp"].verdict is OPEN
    assert "who is right cannot be told here" in report["jvp"].findings[0].message


def test_tangents_are_nested_like_the_inputs_and_none_where_nothing_is_differentiated():
    seen = {}

    def head_jvp(dx, ds, dparameters, *cache):
        seen.update(dparameters, x=dx)
        s, h, _, p = cache[0]
        move = p["W"] @ ds + dparameters["W"] @ h + dparameters["ba"]
        ds_next = (1 - s**2) * move
        z = p["V"] @ s + p["by"]
        e = np.exp(z - z.max(axis=0))
        o = e / e.sum(axis=0)
        dz = p["V"] @ ds_next + dparameters["V"] @ s + dparameters["by"]
        return ds_next, o * (dz - (o * dz).sum(axis=0))

    pair = rg.pair(
        rnn_cell_forward,
        backward_from_both,
        inputs=SHAPES,
        returns=RETURNS,
        wrt=("s_prev", "W", "V", "ba", "by"),
        jvp=head_jvp,
    )
    assert rg.check(pair, rg.Case(m=2, N=3, n=4, k=3, seed=2)).verdict is PASS
    assert seen["x"] is None
    assert seen["U"] is None
    assert seen["W"].shape == (4, 4)


def test_the_canonical_form_takes_and_returns_dicts():
    square = rg.Pair(
        lambda i: ({"y": i["x"] ** 2}, i["x"]),
        lambda c, x: {"x": 2 * x * c["y"]},
        inputs={"x": "n"},
        jvp=lambda t, x: {"y": 2 * x * t["x"]},
    )
    assert rg.check(square, rg.Case(n=3, seed=4))["jvp"].verdict is PASS
    by_name = layer(lambda *a: {"out": jvp(*a)})
    assert rg.check(by_name, CASE)["jvp"].verdict is PASS


def test_a_complex_jvp_passes_in_the_convention_of_the_gradients():
    def matvec(factor):
        return rg.pair(
            lambda a, z: (a @ z, (a, z)),
            lambda d, c: (np.outer(d, c[1].conj()), c[0].conj().T @ d),
            inputs={"a": "m n", "z": "n"},
            jvp=lambda da, dz, c: (da @ c[1] + c[0] @ dz) * factor,
        )

    arrays = {"a": np.array([[1 + 2j, 3j]]), "z": np.array([2 - 1j, 1j])}
    assert rg.check(matvec(1), arrays).verdict is PASS
    assert rg.check(matvec(1j), arrays)["jvp"].verdict is FAIL


def test_the_cache_is_fresh_for_every_tangent_and_changes_nothing():
    def spoil(dx, dw, db, cache):
        out = jvp(dx, dw, db, cache)
        for array in (dx, dw, db, *cache):
            array[...] = np.nan
        return out

    assert rg.check(layer(spoil), CASE).verdict is PASS


BAD = {
    "shape": (lambda *a: jvp(*a)[:1], r"jvp: the tangent of out is an array of dtype float64 and shape \(1, 4\), exp"),
    "None": (lambda *_: None, r"jvp: the tangent of out is None, expected shape \(3, 4\) and dtype float64"),
    "complex": (lambda *a: jvp(*a) * 1j, r"jvp: the tangent of out is an array of dtype complex128"),
    "nan": (lambda *a: jvp(*a) * np.nan, r"jvp: a tangent is not finite"),
}


@pytest.mark.parametrize(("wrong", "words"), BAD.values(), ids=BAD)
def test_a_tangent_that_is_no_array_like_its_output_fails(wrong, words):
    with pytest.raises(rg.GradientMismatch, match=words):
        rg.assert_gradients(layer(wrong), CASE)


MISUSE = {
    "two tangents": (lambda *a: (jvp(*a), 1), r"jvp returned 2 tangents, expected 1: those of \['out'\]"),
    "other names": (lambda *a: {"y": jvp(*a)}, r"jvp of layer returned \['y'\], expected the tangents of \['out'\]"),
    "raises": (lambda *a: 1 / 0, r"jvp of layer raised ZeroDivisionError"),
}


@pytest.mark.parametrize(("wrong", "words"), MISUSE.values(), ids=MISUSE)
def test_a_jvp_that_cannot_be_used_is_refused_in_words(wrong, words):
    with pytest.raises(rg.InvalidPair, match=words):
        rg.check(layer(wrong, returns=("out", "cache")), CASE)


def test_a_jvp_that_is_no_function_or_no_dict_is_refused():
    with pytest.raises(rg.InvalidPair, match="jvp is a function, got 3"):
        layer(3)
    odd = rg.Pair(lambda i: ({"y": i["x"]}, None), lambda c, _: {"x": c["y"]}, inputs={"x": "n"}, jvp=lambda t, _: 3)
    with pytest.raises(rg.InvalidPair, match=r"returned an int, expected the tangents of \['y'\]"):
        rg.check(odd, rg.Case(n=1, seed=0))
