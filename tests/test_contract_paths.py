"""The contract where it looks twice: scripted pairs, large arrays, what raises at which call."""

import pickle
from importlib import import_module

import numpy as np
import pytest
from breaches import SHAPES, backward, forward
from check_pairs import FAIL, OPEN, PASS, affine_backward, affine_forward

import rnngrad as rg
from rnngrad.check.protocol.cotangents import TINY
from rnngrad.check.protocol.large import largest
from rnngrad.check.protocol.linear import not_additive

CASE = rg.Case(N=4, d=3, m=2, seed=1)


def kinds(pair, given=CASE, **options):
    return [finding.kind for finding in rg.check(pair, given, **options).breaches]


def scripted(script):
    """Return a pair whose backward pass multiplies its gradients, call by call, or raises (0); the last one lasts."""
    calls = iter(script)

    def b(dout, cache):
        factor = next(calls, script[-1])
        if factor == 0:
            raise RuntimeError("not now")
        return {name: factor * value for name, value in backward(dout, cache).items()}

    return rg.pair(forward, b, inputs=SHAPES, name="scripted")


SCRIPTS = {
    "raises at the third call on a cache": ([1, 1, 1, 0, 1], ["reuse"]),
    "raises at the second": ([1, 1, 0, 1], ["reuse"]),
    "is off, then raises": ([1, 1, 1, 2, 0], ["state"]),
    "is off, then raises later": ([1, 1, 1, 2, 1, 0], ["state"]),
    "is off at every call, then raises": ([1, 1, 1, 2, 3, 5, 0], ["random"]),
    "is off once": ([1, 1, 1, 2, 1], ["random"]),
    "raises after another forward pass": ([1, 1, 1, 1, 0, 1], ["interleaved"]),
    "raises from then on": ([1, 1, 1, 1, 0, 0], ["state"]),
    "is off after another forward pass, once": ([1, 1, 1, 1, 2, 1], ["random"]),
    "is off only close by": ([1, 1, 1, 1, 1, 0, 1], ["interleaved"]),
    "raises for the zeros once": ([1, 1, 1, 1, 1, 1, 0, 1], []),
    "raises for all that is huge": ([1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 1], ["linear"]),
    "is off for all that is huge, and then too": ([1, 1, 1, 1, 1, 1, 1, 2], ["state"]),
    "is off for all that is huge, then raises": ([1, 1, 1, 1, 1, 1, 1, 2, 1, 2, 2, 0], ["state"]),
    "is off for sums, then raises": ([1, 2, 1, 1, 0, 1], []),
    "raises in another layout once": ([1] * 10 + [0, 1], []),
    "raises in another layout than at first, once": ([1] * 6 + [0, 1, 1, 0, 1], []),
}


@pytest.mark.parametrize(("script", "found"), SCRIPTS.values(), ids=SCRIPTS)
def test_what_looks_broken_is_looked_at_again_before_it_gets_its_kind(script, found):
    assert kinds(scripted(script)) == found


def test_a_backward_that_raises_for_any_one_hot_cotangent_is_not_linear():
    def b(dout, cache):
        if np.count_nonzero(dout) == 1:
            raise ValueError("one-hot")
        return backward(dout, cache)

    report = rg.check(rg.pair(forward, b, inputs=SHAPES), CASE)
    assert [finding.kind for finding in report.findings] == ["linear"]
    assert report.findings[0].message.startswith("backward raises ValueError: one-hot, for a one-hot cotangent")


def test_a_later_gradient_of_another_shape_is_told_with_both():
    calls = []

    def b(dout, cache):
        calls.append(1)
        gradients = backward(dout, cache)
        return gradients if len(calls) == 1 else gradients | {"db": gradients["db"][None]}

    report = rg.check(rg.pair(forward, b, inputs=SHAPES), CASE)
    assert "backward returns shape (1, 2) for db, at the first call an array of shape (2,)" in str(report)


def test_a_later_gradient_that_is_no_array_is_told():
    calls = []

    def b(dout, cache):
        calls.append(1)
        gradients = backward(dout, cache)
        return gradients if len(calls) == 1 else gradients | {"db": None}

    report = rg.check(rg.pair(forward, b, inputs=SHAPES), CASE)
    assert "backward returns None for db, at the first call an array of shape (2,)" in str(report)


@pytest.mark.parametrize("role", ["forward", "backward"])
def test_running_out_of_memory_is_nobody_s_breach(role):
    calls = []

    def tired(function, limit):
        def call(*arguments):
            calls.append(1)
            if len(calls) > limit:
                raise MemoryError
            return function(*arguments)

        return call

    f, b = (tired(forward, 1), backward) if role == "forward" else (forward, tired(backward, 1))
    with pytest.raises(rg.InvalidPair, match="needs more memory than there is"):
        rg.check(rg.pair(f, b, inputs=SHAPES), CASE)


LARGE = {
    "many rows": {"x": np.ones((2, 300)), "w": np.linspace(-1, 1, 300 * 600).reshape(300, 600), "b": np.ones(600)},
    "a row that is long": {"x": np.ones((2, 1)), "w": np.linspace(-1, 1, 150_000)[None], "b": np.ones(150_000)},
}


@pytest.mark.parametrize("arrays", LARGE.values(), ids=LARGE)
def test_large_arrays_are_held_to_the_contract_too(arrays):
    pair = rg.pair(affine_forward, affine_backward, inputs=SHAPES, batch="N")
    assert rg.check(pair, arrays).verdict is PASS

    def clipped(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        return dx, np.clip(dw, -1e3, 1e3), db

    assert kinds(rg.pair(affine_forward, clipped, inputs=SHAPES), arrays) == ["linear"]


def test_strides_too_exotic_to_decide_count_as_apart(monkeypatch):
    alias = import_module("rnngrad.check.protocol.alias")

    def too_hard(*_, **__):
        raise np.exceptions.TooHardError

    row = np.zeros(3)
    assert alias.shared(row, row[1:]) is True
    monkeypatch.setattr(np, "shares_memory", too_hard)
    assert alias.shared(row, row[1:]) is False


def test_memory_that_is_not_numpy_s_own_is_compared_all_the_same():
    alias = import_module("rnngrad.check.protocol.alias")
    memory = bytearray(64)
    left, right = np.frombuffer(memory), np.frombuffer(memory)
    assert alias.shared(left, right)

    def b(dout, cache):
        gradients = backward(dout, cache)
        dw = gradients["dw"]
        return gradients | {"dw": np.frombuffer(memoryview(bytearray(dw.tobytes()))).reshape(dw.shape)}

    assert kinds(rg.pair(forward, b, inputs=SHAPES)) == []


def test_an_array_replaced_in_the_cache_is_a_change():
    def b(dout, cache):
        gradients = backward(dout, cache["cache"])
        cache["extra"] = np.zeros(3, np.float32)
        return gradients

    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, {"cache": cache, "extra": np.ones(2)}

    report = rg.check(rg.pair(f, b, inputs=SHAPES), CASE)
    said = "was float64 of shape (2,), is float32 of shape (3,)"
    assert report.findings[0].message == f"backward changes the cache in place: cache['extra'] {said}"


def test_outputs_without_entries_have_no_one_hot_cotangent():
    pair = rg.pair(lambda x: x[:0], lambda dout, x: np.zeros_like(x), inputs={"x": "n"})
    assert kinds(pair, {"x": np.ones(2)}) == []


def test_one_entry_in_single_precision_is_chance():
    pair = rg.pair(lambda x: x**2, lambda dout, x: np.float64(np.float32(2 * x * dout)), inputs={"x": ""})
    assert kinds(pair, {"x": 0.7}) == []


def test_halves_and_quarters_tell_nothing_of_single_precision():
    pair = rg.pair(lambda x: x**2, lambda dout, x: np.round(2 * x * dout) + 0.5, inputs={"x": "n"})
    assert "dtype" not in kinds(pair, {"x": np.array([0.7, 3.1])})


NO_BATCH = {
    "two axes": lambda x: x @ x.T,
    "an axis that goes": lambda x: np.squeeze(x, axis=0) if len(x) == 1 else x * 1.0,
}


@pytest.mark.parametrize("f", NO_BATCH.values(), ids=NO_BATCH)
def test_an_output_that_no_rule_makes_is_no_batch(f):
    def b(dout, x):
        return (dout + dout.T) @ x if dout.shape != x.shape else 1.0 * dout

    pair = rg.pair(f, b, inputs={"x": "N d"}, batch="N", name="f")
    report = rg.check(pair, rg.Case(N=3, d=2, seed=1))
    said = "out of a batch is neither the stack nor the sum nor the mean of that of its examples, so N is no batch"
    assert [finding.message for finding in report.findings] == [said]


def test_a_backward_that_fails_for_a_part_of_a_batch_is_told():
    def b(dout, cache):
        if len(dout) < 2:
            raise ValueError("too few")
        return backward(dout, cache)

    report = rg.check(rg.pair(forward, b, inputs=SHAPES, batch="N"), CASE)
    assert [finding.message for finding in report.findings] == [
        "backward raises ValueError: too few, for a part of the batch N = 4"
    ]


OPTIONAL = {"returns": ("out", "total", "cache"), "optional": ("total",)}


def test_optional_names_outputs_that_have_cotangents():
    pair = rg.pair(forward, backward, inputs=SHAPES, optional=("total",))
    with pytest.raises(rg.InvalidPair, match=r"optional names \['total'\]; the outputs of forward are \['out'\]"):
        rg.check(pair, CASE)


DECLARED = {
    "batch of no dim": (
        {"batch": "k"},
        "batch='k'; expected a dim that is an axis of its own, once in an input; the d",
    ),
    "batch in a sum": ({"inputs": {"x": "N+1"}, "batch": "N"}, "batch='N'; expected a dim that is an axis of its own"),
    "batch twice": ({"inputs": {"x": "N N"}, "batch": "N"}, "batch='N'; expected a dim that is an axis of its own"),
    "optional as text": ({"optional": "out"}, "optional is a tuple of distinct names, got 'out'"),
    "a kind that is none": ({"waive": {"speed": "why"}}, "waive={'speed': 'why'}; expected a dict from a kind to the"),
    "a kind that no number does without": (
        {"waive": {"shape": "why"}},
        "waive={'shape': 'why'}; expected a dict from a",
    ),
    "no reason": ({"waive": {"alias": " "}}, "waive={'alias': ' '}; expected a dict from a kind to the reason"),
    "no dict": ({"waive": ("alias",)}, "waive=('alias',); expected a dict from a kind to the reason"),
}


@pytest.mark.parametrize(("declared", "message"), DECLARED.values(), ids=DECLARED)
def test_a_declaration_that_cannot_be_meant_is_refused(declared, message):
    with pytest.raises(rg.InvalidPair) as caught:
        rg.pair(forward, backward, **({"inputs": SHAPES} | declared))
    assert str(caught.value).startswith(message)


def test_labels_turned_round_ask_nothing_of_curvature():
    def f(table, rows):
        return np.tanh(table)[rows], (table, rows)

    def b(dout, cache):
        table, rows = cache
        dtable = np.zeros_like(table)
        np.add.at(dtable, rows, dout)
        return {"dtable": dtable * (1 - np.tanh(table) ** 2)}

    pair = rg.pair(f, b, inputs={"table": "v d", "rows": "N"}, batch="N")
    rng = np.random.default_rng(0)
    arrays = {"table": rng.normal(size=(3, 2)), "rows": np.array([0, 2, 2, 1])}
    assert rg.check(pair, arrays).verdict is PASS


def test_a_wrong_number_leads_before_a_breach_and_both_are_told():
    def b(dout, cache):
        gradients = backward(dout, cache)
        dout[...] = 0
        return gradients | {"dw": 2 * gradients["dw"]}

    report = rg.check(rg.pair(forward, b, inputs=SHAPES), CASE)
    assert (report.lead, report.verdict) == ("w", FAIL)
    assert str(report).startswith("w[")
    assert "contract   backward changes its cotangent dout in place: " in str(report)


@pytest.mark.parametrize("gap", [30.0, 36.0, 38.0, 40.0])
@pytest.mark.parametrize("turn", [1, -1])
def test_what_a_saturated_softmax_always_loses_is_no_breach(gap, turn):
    def softmax(z):
        e = np.exp(z - z.max())
        return e / e.sum()

    pair = rg.pair(lambda z: (softmax(z),) * 2, lambda d, p: p * (d - (d * p).sum()), inputs={"z": "C"}, name="softmax")
    assert kinds(pair, {"z": np.array([0.0, -gap])[::turn]}, cotangents={"out": np.array([0.3, 0.7])}) == []


def test_what_the_last_bits_of_a_cotangent_explain_is_not_called_nonlinear():
    def b(dout, x):
        wave = np.sin(np.log(np.abs(dout) + (dout == 0)))
        return dout * x * (1 + 1e-8 * wave)

    assert "linear" not in kinds(rg.pair(lambda x: x**2 / 2, b, inputs={"x": "n"}), {"x": np.array([0.7, 1.1])})


def test_a_clipped_gradient_is_not_linear_though_it_cannot_be_tried_any_more():
    calls = []

    def b(dout, cache):
        calls.append(1)
        if len(calls) > 10:
            raise ValueError("enough")
        return {name: np.clip(value, -1e3, 1e3) for name, value in backward(dout, cache).items()}

    assert "linear" in kinds(rg.pair(forward, b, inputs=SHAPES))


def here_only(function, test):
    """Return a function that raises unless its inputs pass a test."""

    def call(*arguments):
        if not test(*arguments):
            raise ValueError("elsewhere")
        return function(*arguments)

    return call


def test_a_backward_that_works_at_its_very_inputs_only_is_not_accused():
    b = here_only(lambda dout, x: 2 * x * dout, lambda _, x: x[0] == 1.5)
    assert kinds(rg.pair(lambda x: x**2, b, inputs={"x": "n"}), {"x": np.array([1.5, 2.0])}) == []


def remembering(reach):
    """Return a pair whose backward goes on with its first input, and raises closer to it than some reach."""
    first = []

    def b(dout, x):
        first.append(x.copy())
        apart = np.abs(x - first[0]).max()
        if 0 < apart < reach:
            raise ValueError("too close")
        return 3 * first[0] ** 2 * dout

    return rg.pair(lambda x: x**3, b, inputs={"x": "n"}, name="remembering")


@pytest.mark.parametrize(("reach", "found"), [(0, ["remembered"]), (1e-3, [])])
def test_what_cannot_be_followed_closer_by_is_not_said_to_be_remembered(reach, found):
    assert kinds(remembering(reach), {"x": np.array([0.7, 1.1])}) == found


def test_curvature_that_is_gone_at_half_the_step_is_a_kink():
    x = np.array([1.0])
    knot = x + 0.7 * (rg_close_by(x) - x)

    def f(x):
        return np.where((x - knot) * (knot - 1) > 0, 2 * x - knot, x)

    def df(x):
        return np.where((x - knot) * (knot - 1) > 0, 2.0, 1.0)

    assert kinds(rg.pair(f, lambda dout, x: dout * df(x), inputs={"x": "n"}), {"x": x}) == []


def rg_close_by(x):
    """Return where the contract goes from an input."""
    stir = import_module("rnngrad.check.protocol.stir")
    return stir.stirred({"x": x}, import_module("rnngrad.check.protocol.nearby").STEP)["x"]


def test_an_optional_cotangent_is_asked_only_where_zeros_work():
    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, out.sum(), cache

    calls = []

    def b(dout, dtotal, cache):
        calls.append(1)
        if len(calls) == 10:  # the one that is given zeros: see the plan in rows.py
            raise ValueError("zeros")
        return backward(dout + (0 if dtotal is None else dtotal), cache)

    assert kinds(rg.pair(f, b, inputs=SHAPES, **OPTIONAL)) == []
    assert len(calls) == 10


def test_what_none_changes_below_all_rounding_is_no_breach():
    def f(x, y):
        return x + 1e-20 * y, (x * x).sum(), x

    def b(dout, dtotal, x):
        total = 0.0 if dtotal is None else dtotal
        return dout + 2 * total * x, dout * (2e-20 if dtotal is None else 1e-20)

    pair = rg.pair(f, b, inputs={"x": "n", "y": "n"}, **OPTIONAL)
    assert kinds(pair, {"x": np.array([0.7, 1.1]), "y": np.ones(2)}) == []


@pytest.mark.parametrize("bend", 2.0 ** np.arange(-9.0, 0.0))
def test_a_curvature_that_sinks_into_the_noise_is_given_up(bend):
    first = []

    def b(dout, x):
        first.append(x.copy())
        return dout * (1 + bend * first[0])

    found = kinds(rg.pair(lambda x: x + bend * x**2 / 2, b, inputs={"x": ""}), {"x": 1.0}, cotangents={"out": 1.0})
    assert found == (["remembered"] if bend > 0.3 else [])


def test_strides_that_forward_cannot_take_are_named_beside_scalars():
    def f(x, a):
        return x.view(np.uint8).view(x.dtype) * a, (x, a)

    pair = rg.pair(f, lambda dout, cache: (dout * cache[1], (dout * cache[0]).sum()), inputs={"x": "n", "a": ""})
    report = rg.check(pair, {"x": np.array([0.7, 1.1]), "a": 1.5})
    assert [finding.kind for finding in report.breaches] == ["layout"]
    assert report.findings[0].message.endswith(", for strided arrays")


def test_whole_numbers_tell_nothing_of_single_precision():
    pair = rg.pair(lambda x: x**2, lambda dout, x: 3 * x * dout, inputs={"x": "n"})
    report = rg.check(pair, {"x": np.array([1.0, 2.0])}, cotangents={"out": np.ones(2)})
    assert (report["x"].wrong, report.breaches) == (2, ())


def as_it_lies(table, rows, scale):
    """Return rows of a table that is read as it lies in memory."""
    flat = np.ravel(table, order="K").reshape(table.shape)
    return flat[rows] * scale, (table, rows, scale, flat)


def from_as_it_lies(dout, cache):
    _, rows, scale, flat = cache
    dtable = np.zeros_like(flat, order="C")
    np.add.at(dtable, rows, dout * scale)
    return {"dtable": dtable, "dscale": (dout * flat[rows]).sum()}


@pytest.mark.parametrize("tired", [False, True])
def test_a_layout_is_named_beside_labels_and_scalars(tired):
    calls = []

    def b(dout, cache):
        calls.append(1)
        if tired and len(calls) > 14:
            raise ValueError("enough")
        return from_as_it_lies(dout, cache)

    pair = rg.pair(as_it_lies, b, inputs={"table": "v d", "rows": "N", "scale": ""})
    rng = np.random.default_rng(0)
    report = rg.check(pair, {"table": rng.normal(size=(3, 2)), "rows": np.array([0, 2, 1]), "scale": 1.5})
    assert report.verdict is FAIL
    assert {finding.kind for finding in report.breaches} == {"layout"}
    assert "for Fortran-ordered arrays backward gives" in str(report)


def test_a_batch_that_only_a_tie_spoils_is_one():
    def f(x):
        if len(x) > 1 and x[0, 0] == 0.5:
            return x + 1.0, x
        return 1.0 * x, x

    pair = rg.pair(f, lambda dout, x: 1.0 * dout, inputs={"x": "N d"}, batch="N")
    assert "batch" not in kinds(pair, {"x": np.array([[0.5, 1.0], [2.0, 3.0]])})


def test_a_batch_that_cannot_be_tried_close_by_is_not_accused():
    f = here_only(lambda x: (x + (len(x) > 1), x), lambda x: x[0, 0] in (0.5, 2.0))
    pair = rg.pair(f, lambda dout, x: 1.0 * dout, inputs={"x": "N d"}, batch="N")
    assert "batch" not in kinds(pair, {"x": np.array([[0.5, 1.0], [2.0, 3.0]])})


def test_a_forward_that_tires_is_told_as_far_as_it_goes():
    for limit in range(1, 6):
        calls = []
        f = here_only(forward, lambda *_, calls=calls, limit=limit: calls.append(1) or len(calls) <= limit)
        report = rg.check(rg.pair(f, backward, inputs=SHAPES), CASE)
        assert {finding.kind for finding in report.breaches} <= {"random", "layout"}


def test_a_breach_survives_a_trip_between_processes_with_its_class():
    with pytest.raises(rg.ContractBreach) as caught:
        rg.assert_gradients(rg.pair(forward, lambda d, c: {**backward(d, c), "db": None}, inputs=SHAPES), CASE)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.kind, again.gradient) == (type(caught.value), "none", "b")
    assert (str(again), again.report) == (str(caught.value), caught.value.report)
    assert issubclass(rg.ContractBreach, rg.GradientMismatch)


def growing(when):
    """Return a right pair whose output is one entry longer at the calls of forward for which a function says so."""
    calls = []

    def forward(x):
        calls.append(1)
        return np.append(x**2, [0.0] * when(len(calls), x)), x

    return rg.pair(forward, lambda dout, x: 2 * x * dout[: len(x)], inputs={"x": "n"}, name="growing")


def test_an_output_that_changes_its_shape_from_call_to_call_is_not_deterministic():
    report = rg.check(growing(lambda call, x: call), rg.Case(n=2, seed=1))
    said = "called again at the same point, forward returns shape (4,) for out, at the first call (3,)"
    assert [finding.message for finding in report.breaches] == [f"forward is not deterministic: {said}"]


@pytest.mark.parametrize("call", range(2, 16))
def test_an_output_that_changes_its_shape_once_is_no_crash(call):
    report = rg.check(growing(lambda now, x: int(now == call)), rg.Case(n=2, seed=1))
    assert report["x"].verdict is not FAIL


def test_an_output_whose_shape_follows_the_values_is_inconclusive_and_told():
    x = np.array([0.5, 0.25])
    report = rg.check(growing(lambda _, now: int((np.real(now) != x).any())), {"x": x})
    assert (report.verdict, report.breaches) == (OPEN, ())
    assert "out changes its shape from (2,) to (3,)" in " ".join(str(report).split())


@pytest.mark.parametrize("x", [[1.0, -1.0, -2.0], [-1.0, 1.0, -2.0], [1.0, 2.0, -2.0], [-1.0, -2.0, -3.0]])
def test_examples_of_a_batch_may_give_outputs_of_different_shapes(x):
    def backward(dout, x):
        dx = np.zeros_like(x)
        dx[x > 0] = 2 * x[x > 0] * dout
        return dx

    positive = rg.pair(lambda x: (x[np.real(x) > 0] ** 2, x), backward, inputs={"x": "N"}, batch="N")
    assert rg.check(positive, {"x": np.array(x)}).verdict is PASS


ROWS = {
    "joined with time": (lambda x: (x**2).reshape(-1, x.shape[-1]), lambda dout, x: dout.reshape(x.shape)),
    "twice": (lambda x: np.repeat(x**2, 2, axis=0), lambda dout, x: dout[::2] + dout[1::2]),
}


@pytest.mark.parametrize(("f", "rows"), ROWS.values(), ids=ROWS)
def test_each_example_of_a_batch_may_have_several_rows_of_an_output(f, rows):
    pair = rg.pair(f, lambda dout, x: 2 * x * rows(dout, x), inputs={"x": "N T d"}, batch="N")
    assert rg.check(pair, rg.Case(N=3, T=2, d=2, seed=1)).verdict is PASS


def test_gradients_for_a_sum_that_leave_one_of_its_parts_out_do_not_add():
    one, other = {"x": np.array([1.0, 2.0])}, {"x": np.array([3.0, 0.0])}
    whole = {"x": (one["x"] + other["x"]) * TINY}
    assert not [*not_additive(one, other, whole, {"x": 2.0})]
    assert [excess.name for excess in not_additive(one, other, {"x": one["x"] * TINY}, {"x": 2.0})] == ["x"]


@pytest.mark.parametrize("length", [3, 1 << 18])  # in one piece, and in several
def test_the_largest_of_what_is_not_a_number_is_infinite(length):
    array = np.ones(length)
    assert largest(np.asarray, array) == 1
    array[0] = np.nan
    assert largest(np.asarray, array) == np.inf
