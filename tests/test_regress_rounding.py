"""What forward's noise excuses in a refactor: rounding inside, wherever it happens, and no change that stays."""

import runpy
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.regress.equivalence import equivalence
from rnngrad.regress.handed import handed
from rnngrad.regress.rounding import beyond_rounding

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PASS, FAIL = rg.Verdict.PASS, rg.Verdict.FAIL


def same(array):
    return array


def double(array):
    return np.asarray(array, np.float64)


def single(array):
    return np.asarray(array, np.float32)


def square(s):
    return 1 - s * s


def product(s):
    return (1 - s) * (1 + s)


# ---- a gradient that is small beside the output: the noise of forward hides much of it ---------------------------


def offset(factor=1.0, given=same, keep=same, take=same):
    """Return x w + c with c large; one entry of dw is off by a factor."""

    def forward(x, w, c):
        x, w = given(x), given(w)
        return x * w + c, keep((x, w))

    def backward(d, cache):
        x, w = take(cache)
        dw = d * x
        dw[0] *= factor
        return d * w, dw, d

    return rg.pair(forward, backward, inputs={"x": "n", "w": "n", "c": "n"}, name="offset")


def large(seed):
    rng = np.random.default_rng(seed)
    return {"x": rng.uniform(0.01, 0.02, 4), "w": rng.uniform(1, 2, 4), "c": rng.uniform(1e3, 2e3, 4)}


@pytest.mark.parametrize("factor", [1 + 1e-10, 1 - 1e-10])
@pytest.mark.parametrize("seed", range(4))
def test_a_change_less_than_forwards_noise_is_found_where_extended_precision_shows_it_too(factor, seed):
    found = equivalence(offset(), offset(factor), large(seed), contract=False)
    assert (found.verdict, found["w"].index) == (FAIL, (0,))
    assert found["w"].allowed < found["w"].ulps / 16
    assert equivalence(offset(factor), offset(), large(seed), contract=False).verdict is FAIL


class Box:
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize("given", [double, single])
def test_it_is_noise_where_forward_rounds_inside(given):
    assert equivalence(offset(given=given), offset(1 + 1e-10, given=given), large(0), contract=False).verdict is PASS


def test_it_is_noise_where_nobody_sees_what_forward_hands_to_backward():
    hidden = {"keep": Box, "take": lambda box: box.held}
    assert equivalence(offset(**hidden), offset(1 + 1e-10, **hidden), large(0), contract=False).verdict is PASS


def exact(array):
    """Refuse numbers that are not those of double precision."""
    if (array != np.asarray(array, np.float64)).any():
        raise ValueError("no double")
    return array


def test_it_is_noise_where_changes_below_double_precision_are_refused():
    assert equivalence(offset(given=exact), offset(1 + 1e-10, given=exact), large(0), contract=False).verdict is PASS


def test_whole_numbers_among_the_inputs_stay_as_they_are():
    def picking(factor):
        inner = offset(factor)

        def forward(inputs):
            given = {name: inputs[name] for name in "xwc"} | {"w": inputs["w"][inputs["order"]]}
            outputs, cache = inner.forward(given)
            return outputs, (cache, inputs["order"])

        def backward(cotangents, cache):
            found = dict(inner.backward(cotangents, cache[0]))
            found["w"] = found["w"][np.argsort(cache[1])]
            return found

        return rg.Pair(forward, backward, name="picking")

    given = large(0) | {"order": np.array([2, 0, 3, 1])}
    found = equivalence(picking(1.0), picking(1 + 1e-10), given, contract=False)
    assert (found.verdict, found["w"].index) == (FAIL, (2,))


# ---- saturated units, whose slopes are all cancellation ----------------------------------------------------------


def cell(slope, *, forward_cast=same, cast=same, again=False, shift=0.0, hidden=None):
    """Return tanh(x w + b), with casts inside; backward computes the activation ``again``, or takes it from forward."""

    def forward(x, w, b):
        z = x * w + b + shift
        s = forward_cast(np.tanh(z))
        cache = (x, w, z if again else s)
        out = s.astype(z.dtype)
        if hidden is None:
            return out, cache
        hidden[:] = [cache]
        return out, None

    def backward(d, cache):
        x, w, kept = cache if hidden is None else hidden[0]
        da = slope(cast(np.tanh(kept) if again else kept)) * d
        return da * w, da * x, da

    return rg.pair(forward, backward, inputs={"x": "n", "w": "n", "b": "n"}, name="cell")


INSIDE = {
    "nowhere": {},
    "in forward": {"forward_cast": double},
    "in forward, to single": {"forward_cast": single},
    "in backward": {"cast": double},
    "in backward, which computes it again": {"cast": double, "again": True},
    "in both": {"forward_cast": single, "cast": double},
    "in backward, far from 0": {"cast": double, "shift": 10.0},
}


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("scale", [0.03125, 0.125, 1.0, 2.0, 4.0])
def test_rounding_inside_is_no_difference_of_two_formulas(inside, scale):
    refused = [
        seed
        for seed in range(25)
        if equivalence(
            cell(square, **INSIDE[inside]),
            cell(product, **INSIDE[inside]),
            rg.Case(n=3, scale=scale, seed=seed),
            contract=False,
        ).verdict
        is not PASS
    ]
    assert refused == []


def test_nor_is_it_where_the_cache_is_held_elsewhere():
    for seed in range(40):
        sides = (cell(slope, cast=double, shift=8.0, hidden=[]) for slope in (square, product))
        assert equivalence(*sides, rg.Case(n=3, scale=0.25, seed=seed), contract=False).verdict is PASS


# ---- what forward hands to backward ------------------------------------------------------------------------------

Named = namedtuple("Named", "first second")


def test_all_floating_point_arrays_of_a_cache_are_changed_at_once_and_nothing_else():
    ones = np.ones(2)
    cache = {"a": [ones, (np.float32(1), 3)], 5: Named(1j * ones, "word"), "b": (None, 1.5, True, np.arange(2))}
    seen = []

    def doubled(arrays):
        seen.append(arrays)
        return {name: 2 * array for name, array in arrays.items()}

    changed = handed(cache, doubled)
    assert [len(arrays) for arrays in seen] == [3]
    assert (ones == 1).all()
    assert isinstance(changed[5], Named)
    np.testing.assert_array_equal(changed["a"][0], [2, 2])
    np.testing.assert_array_equal(changed[5].first, [2j, 2j])
    assert (changed["a"][1], changed[5].second, changed["b"][:3]) == ((2, 3), "word", (None, 1.5, True))
    np.testing.assert_array_equal(changed["b"][3], [0, 1])


@pytest.mark.parametrize("cache", [None, (), (1.5, np.arange(3)), (np.ones(2), Box(1)), np.array([None])])
def test_a_cache_that_cannot_be_seen_is_refused(cache):
    with pytest.raises(TypeError, match="forward hands"):
        handed(cache, dict)


# ---- a cache rounded to double, in pairs that have more than one product to round ---------------------------------


def test_what_a_rounding_error_in_the_cache_does_to_saturated_units_is_allowed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    benchmark = runpy.run_path(str(BENCHMARKS / "regress.py"))
    case = rg.Case(T=3, m=2, N=2, n=6, fills={"xs": "zeros", "R": "one-hot"}, scale=8.0, seed=1134431492)
    assert equivalence(*map(benchmark["rounded_cache"], benchmark["PAIRS"]["lstm"]), case).verdict is PASS


# ---- when the noise of forward is no excuse, asked of two sides whose numbers are given ---------------------------

NOISE = 1.0
TINY = 1e-16
Double = namedtuple("Double", "tensors extended moved_by_cache point lost noise")


def two(double, extended, *, noisy=False, by_cache=0.0):
    """Return two sides whose gradients of x differ by so much, in double and in extended precision."""
    point = None if noisy else namedtuple("Point", "relative_noise")(1.0)

    def side(off, wide):
        return Double(
            {"x": np.array([off])},
            {"x": np.array([wide])},
            {"x": np.array([by_cache])},
            point,
            lambda _: 0.0,
            lambda _, hidden: np.array([NOISE]),
        )

    return [side(0.0, 0.0), side(double, extended)]


@pytest.mark.parametrize(
    ("sides", "excused"),
    [
        pytest.param(two(1e-3, 1e-3), False, id="the same in both precisions"),
        pytest.param(two(1e-3, 5e-4), True, id="half of it gone in extended precision"),
        pytest.param(two(1e-3, 2e-3), True, id="twice as large in extended precision"),
        pytest.param(two(1e-3, 1e-3, by_cache=1e-5), True, id="hardly more than what the cache carries"),
        pytest.param(two(1e-3, 1e-3, by_cache=1e-7), False, id="far more than that"),
        pytest.param(two(1e-3, 1e-3, noisy=True), True, id="where nothing is known of the noise"),
    ],
)
def test_noise_is_no_excuse_for_what_persists_in_extended_precision(monkeypatch, sides, excused):
    monkeypatch.setattr("rnngrad.regress.rounding.follows", lambda side, name: np.array([True]))
    distance = np.abs(sides[1].tensors["x"])
    allowed = beyond_rounding(sides, "x", distance, np.zeros(1), TINY)
    assert (distance <= allowed).all() == excused
