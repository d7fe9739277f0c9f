"""A table of bad calls: each is refused as an InvalidPair that says what was got, what was expected, and where."""

import re
from contextlib import suppress

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.case import parse_case

X = np.array([1.0, 2.0])
CASE = rg.Case(n=2)


def square(x):
    return x * x, x


def dsquare(dout, x):
    return 2 * x * dout


def two(x, w):
    return x * w, (x, w)


def dtwo(dout, cache):
    return dout * cache[1], dout * cache[0]


def raising(*_):
    return {}["no such key"]


def build(forward=square, backward=dsquare, inputs={"x": "n"}, **options):  # noqa: B006  (read only)
    return rg.pair(forward, backward, inputs=inputs, **options)


def build_two(backward=dtwo, forward=two, **options):
    return rg.pair(forward, backward, inputs={"x": "n", "w": "n"}, name="two", **options)


def parsed(text):
    return rg.Pair(square, dsquare, inputs={"x": text})


def bound(arrays, **shapes):
    return rg.check(rg.Pair(square, dsquare, inputs=shapes, name="f"), arrays)


def array(*shape):
    return np.ones(shape)


def returning(value, **options):
    """A check of a pair whose forward returns this value."""
    return rg.check(build(lambda _: value, **options), CASE)


SQUARE = build(name="sq")
BARE = rg.Pair(square, dsquare, name="bare")
GROUP = rg.pair(square, dsquare, inputs={"x": "*b"}, name="group")
UNSET = object()


def given(x=UNSET, **cotangents):
    return rg.check(SQUARE, {"x": X if x is UNSET else x}, **cotangents)


ROWS = [
    # shapes that do not parse: the caret stands below the place
    ("a comma", lambda: parsed("n,m"), r"input 'x': shape 'n,m' does not parse here", r"\n    n,m\n    \^$"),
    (
        "an operator",
        lambda: parsed("n m/2"),
        r"expected a name, an integer, a sum, '\*name' or '\.\.\.'",
        r"\n      \^$",
    ),
    ("an open sum", lambda: parsed("m n+"), r"\n    m n\+\n        \^$"),
    ("a subtracted dim", lambda: parsed("m n-m"), r"a dim can be added, not subtracted", r"\n      \^$"),
    ("a starred number", lambda: parsed("n 4*"), r"does not parse", r"\n      \^"),
    ("dim seed", lambda: parsed("n seed"), r"'seed' is reserved; choose another name", r"\n      \^$"),
    ("dim fills", lambda: parsed("2*fills"), r"'fills' is reserved", r"\n      \^$"),
    ("group scale", lambda: parsed("*scale"), r"'scale' is reserved", r"\n     \^$"),
    ("dim _", lambda: parsed("_"), r"'_' is reserved", r"\n    \^$"),
    ("two groups", lambda: parsed("*a n *b"), r"'\*a n \*b' has two groups of axes"),
    ("two nameless groups", lambda: parsed("... ..."), r"has two groups of axes"),
    (
        "a dim and a group",
        lambda: rg.Pair(square, dsquare, inputs={"x": "n", "y": "*n"}),
        r"dim 'n' is one axis .* and a group",
    ),
    ("a shape of numbers", lambda: parsed(3), r"input 'x': a shape is a string such as 'n m', got 3 \(int\)"),
    ("no shape", lambda: build(inputs={"p": {"w": None}}), r"input 'w': a shape is a string", r"got None \(NoneType\)"),
    # arrays that do not fit the shapes
    (
        "a dim with two sizes",
        lambda: bound({"x": array(2, 3), "w": array(4, 5)}, x="m N", w="n m"),
        r"dim 'm' is 2 in x \(2, 3\) but 5 in w \(4, 5\)",
    ),
    (
        "a group with two shapes",
        lambda: bound({"x": array(2, 3), "w": array(2)}, x="*b", w="*b"),
        r"dim 'b' is \(2, 3\) in x \(2, 3\) but \(2,\) in w \(2,\)",
    ),
    ("too few axes", lambda: bound({"x": array(2)}, x="m N"), r"x has shape \(2,\) with 1 axes", r"'m N' with 2"),
    ("too many axes", lambda: bound({"x": array(2, 1)}, x="m"), r"x has shape \(2, 1\) with 2 axes", r"'m' with 1"),
    ("too few for a group", lambda: bound({"x": array(2)}, x="*b m N"), r"with 1 axes, declared '\*b m N' with 2"),
    ("a wrong constant", lambda: bound({"x": array(2)}, x="3"), r"axis '3' of x \(2,\) has size 2, expected 3"),
    ("an odd double", lambda: bound({"x": array(5)}, x="2*n"), r"axis '2\*n' of x \(5,\)", r"no size of 'n' gives"),
    ("a sum below its constant", lambda: bound({"x": array(2)}, x="n+3"), r"size 2, which no size of 'n' gives"),
    (
        "a sum that does not add up",
        lambda: bound({"x": array(2, 3), "w": array(4)}, x="n m", w="n+m"),
        r"axis 'n\+m' of w \(4,\) has size 4, expected 5 \(n = 2 in x \(2, 3\), m = 3 in x \(2, 3\)\)",
    ),
    ("an open sum of two dims", lambda: bound({"x": array(4)}, x="n+m"), r"leaves its dims open; name one of them"),
    # declarations that do not fit together
    ("nested inputs in Pair", lambda: rg.Pair(square, dsquare, inputs={"p": {"w": "n"}}), r"'p' is nested; rg\.pair"),
    ("a list in Pair", lambda: rg.Pair(square, dsquare, inputs={"p": ["n"]}), r"'p' is nested; rg\.pair takes"),
    ("Pair inputs as text", lambda: rg.Pair(square, dsquare, inputs="n"), r"from name to shape, got 'n'"),
    ("Pair without an input", lambda: rg.Pair(square, dsquare, inputs={}), r"from name to shape, got \{\}"),
    ("inputs as a tuple", lambda: build(inputs=("n",)), r"from argument name to shape, got \('n',\)"),
    ("no inputs", lambda: build(inputs={}), r"inputs is a dict from argument name to shape, got \{\}"),
    ("Pair of a number", lambda: rg.Pair(3, dsquare), r"forward is a function, got 3"),
    ("Pair with None", lambda: rg.Pair(square, None), r"backward is a function, got None"),
    ("pair of a number", lambda: build(forward=3), r"forward is a function, got 3"),
    ("pair with None", lambda: build(backward=None), r"backward is a function, got None"),
    ("wrt as text", lambda: build(wrt="x"), r"^wrt is a tuple of distinct names, got 'x'$"),
    ("empty wrt", lambda: build(wrt=()), r"^wrt is a tuple of distinct names, got \(\)$"),
    ("wrt twice the same", lambda: build(wrt=("x", "x")), r"^wrt is a tuple of distinct names, got \('x', 'x'\)$"),
    ("no shape at all", lambda: build(inputs={"p": {}}), r"^inputs declare no array, or two under one name: \[\]$"),
    (
        "two inputs of one name",
        lambda: build(inputs={"p.a": "n", "p": {"a": "n"}, "q": {"a": "n"}}),
        r"two under one name: \['p\.a', 'p\.a', 'q\.a'\]$",
    ),
    ("unknown wrt", lambda: build(wrt=("x", "y")), r"wrt names \['y'\], which are no inputs; the inputs are \['x'\]"),
    ("Pair wrt as text", lambda: rg.Pair(square, dsquare, wrt="x"), r"^wrt is a tuple of distinct names, got 'x'$"),
    ("Pair wrt empty", lambda: rg.Pair(square, dsquare, wrt=()), r"^wrt is a tuple of distinct names, got \(\)$"),
    ("Pair wrt unknown", lambda: rg.Pair(square, dsquare, {"x": "n"}, ("y",)), r"wrt names \['y'\]", r"are \['x'\]"),
    ("gradients of no input", lambda: build(gradients={"y": "dy"}), r"gradients names \['y'\]", r"inputs are \['x'\]$"),
    ("gradients turned round", lambda: build(gradients={"dx": "x"}), r"names \['dx'\]", r"turn it round"),
    ("gradients as a tuple", lambda: build(gradients=("dx",)), r"gradients", r"\('dx',\)"),
    ("returns as text", lambda: build(returns="out"), r"returns is a tuple of distinct names, got 'out'"),
    (
        "returns twice the same",
        lambda: build(returns=("y", "y")),
        r"returns is a tuple of distinct names, got \('y', 'y'\)",
    ),
    ("returns nothing", lambda: build(returns=()), r"returns is a tuple of distinct names, got \(\)"),
    ("returns only a cache", lambda: build(returns=("cache",)), r"returns names no output beside the cache"),
    (
        "upstream as text",
        lambda: build(returns=("y",), upstream="y"),
        r"upstream is a tuple of distinct names, got 'y'",
    ),
    ("upstream without returns", lambda: build(upstream=("y",)), r"upstream names outputs, so returns must name all"),
    (
        "unknown upstream",
        lambda: build(returns=("y", "cache"), upstream=("cache",)),
        r"upstream names \['cache'\], which are no outputs; returns names \['y'\]",
    ),
    # cases
    ("a negative size", lambda: rg.Case(n=-1), r"dim 'n' is -1; a size is an integer >= 0, or a tuple"),
    ("a fractional size", lambda: rg.Case(n=1.5), r"dim 'n' is 1\.5; a size is an integer"),
    ("a size of True", lambda: rg.Case(n=True), r"dim 'n' is True; a size is an integer"),
    ("a negative size in a group", lambda: rg.Case(b=(1, -2)), r"dim 'b' is \(1, -2\)"),
    ("a size as text", lambda: rg.Case(n="2"), r"dim 'n' is '2'"),
    (
        "an unknown fill",
        lambda: rg.Case(fills={"x": "ones"}),
        r"fill of 'x' is 'ones'; expected one of \['full', 'zeros', 'one-hot'\]",
    ),
    ("fills as text", lambda: rg.Case(fills="zeros"), r"fills='zeros'"),
    ("a negative seed", lambda: rg.Case(seed=-1), r"seed=-1; expected an integer >= 0"),
    ("a seed of True", lambda: rg.Case(seed=True), r"seed=True; expected an integer >= 0"),
    ("a seed as text", lambda: rg.Case(seed="0"), r"seed='0'; expected an integer >= 0"),
    ("scale nan", lambda: rg.Case(scale=float("nan")), r"scale=nan; expected a finite number"),
    ("scale inf", lambda: rg.Case(scale=float("inf")), r"scale=inf; expected a finite number"),
    ("scale as text", lambda: rg.Case(scale="1"), r"scale='1'; expected a finite number"),
    ("a scale of True", lambda: rg.Case(scale=True), r"scale=True; expected a finite number"),
    ("a scale of None", lambda: rg.Case(scale=None), r"scale=None; expected a finite number"),
    ("a scale beyond all floats", lambda: rg.Case(scale=10**400), r"^scale=1000+; expected a finite number$"),
    ("the same size twice", lambda: parse_case("Case(**{'n': 1}, **{'n': 2})"), r"is no case"),
    ("a call of something else", lambda: parse_case("print(n=1)"), r"'print\(n=1\)' is no case; expected .*'Case\(m=1"),
    ("a positional argument", lambda: parse_case("Case(1)"), r"is no case"),
    ("no call", lambda: parse_case("m=1"), r"'m=1' is no case"),
    ("an open bracket", lambda: parse_case("Case(n=1"), r"'Case\(n=1' is no case"),
    ("a computed size", lambda: parse_case("Case(n=len('ab'))"), r"is no case"),
    ("unpacked arguments", lambda: parse_case("Case(**{'n': 1})"), r"a size is an integer|is no case"),
    ("a case with a bad fill", lambda: parse_case("Case(n=1, fills={'x': 'ones'})"), r"fill of 'x' is 'ones'"),
    ("a fill that is a list", lambda: parse_case("Case(fills={'x': []})"), r"fill of 'x' is \[\]"),
    ("a set of lists", lambda: parse_case("Case(n={[]})"), r"is no case"),
    # cases that do not fit the pair
    (
        "other dims",
        lambda: rg.check(SQUARE, rg.Case(m=2)),
        r"Case\(m=2, seed=0\) does not fit: the dims are \['n'\], the case has \['m'\]",
    ),
    ("a dim too many", lambda: rg.assert_gradients(SQUARE, rg.Case(n=2, m=1)), r"the case has \['n', 'm'\]"),
    ("a tuple for a dim", lambda: rg.check(SQUARE, rg.Case(n=(2,))), r"does not fit: dim 'n' is one size"),
    ("a size for a group", lambda: rg.check(GROUP, rg.Case(b=2)), r"dim 'b' is a group, its size a tuple"),
    ("a size for ...", lambda: rg.check(build(inputs={"x": "..."}), rg.Case(_=2)), r"dim '\.\.\.' is a group"),
    (
        "a fill for no input",
        lambda: rg.check(SQUARE, rg.Case(n=2, fills={"y": "zeros"})),
        r"fills for \['y'\], the inputs are \['x'\]",
    ),
    (
        "a size below zero",
        lambda: rg.check(build(inputs={"x": "n-2"}), rg.Case(n=1)),
        r"axis 'n-2' of 'n-2' has no size for \{'n': 1\}",
    ),
    (
        "a case for undeclared inputs",
        lambda: rg.check(BARE, CASE),
        r"bare declares no inputs",
        r"pass arrays, or inputs=",
    ),
    # what check is given
    (
        "no pair",
        lambda: rg.check(square, CASE),
        r"check takes a pair, built by rg\.pair or rg\.Pair; got <function square",
    ),
    ("an array for the dict", lambda: rg.check(SQUARE, X), r"inputs of sq are a dict of arrays or a Case, got ndarray"),
    ("other names", lambda: rg.check(SQUARE, {"y": X}), r"the inputs of sq are \['x'\], got \['y'\]"),
    ("a list for an array", lambda: given([1.0, 2.0]), r"got \['x\.0', 'x\.1'\]; \['x'\] are lists: pass arrays"),
    ("no arrays", lambda: rg.check(SQUARE, {}), r"the inputs of sq hold no array"),
    ("no arrays, undeclared", lambda: rg.check(BARE, {"p": {}}), r"the inputs of bare hold no array"),
    ("an object array", lambda: given(np.array([None, 1])), r"input x of sq is an array of dtype object, expected"),
    ("a string", lambda: given("1.0"), r"input x of sq is a str, expected an array of numbers"),
    ("None", lambda: given(None), r"input x of sq is None, expected an array of numbers"),
    ("strings", lambda: given(np.array(["1"])), r"input x of sq is an array of dtype <U1"),
    ("a nan", lambda: given(np.array([1.0, np.nan])), r"input x\[1\] of sq is nan; gradients need finite inputs"),
    ("an inf", lambda: given(np.array([-np.inf, 1.0])), r"input x\[0\] of sq is -inf; gradients need finite inputs"),
    ("integers only", lambda: given(np.array([1, 2])), r"no input can be differentiated in sq", r"these are x int64"),
    (
        "an integer in wrt",
        lambda: rg.check(build_two(wrt=("w",)), {"x": X, "w": np.array([1, 2])}),
        r"\['w'\] cannot be differentiated in two; only floating-point inputs can, and these are x float64, w int64",
    ),
    (
        "wrt beyond the given",
        lambda: rg.check(rg.Pair(square, dsquare, wrt=("y",), name="bare"), {"x": X}),
        r"\['y'\] cannot be differentiated in bare",
    ),
    (
        "cotangents of another shape",
        lambda: given(cotangents={"out": array(3)}),
        r"have shapes \{'out': \(3,\)\}, expected \{'out': \(2,\)\}",
    ),
    ("cotangents of other names", lambda: given(cotangents={"y": X}), r"cotangents of sq have shapes \{'y': \(2,\)\}"),
    (
        "an array of cotangents",
        lambda: given(cotangents=X),
        r"cotangents is a dict from output to array, got an array of d",
    ),
    ("a cotangent as text", lambda: given(cotangents={"out": np.array(["a", "b"])}), r"cotangent", r"<U1"),
    ("a complex cotangent", lambda: given(cotangents={"out": X * 1j}), r"cotangent", r"complex128"),
    ("a nan cotangent", lambda: given(cotangents={"out": X * np.nan}), r"cotangent", r"nan"),
    # what forward and backward do
    (
        "forward raises",
        lambda: rg.check(build(raising, name="bad"), CASE),
        r"forward of bad raised KeyError: 'no such key'",
        r"test_bad_calls\.py:\d+ in raising",
        r"with Case\(n=2, seed=0\)",
    ),
    (
        "backward raises",
        lambda: rg.check(build(backward=raising, name="bad"), {"x": X}),
        r"backward of bad raised KeyError: 'no such key'",
        r"in raising\n    with the given arrays",
    ),
    (
        "too few outputs",
        lambda: returning(X, returns=("y", "z"), name="f"),
        r"returned 1 values, returns=\('y', 'z'\) names 2",
        r"in forward of f at Case\(n=2, seed=0\)",
    ),
    (
        "too many outputs",
        lambda: returning((X, X, X), returns=("y", "cache")),
        r"forward returned 3 values",
        r"names 2",
    ),
    (
        "an output nan",
        lambda: returning(np.array([[1.0, np.nan]])),
        r"returned nan at out\[0, 1\]",
        r"with Case\(n=2, seed=0\)",
    ),
    (
        "an output inf",
        lambda: returning((X, np.float64("-inf"), 0), name="f"),
        r"forward of f returned -inf at out1, expected a finite number\n",
    ),
    (
        "an integer output",
        lambda: returning(np.array([1])),
        r"output out of .* is an array of dtype int64",
        r"floating-point",
        r"with Case",
    ),
    ("an object output", lambda: returning(np.array([None])), r"output out of .* is an array of dtype object"),
    (
        "a list for an output",
        lambda: returning([1.0, 2.0]),
        r"output out of .* is a list, expected an array of floating-point",
    ),
    ("None for an output", lambda: returning(None, returns=("y",)), r"output y of .* is None, expected an array"),
    (
        "a cache alone",
        lambda: returning((X,)),
        r"forward returned a tuple of 1, expected outputs and a cache\n    in forward of .* at Case",
    ),
    (
        "Pair forward without a cache",
        lambda: rg.check(rg.Pair(lambda i: i, dsquare, name="f"), {"x": X}),
        r"forward of f returned a dict, expected \(dict of outputs, cache\)",
    ),
    (
        "Pair backward without names",
        lambda: rg.check(rg.Pair(lambda i: (i, None), lambda c, _: c["x"], name="f"), {"x": X}),
        r"backward of f returned a ndarray, expected a dict of gradients",
    ),
    (
        "too many gradients",
        lambda: rg.check(build(backward=lambda d, _: (d, d), name="f"), CASE),
        r"backward returned 2 gradients, expected 1: those of \['x'\], in this order; pass wrt=",
        r"in backward of f at Case\(n=2, seed=0\)",
    ),
    (
        "too few gradients",
        lambda: rg.check(build_two(lambda d, _: d), CASE),
        r"returned 1 gradients, expected 2: those of \['x', 'w'\]",
    ),
    (
        "too few gradients in a list",
        lambda: rg.check(rg.pair(lambda p: (p[0] * p[1], p), lambda d, _: ([d],), inputs={"p": ["n", "n"]}), CASE),
        r"backward returned 1 gradients for p, expected 2 in a list\n    in backward of .* at Case",
    ),
    (
        "no dict of gradients for a dict",
        lambda: rg.check(rg.pair(lambda p: (p["w"] * 2.0, p), lambda d, _: (2 * d,), inputs={"p": {"w": "n"}}), CASE),
        r"backward returned array\(.*\) for p, expected a dict like p itself\n    in backward of .* at Case",
    ),
    (
        "no list of gradients for a list",
        lambda: rg.check(rg.pair(lambda p: (p[0] * 2.0, p), lambda d, _: (2 * d,), inputs={"p": ["n"]}), CASE),
        r"backward returned no list for p, expected 1 in a list\n    in backward of .* at Case",
    ),
    (
        "a missing gradient",
        lambda: rg.check(build_two(lambda d, c: {"dx": d * c[1], "grad_w": d * c[0]}), CASE),
        r"backward of two returned no gradient for w: expected the key 'dw', got \['dx', 'grad_w'\]",
        r"map its key with gradients=, or leave w out of wrt",
        r"with Case\(n=2, seed=0\)",
    ),
    (
        "a missing gradient with a declared key",
        lambda: rg.check(build_two(lambda d, c: {"dx": d * c[1]}, gradients={"w": "grad_w"}), CASE),
        r"no gradient for w: expected the key 'grad_w', got \['dx'\]",
    ),
    # estimate_gradient
    (
        "complex x",
        lambda: rg.estimate_gradient(np.sum, X * 1j),
        r"^x is an array of finite real numbers, got array\(\[0\.\+1\.j",
    ),
    ("x as text", lambda: rg.estimate_gradient(len, "abc"), r"^x is an array of finite real numbers, got 'abc'$"),
    (
        "f of many numbers",
        lambda: rg.estimate_gradient(np.sin, X),
        r"f returns one real number, got shape \(2,\) and dtype float64",
    ),
    ("f of text", lambda: rg.estimate_gradient(str, X), r"f returns one real number, got shape \(\) and dtype <U"),
    (
        "f of nan",
        lambda: rg.estimate_gradient(lambda _: np.nan, X),
        r"f\(x\) is nan; a derivative needs a finite value",
    ),
    ("no f", lambda: rg.estimate_gradient(3, X), r"f is a function, got 3"),
    # drawn tests
    (
        "a test of undeclared inputs",
        lambda: rg.gradient_test(BARE),
        r"drawn from declared shapes",
        r"bare declares no inputs",
    ),
    (
        "a test of a function",
        lambda: rg.gradient_test(square),
        r"cases are drawn from declared shapes; <function square",
    ),
    (
        "cases of undeclared inputs",
        lambda: rg.cases(BARE).example(),
        r"drawn from declared shapes; bare declares no inputs",
    ),
    (
        "dims of another pair",
        lambda: rg.gradient_test(SQUARE, dims={"m": 2}),
        r"dims names \['m'\]; the dims of sq are \['n'\]",
    ),
    (
        "a span turned round",
        lambda: rg.gradient_test(SQUARE, dims={"n": (3, 1)}),
        r"dims=\{'n': \(3, 1\)\}; expected \(low, high\) with 0 <= low <= high",
    ),
    ("a span below zero", lambda: rg.gradient_test(SQUARE, dims={"n": (-1, 1)}), r"dims=\{'n': \(-1, 1\)\}"),
    ("a span of three", lambda: rg.gradient_test(SQUARE, dims={"n": (1, 2, 3)}), r"dims=\{'n': \(1, 2, 3\)\}"),
    ("a span as text", lambda: rg.gradient_test(SQUARE, dims={"n": "12"}), r"dims=\{'n': '12'\}"),
    ("a size below zero for dims", lambda: rg.gradient_test(SQUARE, dims={"n": -1}), r"'n'.*-1"),
    ("a span of words", lambda: rg.gradient_test(SQUARE, dims={"n": ("a", "b")}), r"dims=\{'n': \('a', 'b'\)\}"),
    ("a size for a group of dims", lambda: rg.gradient_test(GROUP, dims={"b": 3}), r"'b'.*3"),
]


@pytest.mark.parametrize(("call", "fragments"), [pytest.param(row[1], row[2:], id=row[0]) for row in ROWS])
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_a_bad_call_is_refused_in_words(call, fragments):
    with pytest.raises(rg.InvalidPair) as caught:
        call()
    for fragment in fragments:
        assert re.search(fragment, str(caught.value))


def test_no_two_bad_calls_have_the_same_label():
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_reading_a_case_evaluates_nothing(tmp_path):
    """The text would create a file, if it were code that ran."""
    trace = tmp_path / "trace"
    for text in (f"Case(n=open({str(trace)!r}, 'w'))", f"open({str(trace)!r}, 'w').Case(n=1)"):
        with suppress(rg.InvalidPair):
            assert parse_case(text) == rg.Case(n=1)
        assert not trace.exists()


def test_the_cause_of_a_refused_call_is_the_exception_of_the_user():
    with pytest.raises(rg.InvalidPair) as caught:
        rg.check(build(raising), CASE)
    assert type(caught.value.__cause__) is KeyError
