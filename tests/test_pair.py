"""Pairs: what forward and backward are called with, and how what they return is named."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest

import rnngrad as rg

X, W, B = np.array([2.0]), np.array([3.0]), np.array([0.5])
FLAT = {"x": "n", "w": "n", "b": "n"}
NESTED = {"x": "n", "p": {"w": "n", "b": "n"}}
LISTED = {"x": "n", "p": ["n", "n"]}
TWINS = {"f": {"w": "n"}, "g": {"w": "n"}, "x": "n"}


def forward(x, w, b):
    return x * w + b, (x, w)


def nested_forward(x, p):
    return x * p["w"] + p["b"], (x, p["w"])


def listed_forward(x, p):
    return x * p[0] + p[1], (x, p[0])


def twins_forward(f, g, x):
    return f["w"] * g["w"] * x, (f["w"], g["w"], x)


def grads(dout, cache):
    """The gradients of x w + b, by hand: dx = dout w, dw = dout x, db = dout."""
    x, w = cache
    return dout * w, dout * x, dout


def keyed(*keys):
    """Return a backward whose dict has these keys for the gradients of x, w and b."""
    return lambda dout, cache: dict(zip(keys, grads(dout, cache), strict=True))


def twin_grads(dout, cache):
    f, g, x = cache
    return dout * g * x, dout * f * x, dout * f * g


CONVENTIONS = {
    "a tuple": (forward, FLAT, grads, {}),
    "a list": (forward, FLAT, lambda d, c: list(grads(d, c)), {}),
    "d + name": (forward, FLAT, lambda d, c: dict(reversed(keyed("dx", "dw", "db")(d, c).items())), {}),
    "the names": (forward, FLAT, keyed("x", "w", "b"), {}),
    "irregular keys": (
        forward,
        FLAT,
        keyed("dxt", "dw", "grad_b"),
        {"gradients": {"x": "dxt", "b": "grad_b"}},
    ),
    "d + name in spite of a declared key": (
        nested_forward,
        NESTED,
        keyed("dx", "dw", "db"),
        {"gradients": {"w": "grad_w"}},
    ),
    "keys that cross": (
        forward,
        FLAT,
        keyed("dw", "dx", "db"),
        {"gradients": {"x": "dw", "w": "dx"}},
    ),
    "a flat dict of nested parameters": (
        nested_forward,
        NESTED,
        keyed("dx", "dw", "db"),
        {},
    ),
    "a nested dict": (
        nested_forward,
        NESTED,
        lambda d, c: {"dx": grads(d, c)[0], "dp": {"dw": grads(d, c)[1], "db": grads(d, c)[2]}},
        {},
    ),
    "a tuple with a dict": (
        nested_forward,
        NESTED,
        lambda d, c: (grads(d, c)[0], {"b": grads(d, c)[2], "w": grads(d, c)[1]}),
        {},
    ),
    "a tuple with a list": (listed_forward, LISTED, lambda d, c: (grads(d, c)[0], list(grads(d, c)[1:])), {}),
    "a dict with a list": (
        listed_forward,
        LISTED,
        lambda d, c: {"dx": grads(d, c)[0], "dp": list(grads(d, c)[1:])},
        {},
    ),
    "a dict with a tuple of dicts under the name itself": (
        lambda layers, x: twins_forward(*layers, x),
        {"layers": ({"w": "n"}, {"w": "n"}), "x": "n"},
        lambda d, c: (lambda f, g, x: {"x": x, "layers": ({"dw": f}, {"w": g})})(*twin_grads(d, c)),
        {},
    ),
    "names that occur twice, nested alike": (
        twins_forward,
        TWINS,
        lambda d, c: (lambda f, g, x: {"f": {"dw": f}, "g": {"dw": g}, "dx": x})(*twin_grads(d, c)),
        {},
    ),
    "names that occur twice, nested and undecorated": (
        twins_forward,
        TWINS,
        lambda d, c: (lambda f, g, x: {"f": {"w": f}, "g": {"w": g}, "x": x})(*twin_grads(d, c)),
        {},
    ),
    "names that occur twice, in a tuple": (
        twins_forward,
        TWINS,
        lambda d, c: (lambda f, g, x: ({"w": f}, {"dw": g}, x))(*twin_grads(d, c)),
        {},
    ),
    "a list of dicts, one for each layer, in a tuple": (
        lambda layers, x: twins_forward(*layers, x),
        {"layers": [{"w": "n"}, {"w": "n"}], "x": "n"},
        lambda d, c: (lambda f, g, x: ([{"w": f}, {"w": g}], x))(*twin_grads(d, c)),
        {},
    ),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_gradients_are_taken_in_every_convention(convention):
    function, inputs, backward, options = CONVENTIONS[convention]
    pair = rg.pair(function, backward, inputs=inputs, **options)
    report = rg.check(pair, rg.Case(n=3, seed=1))
    assert [gradient.name for gradient in report.gradients] == list(pair.shapes)
    assert report.verdict is rg.Verdict.PASS
    assert report.notes == ()


def test_nested_lists_of_numbers_are_no_gradients():
    pair = rg.pair(lambda x: x**2, lambda dout, x: (2 * x * dout).tolist(), inputs={"x": "n m"})
    with pytest.raises(
        rg.InvalidPair, match=r"^backward returned a list of numbers, expected an array, or a tuple or "
    ):
        rg.check(pair, rg.Case(n=2, m=2, seed=1))


def test_a_list_of_numbers_is_no_nested_gradient():
    pair = rg.pair(lambda x: x * 2.0, lambda *_: {"dx": [2.0, 2.0]}, inputs={"x": "n"})
    report = rg.check(pair, rg.Case(n=2))
    assert str(report).startswith("x: backward returned a list for dx, expected a floating-point array")


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_gradient_of_the_wrong_size_fails_in_every_convention(convention):
    """The cotangent is doubled, so that every gradient is twice the true one."""
    function, inputs, backward, options = CONVENTIONS[convention]
    pair = rg.pair(function, lambda d, c: backward(2 * d, c), inputs=inputs, **options)
    report = rg.check(pair, rg.Case(n=3, seed=1))
    assert [gradient.verdict for gradient in report.gradients] == [rg.Verdict.FAIL] * 3


def test_gradients_in_the_wrong_order_fail_each_by_its_name():
    pair = rg.pair(forward, lambda d, c: (grads(d, c)[1], grads(d, c)[0], grads(d, c)[2]), inputs=FLAT)
    report = rg.check(pair, rg.Case(n=2, seed=1))
    assert [g.name for g in report.gradients if g.verdict is rg.Verdict.FAIL] == ["x", "w"]


@pytest.mark.parametrize(
    ("returned", "options", "outputs", "rest"),
    [
        (5.0, {}, {"out": 5.0}, (2.0,)),
        ((5.0, "kept"), {}, {"out": 5.0}, ("kept",)),
        ((5.0, 6.0, "kept"), {}, {"out0": 5.0, "out1": 6.0}, ("kept",)),
        ((5.0, ("a", "b")), {}, {"out": 5.0}, (("a", "b"),)),
        ((5.0, 6.0), {"returns": ("y", "z")}, {"y": 5.0, "z": 6.0}, (2.0,)),
        (5.0, {"returns": ("y",)}, {"y": 5.0}, (2.0,)),
        (("kept", 5.0), {"returns": ("cache", "y")}, {"y": 5.0}, ("kept",)),
        ((5.0, None), {"returns": ("y", "cache")}, {"y": 5.0}, (None,)),
        ((5.0, 6.0, "kept"), {"returns": ("y", "z", "cache"), "upstream": ("z",)}, {"z": 6.0}, ("kept",)),
        ((5.0, 6.0), {"returns": ("y", "z"), "upstream": ("z", "y")}, {"z": 6.0, "y": 5.0}, (2.0,)),
    ],
)
def test_what_forward_returns_is_named_and_the_rest_is_handed_to_backward(returned, options, outputs, rest):
    got = []
    pair = rg.pair(lambda _: returned, lambda *given: got.extend(given), inputs={"x": ""}, **options)
    named, cache = pair.forward({"x": 2.0})
    assert list(named.items()) == list(outputs.items())
    pair.backward(named, cache)
    assert got == [*outputs.values(), *rest]


def test_forward_gets_its_arguments_nested_as_declared_in_order():
    got = []
    inputs = {"b": "n", "p": {"W": "n", "more": ("n", ["n"])}}
    pair = rg.pair(lambda *given: (got.extend(given), None), lambda *_: {}, inputs=inputs)
    assert list(pair.shapes) == ["b", "W", "p.more.0", "p.more.1.0"]
    pair.forward(dict(zip(pair.shapes, (1, 2, 3, 4), strict=True)))
    assert got == [1, {"W": 2, "more": (3, [4])}]


def test_keys_that_name_no_input_are_kept():
    pair = rg.pair(lambda x: x, lambda *_: {"dtanh": 7, "dx": 8, "p": {"q": 9}}, inputs={"x": ""})
    assert pair.backward({"out": 1.0}, (2.0,)) == {"x": 8, "dtanh": 7, "q": 9}


def test_one_key_is_the_gradient_of_one_input_only():
    pair = rg.pair(lambda x, dx: (x * dx, None), lambda *_: {"dx": 7}, inputs={"x": "", "dx": ""})
    assert pair.backward({"out": 1.0}, (None,)) == {"x": 7}


@pytest.mark.parametrize(
    ("wrt", "names", "returned", "gradients"),
    [
        (("w",), ("w",), ({"dw": 10},), {"w": 10}),
        (("x",), ("x",), (10,), {"x": 10}),
        (("p",), ("w", "b"), ({"dw": 10, "db": 20},), {"w": 10, "b": 20}),
        (("b", "x"), ("x", "b"), (10, {"b": 20}), {"x": 10, "b": 20}),
        (None, None, (10, {"w": 20, "b": 30}), {"x": 10, "w": 20, "b": 30}),
    ],
)
def test_wrt_says_which_inputs_have_a_gradient_in_the_order_of_the_inputs(wrt, names, returned, gradients):
    pair = rg.pair(nested_forward, lambda *_: returned, inputs=NESTED, wrt=wrt)
    assert pair.wrt == (None if names is None else list(names))
    assert pair.backward({"out": X}, ((X, W),)) == gradients


def test_a_single_array_is_the_gradient_of_the_single_input():
    pair = rg.pair(lambda x: x**2, lambda d, x: 2 * x * d, inputs={"x": "n"})
    assert pair.backward({"out": np.array([10.0])}, (X,))["x"].tolist() == [40.0]


def test_the_claim_of_an_input_is_the_key_that_backward_is_to_use():
    pair = rg.pair(forward, grads, inputs=FLAT, gradients={"x": "dxt"})
    assert [pair.claim(name) for name in "xwb"] == ["dxt", "dw", "db"]
    assert rg.Pair(forward, grads).claim("x") == "x"


class Layer:
    """A forward that is an object without a name."""

    def __call__(self, inputs):
        return {"out": inputs["x"]}, None


@pytest.mark.parametrize(
    ("function", "given", "name"),
    [
        (SimpleNamespace, None, "SimpleNamespace"),
        (nested_forward, None, "nested"),
        (nested_forward, "mine", "mine"),
        (Layer(), None, "Layer"),
    ],
)
def test_a_pair_is_named_by_its_forward_unless_it_is_given_a_name(function, given, name):
    assert rg.pair(function, grads, inputs={"x": "n"}, name=given).name == name
    assert rg.Pair(function, grads, name=given).name == name


def test_a_function_called_just_forward_keeps_its_name():
    def _forward(x):
        return x

    assert rg.pair(forward, grads, inputs=FLAT).name == "forward"
    assert rg.pair(_forward, grads, inputs={"x": "n"}).name == "_forward"


def test_a_pair_knows_the_module_that_built_it():
    assert rg.pair(forward, grads, inputs=FLAT).module == __name__
    assert rg.Pair(forward, grads).module == __name__


def test_a_pair_of_module_level_functions_survives_a_trip_between_processes():
    pair = pickle.loads(pickle.dumps(rg.pair(forward, grads, inputs=FLAT)))
    assert rg.check(pair, {"x": X, "w": W, "b": B}).verdict is rg.Verdict.PASS


@pytest.mark.parametrize(
    ("pair", "given", "arrays"),
    [
        (rg.Pair(forward, grads), {"p": {"w": 1}, "x": 2}, {"w": 1, "x": 2}),
        (rg.pair(nested_forward, grads, inputs=NESTED), {"p": {"b": 1, "w": 2}, "x": 3}, {"x": 3, "w": 2, "b": 1}),
        (rg.pair(nested_forward, grads, inputs=NESTED), {"b": 1, "x": 3, "w": 2}, {"x": 3, "w": 2, "b": 1}),
        (rg.pair(twins_forward, grads, inputs=TWINS), {"g.w": 1, "f.w": 2, "x": 3}, {"f.w": 2, "g.w": 1, "x": 3}),
    ],
    ids=["undeclared", "nested", "by name", "by dotted name"],
)
def test_given_inputs_are_flattened_into_declared_order(pair, given, arrays):
    assert list(pair.arrays(given).items()) == list(arrays.items())


def test_the_canonical_form_is_used_as_it_stands():
    pair = rg.Pair(
        lambda inputs: ({"y": inputs["x"] * inputs["w"]}, inputs),
        lambda cotangents, cache: {"w": cotangents["y"] * cache["x"]},
        inputs={"x": "n", "w": "n"},
        wrt=("w",),
    )
    report = rg.check(pair, rg.Case(n=2))
    assert [(gradient.name, gradient.verdict) for gradient in report.gradients] == [("w", rg.Verdict.PASS)]


def test_two_pairs_of_the_same_functions_are_two_pairs():
    assert rg.Pair(forward, grads) != rg.Pair(forward, grads)
