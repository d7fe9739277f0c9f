"""The contract against right pairs that behave oddly but keep it: no finding, whatever the inputs."""

import io
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from breaches import SHAPES, backward, forward
from check_pairs import FAIL, OPEN, PASS

import rnngrad as rg
from rnngrad.cells.rnn import RETURNS, backward_from_both, rnn_cell_forward
from rnngrad.cells.rnn import SHAPES as CELL

CASE = rg.Case(N=4, d=3, m=2, seed=1)


def caching(kept):
    """Return the pair with something more in its cache."""

    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, {"cache": cache, "kept": kept()}

    return rg.pair(f, lambda dout, cache: backward(dout, cache["cache"]), inputs=SHAPES, name="caching")


UNCOPIED = {
    "a generator": (lambda: (i for i in range(3)), "cache['kept'] (a generator)"),
    "an open handle": (lambda: io.StringIO("text"), None),
    "a lock": (threading.Lock, "cache['kept'] (a lock)"),
    "a socket of sorts": (lambda: io.BufferedReader(io.BytesIO(b"text")), "cache['kept'] (a BufferedReader)"),
}


@pytest.mark.parametrize(("kept", "named"), UNCOPIED.values(), ids=UNCOPIED)
def test_what_cannot_be_copied_in_a_cache_is_named_and_all_else_is_checked(kept, named):
    report = rg.check(caching(kept), CASE)
    said = "cannot be copied, so whether backward changes it was not looked at"
    assert (report.verdict, report.notes) == (PASS, () if named is None else (f"{named} {said}",))


class Plain:
    """An object without equality."""

    __slots__ = ()


class Refusing:
    """An object that no comparison can be asked."""

    def __init__(self):
        self.step = 1

    def __array__(self, dtype=None, copy=None):
        raise ValueError("no array")


class Unequal:
    """An object whose equality raises."""

    __slots__ = ("value",)

    def __init__(self):
        self.value = 1

    def __eq__(self, other):
        raise TypeError("no comparison")

    __hash__ = None


def looped():
    """Return a list that holds itself."""
    loop = [1]
    loop.append(loop)
    return loop


KEPT = {
    "nothing": lambda: None,
    "numbers, words, functions": lambda: (1, 2.5, "text", np.tanh, len, np.float32(1), float("nan")),
    "a set": lambda: {1, 2},
    "a loop": looped,
    "an object": lambda: SimpleNamespace(a=np.ones(2), b=None),
    "an object without equality": Plain,
    "an object whose equality raises": Unequal,
    "nan": lambda: np.array([np.nan, 1.0]),
    "objects": lambda: np.array([None, "a"], dtype=object),
    "a large array in Fortran order": lambda: np.asfortranarray(np.ones((200, 100))),
    "a large array": lambda: np.ones(20_000),
    "large objects": lambda: np.full(20_000, None),
    "an array-like": lambda: memoryview(b"abc"),
    "words": lambda: np.array(["a", "b"]),
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_anything_may_lie_in_a_cache(kept):
    report = rg.check(caching(kept), CASE)
    assert (report.verdict, report.breaches) == (PASS, ())


def packed(dout, cache):
    """Return the gradients as disjoint parts of one buffer, one of them every other entry."""
    gradients = backward(dout, cache)
    buffer = np.concatenate([gradients["dx"].ravel(), gradients["dw"].ravel(), np.repeat(gradients["db"], 2)])
    dx, dw, db = np.split(buffer, [gradients["dx"].size, gradients["dx"].size + gradients["dw"].size])
    return dx.reshape(gradients["dx"].shape), dw.reshape(gradients["dw"].shape), db[::2]


def mixed(dout, cache):
    """Return two gradients in interleaved columns of one buffer."""
    gradients = backward(dout, cache)
    both = np.empty((gradients["db"].size, 2))
    both[:, 0], both[:, 1] = gradients["db"], -gradients["db"]
    return gradients | {"db": both[:, 0], "other": both[:, 1]}


def counted():
    """Return a backward pass that counts its calls, to no effect."""
    calls = []

    def b(dout, cache):
        calls.append(1)
        return backward(dout, cache)

    return b


ODD = {
    "gradients are parts of one buffer": (forward, packed),
    "gradients are columns of one buffer": (forward, mixed),
    "gradients cannot be written to": (forward, lambda d, c: {k: frozen(v) for k, v in backward(d, c).items()}),
    "gradients lie in Fortran order": (forward, lambda d, c: {k: v.copy("F") for k, v in backward(d, c).items()}),
    "backward counts its calls": (forward, counted()),
    "backward writes where nobody looks": (forward, lambda d, c: backward(d, c) | {"scratch": d}),
    "forward computes in single precision": (
        lambda x, w, b: forward(*(a.astype(np.float32) for a in (x, w, b))),
        lambda d, c: {k: v.astype(np.float64) for k, v in backward(d.astype(np.float32), c).items()},
    ),
    "in logarithms": (forward, lambda d, c: backward(np.sign(d) * np.exp(np.log(np.abs(d) + (d == 0))) * (d != 0), c)),
}


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(("f", "b"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("seed", range(4))
def test_odd_ways_that_keep_the_contract_are_no_breach(f, b, seed):
    report = rg.check(rg.pair(f, b, inputs=SHAPES, batch="N"), rg.Case(N=4, d=3, m=2, seed=seed))
    assert report.breaches == ()
    assert report.verdict is not FAIL


def test_an_output_may_be_a_view_of_an_input_and_two_outputs_one_array():
    pair = rg.pair(
        lambda x: (x.reshape(-1), x, x),
        lambda da, db, dc, x: da.reshape(x.shape) + db + dc,
        inputs={"x": "n m"},
        returns=("a", "b", "c"),
    )
    assert rg.check(pair, rg.Case(n=2, m=3, seed=1)).verdict is PASS


def test_the_same_breach_is_told_once_where_an_output_is_an_input():
    def b(dout, x):
        x += 1
        return 1 * dout

    report = rg.check(rg.pair(lambda x: (x, x), b, inputs={"x": "n"}), rg.Case(n=2, seed=1))
    assert [finding.kind for finding in report.breaches] == ["inputs"]


RECTIFIER = {"x": "N d", "w": "d m"}


def relu_forward(x, w):
    a = x @ w
    return np.maximum(a, 0), (x, w, a)


def relu_backward(dout, cache):
    x, w, a = cache
    da = dout * (a > 0)
    return da @ w.T, x.T @ da


@pytest.mark.parametrize("seed", range(30))
def test_a_tie_that_another_order_of_a_sum_breaks_is_no_breach_of_layout_or_batch(seed):
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-3, 4, shape) / 10 for shape in ((4, 7), (7, 3)))
    w[:, 0] = np.linalg.svd(x)[2][-1]  # x w is 0 there, up to rounding
    report = rg.check(rg.pair(relu_forward, relu_backward, inputs=RECTIFIER, batch="N"), {"x": x, "w": w})
    assert report.breaches == ()


def test_a_cell_may_take_none_for_its_prediction():
    cell = rg.pair(
        rnn_cell_forward, backward_from_both, inputs=CELL, returns=RETURNS, optional=("out_pred",), batch="N"
    )
    for seed in range(4):
        assert rg.check(cell, rg.Case(m=2, n=3, k=2, N=3, seed=seed)).verdict is PASS


def loss(reduce):
    """Return squared errors, reduced, with their gradients."""

    def f(x, w):
        r = x @ w
        return reduce(r**2 / 2), (x, w, r)

    def b(dout, cache):
        x, w, r = cache
        dr = dout * r * (reduce(np.ones_like(r)) / r.size if reduce is np.sum else 1 / r.size)
        return dr[:, None] * w, x.T @ dr

    return rg.pair(f, b, inputs={"x": "N d", "w": "d"}, batch="N", name=reduce.__name__)


@pytest.mark.parametrize("reduce", [np.sum, np.mean])
@pytest.mark.parametrize("fills", [{}, {"w": "zeros"}, {"x": "zeros"}, {"x": "zeros", "w": "zeros"}])
@pytest.mark.parametrize("examples", [1, 2, 3, 5])
def test_a_loss_may_be_the_sum_or_the_mean_of_its_examples(reduce, fills, examples):
    assert rg.check(loss(reduce), rg.Case(N=examples, d=2, seed=3, fills=fills)).verdict is PASS


@pytest.mark.parametrize("reduce", [np.sum, np.mean])
def test_a_batch_whose_outputs_are_all_zero_may_be_a_sum_or_a_mean(reduce):
    def b(dout, cache):
        x, w = cache
        share = 1 if reduce is np.sum else 1 / len(x)
        return {"dw": (dout * share * x).sum(axis=0), "dx": np.tile(dout * share * w, (len(x), 1))}

    pair = rg.pair(lambda x, w: (reduce(x @ w), (x, w)), b, inputs={"x": "N d", "w": "d"}, batch="N")
    assert rg.check(pair, rg.Case(N=3, d=2, seed=1, fills={"w": "zeros"})).verdict is PASS


def test_a_pair_that_works_at_its_very_inputs_only_is_not_accused():
    def f(x):
        if x[0] != 1.5:
            raise ValueError("elsewhere")
        return x**2, x

    report = rg.check(rg.pair(f, lambda dout, x: 2 * x * dout, inputs={"x": "n"}), {"x": np.array([1.5, 2.0])})
    assert (report.verdict, report.breaches) == (OPEN, ())


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 30.0, 1e3, 1e8])
@pytest.mark.parametrize("seed", range(6))
def test_a_saturated_softmax_is_linear_however_much_it_cancels(scale, seed):
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def b(dout, p):
        return p * (dout - (dout * p).sum(axis=1, keepdims=True))

    pair = rg.pair(lambda z: (softmax(z),) * 2, b, inputs={"z": "N C"}, batch="N", name="softmax")
    z = scale * np.random.default_rng(seed).standard_normal((3, 4))
    assert rg.check(pair, {"z": z}).breaches == ()


def test_a_gradient_may_be_the_cotangent_or_a_view_of_it():
    add = rg.pair(lambda x, y: x + y.T, lambda dout, x, y: (1 * dout, dout.T), inputs={"x": "n m", "y": "m n"})
    report = rg.check(add, rg.Case(n=2, m=3, seed=1))
    assert (report.verdict, report.notes) == (PASS, ())


def test_the_gradients_of_a_concatenation_may_be_parts_of_the_cotangent():
    pair = rg.pair(
        lambda x, y: np.concatenate([x, y]), lambda d, x, y: np.split(d, [len(x)]), inputs={"x": "n", "y": "m"}
    )
    assert rg.check(pair, rg.Case(n=2, m=3, seed=1)).verdict is PASS


def test_a_waived_breach_is_a_note_with_the_reason():
    def backward(dout, *_):
        both = 1 * dout
        return both, both

    add = rg.pair(lambda x, y: x + y, backward, inputs={"x": "n", "y": "n"}, waive={"alias": "the optimizer copies"})
    report = rg.check(add, rg.Case(n=2, seed=1))
    assert (report.verdict, report.breaches) == (PASS, ())
    assert report.notes == (
        "waived, the optimizer copies: y: dy shares memory with dx, the gradient of x: "
        "who changes one in place changes the other; return a copy",
    )
