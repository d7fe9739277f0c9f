"""What forward and backward may do and must not: copies, kinds of arrays, gradients that are none."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:

import numpy as np
import pytest
from check_pairs import AFFINE, ARRAYS, FAIL, ONES, OPEN, PASS, affine_backward, affine_forward, jittered

import rnngrad as rg


def claiming(gradient, shape="n", **rest):
    """Return a pair of two inputs, sum(x²) + sum(y), with the given claim in the place of dx; dy is right."""

    def backward(cotangents, cache):
        return {"x": gradient, "y": cotangents["out"] * np.ones_like(cache)}

    def forward(inputs):
        return {"out": np.sum(inputs["x"] ** 2) + np.sum(inputs["y"])}, inputs["y"]

    return rg.Pair(forward, backward, inputs={"x": shape, "y": "m"}, name="claiming", **rest)


WRONG_KINDS = {
    "none": (None, "none", "x: backward returned None for x, expected an array of shape (2,)"),
    "list": ([2.0, 4.0], "type", "x: backward returned a list for x, expected a floating-point array"),
    "tuple": ((2.0, 4.0), "type", "x: backward returned a tuple for x, expected a floating-point array"),
    "str": ("ab", "type", "x: backward returned a str for x, expected a floating-point array"),
    "dict": ({"a": 1.0}, "type", "x: backward returned a dict for x, expected a floating-point array"),
    "int": (np.array([2, 4]), "type", "x: backward returned an array of dtype int64 for x, expected a floating-p"),
    "bool": (np.array([True, False]), "type", "x: backward returned an array of dtype bool for x"),
    "complex": (np.array([2j, 4.0]), "type", "x: backward returned an array of dtype complex128 for x"),
    "object": (np.array([2.0, None]), "type", "x: backward returned an array of dtype object for x"),
    "nan": (np.array([2.0, np.nan]), "finite", "x[1]: backward returned nan, expected a finite number"),
    "inf": (np.array([-np.inf, 4.0]), "finite", "x[0]: backward returned -inf, expected a finite number"),
    "scalar": (2.0, "shape", "x: x has shape (), expected (2,), the shape of x"),
    "zero": (0, "shape", "x: x has shape (), expected (2,), the shape of x"),
    "one": (np.array([2.0]), "shape", "x: x has shape (1,), expected (2,), the shape of x"),
    "column": (np.array([[2.0], [4.0]]), "shape", "x: x has shape (2, 1), expected (2,), the shape of x"),
    "row": (np.array([[2.0, 4.0]]), "shape", "x: x has shape (1, 2), expected (2,), the shape of x"),
}


@pytest.mark.parametrize(("claim", "kind", "message"), WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_a_gradient_that_is_no_array_of_the_right_shape_fails_in_words_and_spares_the_others(claim, kind, message):
    report = rg.check(claiming(claim), {"x": np.array([1.0, 2.0]), "y": np.ones(3)}, cotangents={"out": 1.0})
    assert (report["x"].verdict, report["y"].verdict, report.lead) == (FAIL, PASS, "x")
    (finding,) = report["x"].findings
    assert (finding.verdict, finding.kind, finding.gradient) == (FAIL, kind, "x")
    assert finding.message.startswith(message)
    assert str(report).startswith(message)
    assert report["x"].worst_index is None
    with pytest.raises(rg.GradientMismatch):
        rg.assert_gradients(claiming(claim), {"x": np.array([1.0, 2.0]), "y": np.ones(3)})


def test_a_shape_finding_names_the_key_that_backward_returned():
    pair = rg.pair(lambda x: x**2, lambda dout, x: {"grad_x": dout.sum()}, inputs={"x": "n"}, gradients={"x": "grad_x"})
    report = rg.check(pair, {"x": np.ones(2)})
    assert report["x"].findings[0].message == "x: grad_x has shape (), expected (2,), the shape of x"


EFFORTS = ["auto", "entries"]


@pytest.mark.parametrize("effort", EFFORTS)
def test_inputs_that_forward_leaves_alone_are_shared_and_others_are_copies(effort):
    given = np.ones(3, int)

    def forward(x, k):
        k += 1
        return x**2 * (k - 1), (x, k - 1)

    pair = rg.pair(forward, lambda d, c: {"dx": 2 * c[0] * c[1] * d}, inputs={"x": "n", "k": "n"})
    report = rg.check(pair, {"x": np.arange(1.0, 4.0), "k": given}, effort=effort, contract=False)
    assert (report.verdict, report.notes) == (PASS, ("forward changes its inputs ['k']; it was given copies",))
    assert given.tolist() == [1, 1, 1]


@pytest.mark.parametrize("claim", [2.0, np.float64(2.0), np.array(2.0), np.float32(2.0)])
def test_the_gradient_of_a_scalar_is_a_number(claim):
    pair = rg.Pair(lambda p: ({"out": p["x"] ** 2}, None), lambda c, _: {"x": claim}, inputs={"x": ""}, name="square")
    report = rg.check(pair, {"x": 1.0}, cotangents={"out": 1.0}, contract=False)
    assert (report.verdict, report["x"].worst_index, report["x"].shape) == (PASS, (), ())
    worse = rg.check(pair, {"x": 1.5}, cotangents={"out": 1.0}, contract=False)
    assert worse.verdict is FAIL
    assert str(worse).startswith("x: backward 2, numeric 3 ± ")


def test_a_whole_number_is_the_gradient_of_a_scalar_that_does_not_matter():
    pair = rg.Pair(lambda p: ({"out": p["y"] * 1.0}, None), lambda c, _: {"x": 0, "y": c["out"]}, name="second")
    assert rg.check(pair, {"x": 1.0, "y": 2.0}).verdict is PASS


def test_outputs_may_be_plain_floats_and_several():
    pair = rg.pair(
        lambda x: (float(x.sum()), x * 2.0),
        lambda dtotal, ddouble, x: dtotal + 2 * ddouble,
        inputs={"x": "n"},
        returns=("total", "double"),
    )
    assert rg.check(pair, rg.Case(n=3, seed=2)).verdict is PASS


def test_a_gradient_that_is_not_returned_is_noted_where_the_outputs_do_not_depend_on_the_input():
    pair = rg.pair(lambda x, y: x**2 + 0 * y, lambda dout, x, y: {"dx": 2 * x * dout}, inputs={"x": "n", "y": "n"})
    report = rg.check(pair, {"x": np.ones(2), "y": np.ones(2)})
    assert report.verdict is PASS
    assert [gradient.name for gradient in report.gradients] == ["x"]
    assert report.notes == ("no gradient was returned for y (dy); the outputs do not depend on it here",)


def test_the_gradient_of_an_empty_input_need_not_be_returned():
    pair = rg.pair(lambda x, y: x**2, lambda dout, x, y: {"dx": 2 * x * dout}, inputs={"x": "n", "y": "m"})
    report = rg.check(pair, {"x": np.ones(2), "y": np.ones(0)})
    assert [(gradient.name, gradient.verdict) for gradient in report.gradients] == [("x", PASS)]
    assert report.notes == ("no gradient was returned for y (dy); the outputs do not depend on it here",)


def test_a_gradient_that_is_not_returned_but_needed_is_a_misuse_that_names_the_key():
    pair = rg.pair(
        lambda x, y: x**2 + y, lambda dout, x, y: {"dx": 2 * x * dout}, inputs={"x": "n", "y": "n"}, name="p"
    )
    with pytest.raises(rg.InvalidPair) as caught:
        rg.check(pair, rg.Case(n=2, seed=0))
    assert str(caught.value) == (
        "backward of p returned no gradient for y: expected the key 'dy', got ['dx']\n"
        "    return it, map its key with gradients=, or leave y out of wrt\n"
        "    with Case(n=2, seed=0)"
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("f", "x"), [(np.sqrt, 0.0), (np.abs, 0.0), (jittered, 0.7)])
def test_a_gradient_that_is_not_returned_where_nothing_can_be_decided_is_not_said_to_be_unneeded(f, x):
    pair = rg.Pair(lambda p: ({"out": f(p["x"])}, None), lambda c, _: {}, name="f")
    report = rg.check(pair, {"x": np.array([x])})
    assert (report.verdict, report["x"].verdict, report["x"].backward) == (OPEN, OPEN, 0.0)
    assert not any("do not depend" in note for note in report.notes)


def test_an_input_outside_wrt_is_not_differentiated():
    pair = rg.pair(
        lambda x, y: x**2 + y, lambda dout, x, y: {"dx": 2 * x * dout}, inputs={"x": "n", "y": "n"}, wrt=("x",)
    )
    report = rg.check(pair, rg.Case(n=2, seed=0))
    assert (report.verdict, [gradient.name for gradient in report.gradients]) == (PASS, ["x"])


def test_forward_and_backward_may_change_what_they_get():
    def forward(x, y):
        out = x * y
        x += 1
        kept = out.copy()
        y *= 0
        return out, (x, kept)

    def backward(dout, cache):
        x, kept = cache
        gradient = {"dx": dout * kept / (x - 1), "dy": dout * (x - 1)}
        dout *= 0
        x *= 0
        return gradient

    arrays = {"x": np.array([1.0, 2.0]), "y": np.array([3.0, 5.0])}
    report = rg.check(rg.pair(forward, backward, inputs={"x": "n", "y": "n"}), arrays)
    assert {gradient.verdict for gradient in report.gradients} == {PASS}
    assert [finding.kind for finding in report.findings] == ["inputs", "inputs", "cotangent"]
    assert report.verdict is FAIL
    assert np.array_equal(arrays["x"], [1.0, 2.0])
    assert np.array_equal(arrays["y"], [3.0, 5.0])


def test_given_cotangents_are_not_changed():
    given = {"out": np.ones((2, 1))}

    def backward(dout, cache):
        gradients = affine_backward(dout, cache)
        dout *= 0
        return gradients

    report = rg.check(rg.pair(affine_forward, backward, inputs=AFFINE), ARRAYS, cotangents=given)
    assert {gradient.verdict for gradient in report.gradients} == {PASS}
    assert np.array_equal(given["out"], np.ones((2, 1)))


def test_outputs_that_share_one_buffer_between_calls_are_copied_in_time():
    buffer = np.empty(2)

    def forward(x):
        buffer[:] = x**2
        return buffer, x

    report = rg.check(rg.pair(forward, lambda dout, x: 2 * x * dout, inputs={"x": "n"}), {"x": np.ones(2)})
    assert (report["x"].verdict, [finding.kind for finding in report.findings]) == (PASS, ["buffer"])


def test_integer_and_boolean_inputs_reach_forward_as_they_are_and_are_not_differentiated():
    seen = set()

    def forward(table, rows, keep):
        seen.add((rows.dtype.kind, keep.dtype.kind))
        return table[rows] * keep[:, None], (table, rows, keep)

    def backward(dout, cache):
        table, rows, keep = cache
        dtable = np.zeros_like(table)
        np.add.at(dtable, rows, dout * keep[:, None])
        return {"dtable": dtable}

    pair = rg.pair(forward, backward, inputs={"table": "v d", "rows": "N", "keep": "N"})
    arrays = {"table": np.arange(6.0).reshape(3, 2), "rows": np.array([0, 2, 0]), "keep": np.array([True, True, False])}
    report = rg.check(pair, arrays)
    assert (report.verdict, [gradient.name for gradient in report.gradients]) == (PASS, ["table"])
    assert seen == {("i", "b")}


def test_single_precision_arrays_are_checked_in_double_precision():
    seen = set()

    def forward(x, w, b):
        seen.update(array.dtype for array in (x, w, b))
        return affine_forward(x, w, b)

    given = {name: array.astype(np.float32) for name, array in ARRAYS.items()}
    report = rg.check(rg.pair(forward, affine_backward, inputs=AFFINE), given, cotangents=ONES)
    # float64 for the numbers, complex128 for the complex step, float32 and complex64 to see what rounding does
    assert seen == {np.dtype(kind) for kind in (np.float64, np.complex128, np.float32, np.complex64)}
    assert report.verdict is PASS
    assert max(gradient.resolution for gradient in report.gradients) < 1e-10


def test_plain_numbers_are_scalar_inputs():
    pair = rg.pair(lambda a, b: a * b, lambda dout, a, b: (dout * b, dout * a), inputs={"a": "", "b": ""})
    assert rg.check(pair, {"a": 2.0, "b": np.float64(3.0)}).verdict is PASS


def test_an_undeclared_pair_is_checked_at_given_arrays():
    pair = rg.Pair(
        lambda p: ({"out": p["a"] @ p["b"]}, p),
        lambda c, p: {"a": c["out"] @ p["b"].T, "b": p["a"].T @ c["out"]},
        name="product",
    )
    report = rg.check(pair, {"a": np.ones((2, 3)), "b": np.ones((3, 2))})
    assert (report.verdict, report.sizes) == (PASS, {})


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("dw", "map its key with gradients={'W': 'dw'}, "),
        ("dWW", "map its key with gradients={'W': 'dWW'}, "),
        ("weights", "map its key with gradients=, "),
    ],
)
def test_a_key_that_looks_like_the_missing_one_is_offered(key, hint):
    odd = rg.pair(lambda W: W**2, lambda dout, W: {key: 2 * W * dout}, inputs={"W": "n"}, name="odd")
    with pytest.raises(rg.InvalidPair) as caught:
        rg.check(odd, rg.Case(n=2, seed=1))
    assert str(caught.value) == (
        f"backward of odd returned no gradient for W: expected the key 'dW', got ['{key}']\n"
        f"    return it, {hint}or leave W out of wrt\n    with Case(n=2, seed=1)"
    )


def test_a_pair_in_canonical_form_has_no_keys_to_map():
    odd = rg.Pair(lambda p: ({"y": p["x"] ** 2}, p["x"]), lambda c, x: {"dx": 2 * x * c["y"]}, inputs={"x": "n"})
    with pytest.raises(rg.InvalidPair, match=r"key 'x', got \['dx'\]\n    return it, or leave x out of wrt\n"):
        rg.check(odd, rg.Case(n=2, seed=1))
