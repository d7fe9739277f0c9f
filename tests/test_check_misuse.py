"""What cannot be checked at all raises InvalidPair, in words."""

# A forward or backward pass has the signature of its role, whether it uses all of it or not:
# ruff: noqa: ARG001

import numpy as np
import pytest
from check_pairs import ARRAYS, CASE, FAIL, PASS, affine, affine_forward, elementwise

import rnngrad as rg


def returning(value):
    """Return a canonical pair whose forward returns a value."""
    return rg.Pair(lambda p: value, lambda c, _: {}, inputs={"x": "n"}, name="odd")


def refusing(x):
    raise RuntimeError("no such thing")


def declared(**rest):
    """Return a pair that computes nothing, with the given declaration."""
    return rg.Pair(lambda p: ({"out": 1.0}, None), lambda c, _: {}, name="odd", **rest)


def alone(dout):
    return dout


def inverse(dout, cache):
    return np.linalg.inv(dout)


X = {"x": np.ones(2)}
TWO = {"x": np.ones(2), "y": np.ones(2)}
EFFORT = "expected one of ['auto', 'entries']"


class Unconvertible:
    """An object that is no array and refuses to become one."""

    def __array__(self, dtype=None, copy=None):
        raise ValueError("no array")


MISUSES = {
    "no pair": (lambda: rg.check(affine_forward, X), "check takes a pair, built by rg.pair or rg.Pair; got <function"),
    "effort": (lambda: rg.check(affine, ARRAYS, effort="all"), f"effort='all'; {EFFORT}"),
    "no effort": (lambda: rg.check(affine, ARRAYS, effort=None), f"effort=None; {EFFORT}"),
    "effort as a list": (
        lambda: rg.check(affine, ARRAYS, effort=["entries"]),
        f"effort=['entries']; {EFFORT}",
    ),
    "no shapes": (lambda: rg.check(declared(), CASE), "odd declares no inputs, so no case can be drawn; pass arrays"),
    "other case": (lambda: rg.check(affine, rg.Case(n=1, seed=0)), "Case(n=1, seed=0) does not fit: the dims are"),
    "other names": (lambda: rg.check(affine, X), "the inputs of affine are ['x', 'w', 'b'], got ['x']"),
    "other shapes": (lambda: rg.check(affine, ARRAYS | {"b": np.ones(3)}), "dim 'm' is "),
    "text input": (
        lambda: rg.check(elementwise(np.exp, np.exp), {"x": "ab"}),
        "input x of f is a str, expected an array of numbers",
    ),
    "no input": (
        lambda: rg.check(elementwise(np.exp, np.exp), {"x": None}),
        "input x of f is None, expected an array of numbers",
    ),
    "ragged input": (
        lambda: rg.check(rg.Pair(lambda p: None, lambda c, _: None, name="odd"), {"x": Unconvertible()}),
        "input x of odd is an Unconvertible, expected an array of numbers",
    ),
    "nan input": (
        lambda: rg.check(affine, ARRAYS | {"x": np.array([[1.0, 2.0], [np.nan, 4.0]])}),
        "input x[1, 0] of affine is nan; gradients need finite inputs",
    ),
    "integers only": (
        lambda: rg.check(elementwise(np.exp, np.exp), {"x": np.array([1, 2])}),
        "no input can be differentiated in f; only floating-point inputs can, and these are x int64",
    ),
    "integer in wrt": (
        lambda: rg.check(rg.pair(np.add, np.add, inputs={"x": "n", "y": "n"}, wrt=("y",), name="p"), X | {"y": [1][0]}),
        "y has shape () with 0 axes, declared 'n' with 1",
    ),
    "integer wrt": (
        lambda: rg.check(
            rg.pair(np.add, np.add, inputs={"x": "n", "y": "n"}, wrt=("y",), name="p"), X | {"y": np.array([1, 2])}
        ),
        "['y'] cannot be differentiated in p; only floating-point inputs can, and these are x float64, y int64",
    ),
    "no tuple": (
        lambda: rg.check(returning(3.0), X),
        "forward of odd returned a float, expected (dict of outputs, cache)",
    ),
    "no dict": (
        lambda: rg.check(returning((np.ones(2), None)), X),
        "forward of odd returned a tuple, expected (dict of outputs, cache)",
    ),
    "no output": (lambda: rg.check(returning(({}, None)), X), "forward of odd returned no output"),
    "integer output": (
        lambda: rg.check(returning(({"out": np.array([1])}, None)), X),
        "output out of odd is an array of dtype int64, expected an array of floating-point numbers\n    with the given",
    ),
    "None as output": (
        lambda: rg.check(returning(({"out": None}, None)), X),
        "output out of odd is None, expected an array of floating-point numbers",
    ),
    "nan output": (
        lambda: rg.check(returning(({"out": np.array([1.0, np.nan])}, None)), X),
        "forward of odd returned nan at out[1], expected a finite number\n    with the given arrays\n    pass inputs,",
    ),
    "forward raises": (
        lambda: rg.check(rg.pair(refusing, np.add, inputs={"x": "n"}, name="p"), rg.Case(n=2, seed=5)),
        "forward of p raised RuntimeError: no such thing\n    at " + __file__,
    ),
    "forward of another arity": (
        lambda: rg.check(rg.pair(lambda x: (x, x, x), np.add, inputs={"x": "n"}, returns=("a", "b"), name="p"), X),
        "forward returned 3 values, returns=('a', 'b') names 2\n    in forward of p at the given arrays",
    ),
    "backward raises": (
        lambda: rg.check(rg.pair(lambda x: x, lambda dout, x: 1 / 0, inputs={"x": "n"}, name="p"), X),
        "backward of p raised ZeroDivisionError: division by zero",
    ),
    "backward returns nothing": (
        lambda: rg.check(rg.pair(lambda x, y: x * y, lambda dout, x, y: None, inputs={"x": "n", "y": "n"}), TWO),
        "backward returned None, expected the gradients of ['x', 'y']: no return?",
    ),
    "forward without the cache that backward takes": (
        lambda: rg.check(rg.pair(lambda x, y: x * y, inverse, inputs={"x": "n", "y": "n"}), TWO),
        "inverse() takes 2 positional arguments but 3 were given\n"
        "    backward takes the cotangents, dout, then x, y, as forward returned no cache: return (output, cache)\n",
    ),
    "backward without a cache": (
        lambda: rg.check(rg.pair(lambda x: (x, 1), alone, inputs={"x": "n"}), X),
        "alone() takes 1 positional argument but 2 were given\n"
        "    backward takes the cotangents, dout, then the cache\n",
    ),
    "a TypeError of backward itself": (
        lambda: rg.check(rg.pair(lambda x: (x, 1), lambda dout, cache: len(cache), inputs={"x": "n"}, name="p"), X),
        "backward of p raised TypeError: object of type 'int' has no len()\n    at " + __file__,
    ),
    "an exception inside numpy": (
        lambda: rg.check(rg.pair(lambda x: (x, 1), inverse, inputs={"x": "n"}, name="p"), X),
        "backward of p raised LinAlgError: 1-dimensional array given. Array must be at least two-dimensional\n"
        f"    at {__file__}:{inverse.__code__.co_firstlineno + 1} in inverse\n",
    ),
    "outputs in a dict": (
        lambda: rg.check(rg.pair(lambda x: ({"y": x}, x), lambda dout, x: dout, inputs={"x": "n"}, name="p"), X),
        "output out of p is a dict, expected an array of floating-point numbers\n"
        "    with the given arrays\n    return outputs one by one, (y, cache) or (y, z, cache)",
    ),
    "backward returns no dict": (
        lambda: rg.check(rg.Pair(lambda p: ({"out": p["x"]}, None), lambda c, _: [1.0], name="odd"), X),
        "backward of odd returned a list, expected a dict of gradients",
    ),
    "cotangents of other names": (
        lambda: rg.check(affine, ARRAYS, cotangents={"y": np.ones((2, 1))}),
        "the cotangents of affine have shapes {'y': (2, 1)}, expected {'out': (2, 1)}",
    ),
    "cotangents of other shapes": (
        lambda: rg.check(affine, ARRAYS, cotangents={"out": 1.0}),
        "the cotangents of affine have shapes {'out': ()}, expected {'out': (2, 1)}",
    ),
}


@pytest.mark.parametrize(("misuse", "message"), MISUSES.values(), ids=MISUSES)
def test_misuse_raises_invalid_pair_and_says_what_was_got_and_expected(misuse, message):
    with pytest.raises(rg.InvalidPair) as caught:
        misuse()
    assert str(caught.value).startswith(message)


def test_an_exception_of_forward_is_told_with_its_line_and_the_case_and_is_kept_as_the_cause():
    line = refusing.__code__.co_firstlineno + 1
    with pytest.raises(rg.InvalidPair) as caught:
        rg.check(rg.pair(refusing, np.add, inputs={"x": "n"}, name="p"), rg.Case(n=2, seed=5))
    assert str(caught.value).endswith(f"{__file__}:{line} in refusing\n    with Case(n=2, seed=5)")
    assert isinstance(caught.value.__cause__, RuntimeError)


def silent(*_):
    raise StopIteration


def test_an_exception_without_text_is_told_by_its_type_alone():
    for role, pair in (("forward", elementwise(silent, np.cos)), ("backward", elementwise(np.sin, silent))):
        with pytest.raises(rg.InvalidPair, match=rf"^{role} of \w+ raised StopIteration\n    at "):
            rg.check(pair, X)
    once = rg.pair(lambda x: (x**2, iter([x])), lambda dout, cache: 2 * next(cache) * dout, inputs={"x": "n"})
    said = "a second backward pass on one cache fails: backward raises StopIteration"
    assert [finding.message for finding in rg.check(once, X).breaches] == [said]


@pytest.mark.parametrize("given", [{"out": "a"}, {"out": np.ones((2, 1)) * 1j}, {"out": {"a": 1}}, [np.ones((2, 1))]])
def test_cotangents_that_are_no_arrays_are_a_misuse(given):
    with pytest.raises(rg.InvalidPair):
        rg.check(affine, ARRAYS, cotangents=given)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_cotangents_that_are_not_finite_are_a_misuse(value):
    with pytest.raises(rg.InvalidPair):
        rg.check(affine, ARRAYS, cotangents={"out": np.array([[1.0], [value]])})


def hidden(values):
    """Return an array with its first entry masked."""
    return np.ma.array(values, mask=np.arange(values.size).reshape(values.shape) == 0)


SUBCLASSES = {"matrix": np.matrix, "masked array that masks nothing": np.ma.MaskedArray, "recarray": np.recarray}


@pytest.mark.parametrize("kind", SUBCLASSES.values(), ids=SUBCLASSES)
@pytest.mark.parametrize(("width", "factor", "verdict"), [(2, 2, PASS), (2, 3, FAIL), (140_000, 2, PASS)])
def test_subclasses_of_arrays_are_taken_for_the_numbers_that_they_hold(kind, width, factor, verdict):
    odd = rg.pair(
        lambda x: ((x**2).view(kind), x.copy().view(kind)[:, ::-1]),
        lambda dout, x: (factor * np.asarray(x)[:, ::-1] * dout).view(kind),
        inputs={"x": "N n"},
    )
    report = rg.check(odd, {"x": np.linspace(0.5, 1.5, width)[None]})
    assert (report.verdict, report["x"].verdict, report.breaches) == (verdict, verdict, ())


def test_a_masked_entry_is_no_number():
    given = {"x": np.array([1.0, 2.0])}
    masked = "an array with masked entries (.filled(0) makes them 0)"
    report = rg.check(elementwise(np.square, lambda x: hidden(2 * x)), given)
    assert report["x"].findings[0].message == f"x: backward returned {masked} for dx, expected a floating-point array"
    with pytest.raises(rg.InvalidPair, match=r"output out of f is an array with masked entries"):
        rg.check(elementwise(lambda x: hidden(x**2), lambda x: 2 * x), given)
    with pytest.raises(rg.InvalidPair, match=r"input x of f is an array with masked entries"):
        rg.check(elementwise(np.square, lambda x: 2 * x), {"x": hidden(given["x"])})
