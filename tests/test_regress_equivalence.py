"""Old against new: what is accepted as rounding, what is found, and which of the two is told to be right."""

import pickle

import numpy as np
import pytest
from hypothesis import settings

import rnngrad as rg
from rnngrad.check.tally import collecting
from rnngrad.regress.equivalence import equivalence

INPUTS = {"x": "N d", "w": "d m", "b": "m"}
CASE = rg.Case(N=5, d=3, m=4, seed=7)
PASS, OPEN, FAIL = rg.Verdict.PASS, rg.Verdict.INCONCLUSIVE, rg.Verdict.FAIL


def forward(x, w, b):
    return x @ w + b, (x, w)


def backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


def reordered(dout, cache):
    x, w = cache
    dw = sum(np.outer(one, other) for one, other in zip(x[::-1], dout[::-1], strict=True))
    return (w @ dout.T).T, dw, np.ones_like(dout[:, 0]) @ dout


def spoiled(change, name="new"):
    """Return the affine pair with its gradients changed by a function of all three."""
    return rg.pair(forward, lambda dout, cache: change(*backward(dout, cache)), inputs=INPUTS, name=name)


def scaled(dx, dw, db):
    dw = dw.copy()
    dw[0, 0] *= 1 + 1e-10
    return dx, dw, db


old = rg.pair(forward, backward, inputs=INPUTS, name="old")
new = rg.pair(forward, reordered, inputs=INPUTS, name="new")
averaged = spoiled(lambda dx, dw, db: (dx, dw, db / len(dx)), "averaged")
close = spoiled(scaled, "close")


def test_a_reordered_backward_pass_is_accepted_and_shown_in_ulp():
    found = equivalence(old, new, CASE)
    assert found.verdict is PASS
    assert str(found).startswith("old against new: the same within rounding")
    assert 0 < found["w"].ulps < 8
    assert found["output out"].ulps == 0
    rg.assert_equivalent(old, new, CASE)


def test_one_entry_changed_by_1e_10_is_found_with_its_place_and_the_side_that_is_right():
    found = equivalence(old, close, CASE)
    assert found.verdict is FAIL
    assert (found["w"].index, found["w"].side) == ((0, 0), "new is wrong")
    assert 1e4 < found["w"].ulps < 1e6
    assert found["w"].allowed < 1e4
    assert found["x"].verdict is found["b"].verdict is PASS


def test_a_difference_is_told_within_a_terminal_and_what_rounding_allows_where_there_is_room():
    lines = str(equivalence(old, close, CASE)).splitlines()
    assert lines[0].endswith("; new is wrong")
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith("    ")] == ["old", "numeric"]
    assert " ulp apart; old was wrong" in str(equivalence(averaged, old, CASE)).splitlines()[0]


def test_an_old_gradient_that_was_wrong_is_told_so():
    assert equivalence(averaged, old, CASE)["b"].side == "old was wrong all along"


def test_two_wrong_gradients_are_told_so():
    thirds = spoiled(lambda dx, dw, db: (dx, dw, db / 3))
    assert equivalence(averaged, thirds, CASE)["b"].side == "both are wrong"


def test_a_bitwise_claim_is_bitwise():
    assert equivalence(old, old, CASE, bitwise=True).verdict is PASS
    found = equivalence(old, new, CASE, bitwise=True)
    assert found["w"].verdict is FAIL
    assert found["w"].side == "both are within their bars"
    negative = spoiled(lambda dx, dw, db: (dx, dw, np.where(db == 0, -0.0, db)))
    zeros = rg.Case(N=1, d=1, m=2, seed=3), {"x": np.ones((1, 1)), "w": np.ones((1, 2)), "b": np.ones(2)}
    found = equivalence(old, negative, zeros[1], bitwise=True)
    assert found["b"].verdict is FAIL or not (backward(np.zeros((1, 2)), (zeros[1]["x"], zeros[1]["w"]))[2] == 0).any()


def test_signed_zeros_differ_in_bits_only():
    minus = rg.pair(lambda x: (x, x), lambda d, _: np.where(d == 0, -0.0, d), inputs={"x": "n"}, name="minus")
    plus = rg.pair(lambda x: (x, x), lambda d, _: np.where(d == 0, 0.0, d), inputs={"x": "n"}, name="plus")
    case = rg.Case(n=3, seed=1)
    assert equivalence(plus, minus, case).verdict is PASS
    found = equivalence(plus, minus, case, bitwise=True)
    assert (found["x"].verdict, found["x"].ulps) == (FAIL, 0.0)


def test_other_names_conventions_and_caches_are_mapped():
    def other_forward(weights, data, bias):
        return {"y": data["x"] @ weights + bias}, {"kept": (data["x"], weights)}

    def other_backward(cotangents, cache):
        dx, dw, db = backward(cotangents["y"], cache["kept"])
        return {"weights": dw, "bias": db, "x": dx}

    other = rg.Pair(
        lambda given: other_forward(given["weights"], {"x": given["x"]}, given["bias"]),
        other_backward,
        inputs={"weights": "d m", "x": "N d", "bias": "m"},
        name="other",
        wrt=("weights", "x", "bias"),
    )
    names = {"w": "weights", "b": "bias"}
    assert equivalence(old, other, CASE, names=names).verdict is PASS
    assert equivalence(old, other, CASE, names=names, outputs={"out": "y"}).verdict is PASS
    with pytest.raises(rg.InvalidPair, match="map old names to new ones with names="):
        equivalence(old, other, CASE)
    with pytest.raises(rg.InvalidPair, match="map old names to new ones with outputs="):
        equivalence(old, other, CASE, names=names, outputs={"out": "z"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ["w"]}, "names=.*expected a dict"),
        ({"names": {"nothing": "w"}}, "distinct new names for some of"),
        ({"names": {"w": "b", "x": "b"}}, "distinct new names"),
        ({"outputs": {"nothing": "y"}}, "outputs=.*distinct new names"),
    ],
)
def test_names_that_do_not_fit_are_refused(options, words):
    with pytest.raises(rg.InvalidPair, match=words):
        equivalence(old, new, CASE, **options)


@pytest.mark.parametrize("pairs", [(old, backward), (None, new)])
def test_two_pairs_are_asked_for(pairs):
    with pytest.raises(rg.InvalidPair, match="two pairs"):
        equivalence(*pairs, CASE)
    with pytest.raises(rg.InvalidPair, match="two pairs"):
        rg.equivalence_test(*pairs)


def test_shapes_of_the_new_pair_that_do_not_take_the_inputs_are_refused():
    turned = rg.pair(forward, backward, inputs={"x": "N d", "w": "m d", "b": "m"})
    with pytest.raises(rg.InvalidPair, match="dim 'd' is"):
        equivalence(old, turned, CASE)


UNLIKE = {
    "dtype": (lambda dx, dw, db: (dx, dw.astype(np.float32), db), "w", "old is float64, new float32"),
    "shape": (lambda dx, dw, db: (dx, dw, db[None]), "b", r"old has shape (4,), new (1, 4)"),
    "none": (lambda dx, dw, db: (dx, None, db), "w", "old returns an array, new returns None"),
    "nan": (lambda dx, dw, db: (dx * np.where(dx == dx.max(), np.nan, 1), dw, db), "x", "new nan"),
}


@pytest.mark.parametrize("kind", UNLIKE)
def test_what_differs_beside_the_numbers_is_said_in_words(kind):
    change, name, words = UNLIKE[kind]
    found = equivalence(old, spoiled(change), CASE)
    assert found[name].verdict is FAIL
    assert words in found[name].words
    assert words in str(found)


def test_nan_in_the_same_places_is_no_difference():
    def broken(dx, dw, db):
        return dx, dw * np.where(dw == dw.max(), np.inf, 1), db * np.nan

    found = equivalence(spoiled(broken, "old"), spoiled(broken), CASE)
    assert found.verdict is PASS


def test_a_gradient_that_only_one_side_returns_is_a_difference_unless_it_is_zero():
    def of(gradients):
        return rg.Pair(
            lambda given: ({"y": given["x"] * given["w"]}, given),
            lambda d, c: gradients({"x": d["y"] * c["w"], "w": d["y"] * c["x"]}),
            inputs={"x": "n", "w": "n"},
        )

    both, one = of(lambda g: g), of(lambda g: {"x": g["x"]})
    zero = of(lambda g: {"x": g["x"], "w": 0 * g["w"]})
    case = rg.Case(n=2, seed=1)
    assert equivalence(both, one, case)["w"].words == "new returns no gradient, old does"
    assert equivalence(one, both, case)["w"].words == "old returns no gradient, new one that is not 0"
    assert equivalence(one, zero, case).verdict is PASS


def test_memory_layout_is_a_remark_and_part_of_a_bitwise_claim():
    fortran = spoiled(lambda dx, dw, db: (dx, np.asfortranarray(dw), db))
    strided = spoiled(lambda dx, dw, db: (dx, np.repeat(dw, 2, axis=0)[::2], db))
    found = equivalence(old, fortran, CASE)
    assert found.verdict is PASS
    assert found.notes == ("w lies otherwise in memory: old C, new Fortran",)
    assert "w lies otherwise in memory: old C, new strided" in equivalence(old, strided, CASE).notes
    found = equivalence(old, fortran, CASE, bitwise=True)
    assert (found.verdict, found.findings[0].kind) == (FAIL, "layout")
    with pytest.raises(rg.NotEquivalent, match="w lies otherwise"):
        rg.assert_equivalent(old, fortran, CASE, bitwise=True)


def raising(error, role="backward", at=5):
    """Return the affine pair, raising where N is a number."""

    def maybe(inner, this):
        def call(*arguments):
            if role == this and (arguments[0]).shape[0] == at:
                raise error
            return inner(*arguments)

        return call

    return rg.pair(maybe(forward, "forward"), maybe(backward, "backward"), inputs=INPUTS, name="raising")


@pytest.mark.parametrize("role", ["forward", "backward"])
def test_exceptions_are_held_against_each_other(role):
    value, kind = raising(ValueError("odd"), role), raising(KeyError("odd"), role)
    found = equivalence(old, value, CASE)
    assert found.verdict is FAIL
    assert str(found).startswith(f"old does not raise, new {role} raises ValueError: odd")
    assert equivalence(value, old, CASE).verdict is FAIL
    assert equivalence(value, kind, CASE).verdict is FAIL
    found = equivalence(value, value, CASE)
    assert found.verdict is OPEN
    assert found.notes == (f"both raise: {role} raises ValueError: odd",)
    assert equivalence(old, value, rg.Case(N=2, d=1, m=1, seed=3)).verdict is PASS


def test_only_breaches_that_are_new_are_worse_than_before():
    def overwriting(dout, cache):
        gradients = backward(dout, cache)
        dout *= 2
        return gradients

    writes = rg.pair(forward, overwriting, inputs=INPUTS, name="writes")
    found = equivalence(old, writes, CASE)
    assert found.verdict is FAIL
    assert [one.kind for one in found.findings] == ["cotangent"]
    assert str(found).startswith("contract worse than before: backward changes its cotangent")
    assert equivalence(writes, old, CASE).verdict is equivalence(writes, writes, CASE).verdict is PASS
    assert equivalence(old, writes, CASE, contract=False).verdict is PASS


def test_an_other_forward_pass_leads_the_report_and_each_gradient_is_held_to_its_own():
    doubled = rg.pair(lambda x: (2 * x, x), lambda d, _: 2 * d, inputs={"x": "n"}, name="doubled")
    single = rg.pair(lambda x: (x, x), lambda d, _: d, inputs={"x": "n"}, name="single")
    found = equivalence(single, doubled, rg.Case(n=3, seed=1))
    assert str(found).startswith("output out[")
    assert found["x"].side == "both are within their bars"


def test_in_saturation_the_rounding_of_two_formulas_is_no_difference_and_another_formula_is():
    def cell(slope):
        return rg.pair(
            lambda x, w: (np.tanh(w * x), (x, w, np.tanh(w * x))),
            lambda d, c: (slope(c[2]) * d * c[1], slope(c[2]) * d * c[0]),
            inputs={"x": "n", "w": "n"},
        )

    def forced(slope):  # in double precision whatever comes in
        return lambda s: slope(np.asarray(s, np.float64))

    def square(s):
        return 1 - s * s

    def product(s):
        return (1 - s) * (1 + s)

    for seed in range(1, 20):
        case = rg.Case(n=6, scale=3.0, seed=seed)
        assert equivalence(cell(square), cell(product), case, contract=False).verdict is PASS
        assert equivalence(cell(forced(square)), cell(forced(product)), case, contract=False).verdict is PASS
        wrong = equivalence(cell(square), cell(lambda s: (1 - s * s) * (1 + 1e-9)), case, contract=False)
        assert wrong.verdict is FAIL


def test_passes_that_compute_in_single_precision_are_held_to_that():
    def single(inner):
        def call(dout, cache):
            x, w = (array.astype(np.float32) for array in cache)
            return tuple(g.astype(np.float64) for g in inner(dout.astype(np.float32), (x, w)))

        return rg.pair(forward, call, inputs=INPUTS)

    assert equivalence(single(backward), single(reordered), CASE, contract=False).verdict is PASS
    assert equivalence(old, single(backward), CASE, contract=False).verdict is FAIL


def test_given_arrays_are_compared_in_their_own_dtype():
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(4, 3)), "w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    narrow = {name: array.astype(np.float32) for name, array in arrays.items()}
    for given in (arrays, narrow):
        assert equivalence(old, new, given).verdict is PASS
        assert equivalence(old, averaged, given).verdict is FAIL
    bare = rg.Pair(old.forward, old.backward, name="bare")
    assert equivalence(bare, new, arrays).verdict is PASS


def test_complex_gradients_are_compared_and_told_apart():
    def matvec(change):
        return rg.pair(
            lambda A, z: (A @ z, (A, z)),
            lambda d, c: (np.outer(d, c[1].conj()), change(c[0].conj().T @ d)),
            inputs={"A": "m n", "z": "n"},
        )

    rng = np.random.default_rng(0)
    given = {"A": rng.normal(size=(3, 2)) + 1j * rng.normal(size=(3, 2)), "z": rng.normal(size=2) + 1j}
    right = matvec(lambda g: g)
    assert equivalence(right, matvec(lambda g: g + 0), given).verdict is PASS
    found = equivalence(right, matvec(lambda g: g + 1e-6j), given)
    assert (found["z"].verdict, found["z"].side) == (FAIL, "new is wrong")


def test_outputs_without_cotangents_are_refused():
    whole = rg.Pair(lambda given: ({"y": given["x"].astype(int)}, None), lambda d, c: {}, inputs={"x": "n"})
    with pytest.raises(rg.InvalidPair, match=r"no cotangent: \['y \(int64\)'\]"):
        equivalence(whole, whole, rg.Case(n=2))


def test_at_a_kink_nobody_is_told_to_be_right():
    def relu(at_zero):
        return rg.pair(
            lambda x: (np.maximum(x, 0), x), lambda d, x: d * np.where(x == 0, at_zero, x > 0), inputs={"x": "n"}
        )

    found = equivalence(relu(0.0), relu(1.0), {"x": np.array([0.0, 1.0])})
    assert (found["x"].verdict, found["x"].side) == (FAIL, "the numerical derivative cannot tell which is right")


def test_a_made_test_passes_finds_shrinks_and_names():
    chosen = settings(max_examples=30, derandomize=True, database=None, deadline=None)
    rg.equivalence_test(old, new, settings=chosen)()
    test = rg.equivalence_test(old, averaged, settings=chosen)
    assert test.__name__ == "test_old_against_averaged"
    with pytest.raises(rg.NotEquivalent) as caught:
        test()
    assert caught.value.gradient == "b"
    assert "Case(N=2, d=1, m=1, seed=0)" in str(caught.value)
    assert "new is wrong" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.gradient, again.report["b"].side) == (str(caught.value), "b", "new is wrong")
    with pytest.raises((rg.NotEquivalent, ExceptionGroup)) as caught:  # bits and layout, where both are met
        rg.equivalence_test(old, new, bitwise=True, settings=chosen)()
    found = getattr(caught.value, "exceptions", [caught.value])
    assert all(isinstance(one, rg.NotEquivalent) for one in found)
    rg.equivalence_test(old, new, dims={"N": 1}, settings=chosen)()


def test_what_both_sides_refuse_alike_counts_as_undecided():
    def refuse(*_):
        raise ValueError("never")

    never = rg.pair(refuse, backward, inputs=INPUTS, name="never")
    with collecting() as tallies:
        rg.assert_equivalent(never, never, CASE)
        rg.assert_equivalent(old, new, CASE)
    (first, second) = tallies.values()
    assert first["gradients"]["w"]["inconclusive"] == 1
    assert "both raise" in first["gradients"]["w"]["why"]
    assert second["gradients"]["w"]["pass"] == 1


def test_a_tensor_that_was_not_compared_is_not_found():
    with pytest.raises(KeyError, match="no 'nothing' was compared"):
        equivalence(old, new, CASE)["nothing"]


def test_what_is_no_array_on_both_sides_alike_is_no_difference():
    nothing = spoiled(lambda dx, _, db: (dx, None, db))
    assert equivalence(nothing, nothing, CASE).verdict is PASS


def test_where_forward_is_not_finite_differences_are_found_and_nobody_is_told_to_be_right():
    def infinite(factor):
        return rg.pair(
            lambda x: (np.where(x == x.max(), np.inf, x), x),
            lambda d, _: factor * d,
            inputs={"x": "n"},
            name="infinite",
        )

    found = equivalence(infinite(1.0), infinite(1.0 + 1e-9), rg.Case(n=3, seed=1))
    assert (found["x"].verdict, found["x"].side) == (FAIL, "the numerical derivative cannot tell which is right")


def test_a_pair_that_takes_double_precision_only_or_changes_its_shape_around_is_compared_all_the_same():
    fixed = np.array([1.0, -2.0, 3.0])

    def picky(factor):
        def forward(given):
            if given["x"].dtype != np.float64:
                raise rg.InvalidPair("double precision only")
            return {"y": given["x"] if np.array_equal(given["x"], fixed) else given["x"][:1]}, None

        return rg.Pair(forward, lambda d, _: {"x": np.ones(3) * factor}, inputs={"x": "n"}, name="picky")

    assert equivalence(picky(1.0), picky(1.0), {"x": fixed}, contract=False).verdict is PASS
    assert equivalence(picky(1.0), picky(1.0 + 1e-9), {"x": fixed}, contract=False).verdict is FAIL
