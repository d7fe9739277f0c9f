"""Cases: written as a line, read back, and drawn to the same arrays wherever they are run."""

import keyword
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnngrad as rg
from rnngrad.case import FILLS, draw_cotangents, draw_inputs, parse_case
from rnngrad.spec import parse

SIZES = st.integers(0, 10**6)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,5}", fullmatch=True).filter(
    lambda name: not keyword.iskeyword(name) and name not in ("fills", "scale", "seed")
)
CASES = st.builds(
    lambda dims, fills, scale, seed: rg.Case(fills=fills, scale=scale, seed=seed, **dims),
    st.dictionaries(NAMES, SIZES | st.lists(SIZES, max_size=3).map(tuple), max_size=4),
    st.dictionaries(st.text(max_size=4), st.sampled_from(["full", "zeros", "one-hot"]), max_size=3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 2**70),
)
SLOTS = ("dims", "fills", "scale", "seed")


def drawn(declared, case):
    return draw_inputs({name: parse(text) for name, text in declared.items()}, case)


@pytest.mark.parametrize(
    ("case", "text"),
    [
        (rg.Case(), "Case(seed=0)"),
        (rg.Case(m=1, n=2, N=2, seed=0), "Case(m=1, n=2, N=2, seed=0)"),
        (rg.Case(seed=7, scale=2, n=1), "Case(n=1, scale=2.0, seed=7)"),
        (rg.Case(n=1, fills={"x": "full"}), "Case(n=1, seed=0)"),
        (
            rg.Case(fills={"y": "zeros", "x": "full", "w": "one-hot"}),
            "Case(fills={'y': 'zeros', 'w': 'one-hot'}, seed=0)",
        ),
        (rg.Case(b=(2, 3), _=()), "Case(b=(2, 3), _=(), seed=0)"),
        (rg.Case(b=[2, 3]), "Case(b=(2, 3), seed=0)"),
        (rg.Case(seed=np.int64(5)), "Case(seed=5)"),
        (rg.Case(self=1), "Case(self=1, seed=0)"),
        (rg.Case(n=np.int64(2)), "Case(n=2, seed=0)"),
        (rg.Case(b=(np.int64(2),)), "Case(b=(2,), seed=0)"),
    ],
)
def test_a_case_is_one_short_line_without_its_defaults(case, text):
    assert repr(case) == text


@given(CASES)
def test_the_line_of_a_case_evaluates_to_an_equal_case(case):
    for again in (eval(repr(case), {"Case": rg.Case}), parse_case(repr(case)), pickle.loads(pickle.dumps(case))):
        assert [getattr(again, slot) for slot in SLOTS] == [getattr(case, slot) for slot in SLOTS]
        assert again == case
        assert hash(again) == hash(case)


@pytest.mark.parametrize(
    "text", ["Case(n=2,seed=3)", "  rg.Case(seed = 3, n = 2)\n", "rnngrad.Case(n=2, seed=3, scale=1)"]
)
def test_a_case_is_read_however_it_is_spelled(text):
    assert parse_case(text) == rg.Case(n=2, seed=3)


@pytest.mark.parametrize(
    "other", [rg.Case(n=2, seed=1), rg.Case(n=3), rg.Case(m=2), rg.Case(n=2, scale=2), "Case(n=2, seed=0)"]
)
def test_cases_that_differ_in_any_part_are_not_equal(other):
    assert rg.Case(n=2) != other


def test_a_case_is_frozen():
    case = rg.Case(n=2)
    with pytest.raises(AttributeError, match="a Case is frozen; build another one to change seed"):
        case.seed = 3
    assert case.seed == 0


def test_seed_0_draws_one_digit_numbers_that_differ_from_input_to_input():
    arrays = drawn({"x": "n", "W": "2 2"}, rg.Case(n=4))
    assert arrays["x"].tolist() == [-0.8, -0.1, 0.6, -0.6]
    assert arrays["W"].tolist() == [[-0.5, 0.2], [0.9, -0.3]]


def test_every_value_of_seed_0_is_a_tenth_of_a_digit():
    values = drawn({"x": "n"}, rg.Case(n=100))["x"]
    assert sorted(set((10 * values).round(12))) == list(range(-9, 10))


def test_another_seed_draws_standard_normal_values():
    values = drawn({"x": "n"}, rg.Case(n=40_000, seed=1))["x"]
    assert abs(values.mean()) < 0.03
    assert abs(values.std() - 1) < 0.03
    assert abs((values > 1).mean() - 0.1587) < 0.01


def test_the_scale_multiplies_every_value():
    plain, scaled = (drawn({"x": "n"}, rg.Case(n=9, seed=3, scale=scale))["x"] for scale in (1.0, 4.0))
    assert scaled.tolist() == (4 * plain).tolist()
    assert drawn({"x": "2"}, rg.Case(scale=2))["x"].tolist() == [-1.6, -0.2]


@pytest.mark.parametrize("seed", [0, 5])
def test_the_values_of_one_input_do_not_depend_on_the_size_or_fill_of_another(seed):
    shapes = {"x": "m", "y": "3"}
    one, other = (drawn(shapes, rg.Case(m=m, seed=seed, fills=fills)) for m, fills in ((2, {}), (5, {"x": "zeros"})))
    assert one["y"].tolist() == other["y"].tolist()
    assert one["y"].tolist() != drawn(shapes, rg.Case(m=3, seed=seed))["x"].tolist()


def test_a_case_draws_the_same_arrays_each_time_and_another_seed_draws_others():
    first, again, other = (drawn({"x": "5"}, rg.Case(seed=seed))["x"].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_a_group_of_axes_takes_its_tuple():
    arrays = drawn({"x": "*b n", "y": "...", "z": ""}, rg.Case(b=(2, 3), n=1, _=()))
    assert [arrays[name].shape for name in ("x", "y", "z")] == [(2, 3, 1), (), ()]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (0, 3)])
def test_the_fill_zeros_is_zero_everywhere(shape):
    zeros = FILLS["zeros"](shape, 1, 0)
    assert zeros.shape == shape
    assert not zeros.any()


@given(st.integers(0, 5), st.integers(1, 4), st.lists(st.integers(0, 3), max_size=2), st.integers(0, 5))
def test_the_fill_one_hot_has_a_single_1_in_each_column(seed, classes, rest, stream):
    array = FILLS["one-hot"]((classes, *rest), seed, stream)
    assert array.shape == (classes, *rest)
    assert set(array.ravel()) <= {0.0, 1.0}
    assert (array.sum(axis=0) == 1).all()


def test_the_fill_one_hot_of_a_scalar_is_1_and_of_no_classes_is_empty():
    assert FILLS["one-hot"]((), 1, 0).tolist() == 1.0
    assert FILLS["one-hot"]((0, 2), 1, 0).shape == (0, 2)


def test_the_fill_one_hot_reaches_every_class():
    array = FILLS["one-hot"]((3, 60), 1, 0)
    assert (array.sum(axis=1) > 5).all()


def test_a_fill_belongs_to_the_input_it_names():
    arrays = drawn({"x": "2", "y": "2"}, rg.Case(fills={"y": "zeros"}))
    assert arrays["x"].tolist() == [-0.8, -0.1]
    assert arrays["y"].tolist() == [0.0, 0.0]


def test_cotangents_continue_the_streams_of_the_inputs():
    """The second stream starts at -0.5, the third at -0.2."""
    cotangents = draw_cotangents({"a": (2,), "b": ()}, 0, 1)
    assert cotangents["a"].tolist() == [-0.5, 0.2]
    assert cotangents["b"].tolist() == -0.2


@pytest.mark.parametrize("seed", [0, 1])
def test_no_cotangent_is_zero(seed):
    values = draw_cotangents({"a": (40, 40)}, seed, 0)["a"]
    assert (values != 0).all()
    assert len(np.unique(values)) > 17


def test_a_zero_of_the_canonical_pattern_becomes_a_1():
    assert draw_cotangents({"a": (2,)}, 0, 9)["a"].tolist() == [1.0, 0.7]
