"""Named shapes: what parses to what, which size a dim gets, and where the message points."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import rnngrad as rg
from rnngrad.spec import Axis, Group, bind, dim_names, parse


def one(name):
    return Axis(name, ((name, 1),), 0)


@pytest.mark.parametrize(
    ("text", "axes"),
    [
        ("", ()),
        ("   ", ()),
        ("n", (one("n"),)),
        (" n  m ", (one("n"), one("m"))),
        ("3", (Axis("3", (), 3),)),
        ("1+2", (Axis("1+2", (), 3),)),
        ("n+1", (Axis("n+1", (("n", 1),), 1),)),
        ("n-1", (Axis("n-1", (("n", 1),), -1),)),
        ("4*n", (Axis("4*n", (("n", 4),), 0),)),
        ("4n", (Axis("4n", (("n", 4),), 0),)),
        ("n+n", (Axis("n+n", (("n", 2),), 0),)),
        ("3n-n", (Axis("3n-n", (("n", 2),), 0),)),
        ("2*n+m-3", (Axis("2*n+m-3", (("n", 2), ("m", 1)), -3),)),
        ("*batch n", (Group("*batch", "batch"), one("n"))),
        ("... d_in", (Group("...", "_"), one("d_in"))),
        ("N2 _x", (one("N2"), one("_x"))),
    ],
)
def test_a_shape_parses_to_its_axes(text, axes):
    shape = parse(text)
    assert shape.axes == axes
    assert shape.text == text


GRAMMAR = "expected a name, an integer, a sum, '*name' or '...'"


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("n,m", 0, GRAMMAR),
        ("n #m", 2, GRAMMAR),
        ("n+", 2, GRAMMAR),
        ("m n-", 4, GRAMMAR),
        ("n++1", 2, GRAMMAR),
        ("n n+?", 4, GRAMMAR),
        ("n*4", 0, GRAMMAR),
        ("n 4*", 2, GRAMMAR),
        ("n *", 2, GRAMMAR),
        ("**n", 0, GRAMMAR),
        ("*2", 0, GRAMMAR),
        ("n ..", 2, GRAMMAR),
        ("(n,m)->()", 0, GRAMMAR),
        ("n m-n", 2, "a dim can be added, not subtracted"),
        ("n-n", 0, "a dim can be added, not subtracted"),
        ("-1", 0, "a size is not negative"),
        ("n 1-2", 2, "a size is not negative"),
        ("n seed", 2, "'seed' is reserved; choose another name for this dim"),
        ("n+2*scale", 4, "'scale' is reserved; choose another name for this dim"),
        ("*fills n", 1, "'fills' is reserved; choose another name for this dim"),
        ("n _", 2, "'_' is reserved; choose another name for this dim"),
        ("n in", 2, "'in' is reserved; choose another name for this dim"),
        ("*lambda", 1, "'lambda' is reserved; choose another name for this dim"),
    ],
)
def test_a_shape_that_does_not_parse_is_shown_with_a_caret_at_the_place(text, column, why):
    with pytest.raises(rg.InvalidPair) as caught:
        parse(text)
    head, shown, caret = str(caught.value).split("\n")
    assert head == f"shape {text!r} does not parse here: {why}"
    assert shown == "    " + text
    assert caret == "    " + " " * column + "^"


WORD = re.compile(r"\.\.\.|\*[nm][nm12]*|\+?TERM(\+TERM)*".replace("TERM", r"([12]+|([12]+\*?)?[nm][nm12]*)"))


@given(st.text("nm 12+*.", max_size=6) | st.lists(st.from_regex(WORD, fullmatch=True), max_size=3).map(" ".join))
@example("1*")
@example("*m1")
def test_a_text_parses_just_where_each_word_is_one_of_the_grammar(text):
    words = text.split()
    good = all(map(WORD.fullmatch, words)) and sum(word[0] in "*." for word in words) < 2
    assert (axes_or_none(text) is not None) == good
    assert not good or axes_or_none(text) == words


def axes_or_none(text):
    try:
        return [axis.text for axis in parse(text).axes]
    except rg.InvalidPair:
        return None


@pytest.mark.parametrize(
    ("text", "sizes", "expected"),
    [
        ("", {}, ()),
        ("3", {}, (3,)),
        ("n m n", {"n": 2, "m": 5}, (2, 5, 2)),
        ("2*n+m-3", {"n": 2, "m": 5}, (6,)),
        ("n-1", {"n": 1}, (0,)),
        ("*b n", {"b": (), "n": 2}, (2,)),
        ("n *b m", {"b": (7, 0), "n": 2, "m": 3}, (2, 7, 0, 3)),
        ("...", {"_": (4,)}, (4,)),
    ],
)
def test_sizes_put_in_give_the_concrete_shape(text, sizes, expected):
    assert parse(text).sizes(sizes) == expected


@pytest.mark.parametrize(("text", "sizes"), [("m n-2", {"m": 1, "n": 1}), ("m n+k", {"m": 1, "n": 1})])
def test_an_axis_without_a_size_is_named(text, sizes):
    axis = text.split()[-1]
    with pytest.raises(rg.InvalidPair, match=re.escape(f"the axis {axis!r} of {text!r} has no size for {sizes}")):
        parse(text).sizes(sizes)


def test_dims_are_listed_once_in_order_of_appearance_with_groups_marked():
    shapes = [parse("m 3 *b"), parse("n+k m"), parse("... n"), parse("")]
    assert list(dim_names(shapes).items()) == [("m", False), ("b", True), ("n", False), ("k", False), ("_", True)]


@pytest.mark.parametrize("texts", [("*n", "n"), ("n+1", "*n"), ("n *n",)])
def test_a_dim_is_one_axis_or_a_group_but_not_both(texts):
    with pytest.raises(rg.InvalidPair, match="dim 'n' is one axis in one shape and a group of axes in another"):
        dim_names(parse(text) for text in texts)


def bound(declared, actual):
    return bind({name: parse(text) for name, text in declared.items()}, actual)


@pytest.mark.parametrize(
    ("declared", "actual", "sizes"),
    [
        ({}, {}, {}),
        ({"x": ""}, {"x": ()}, {}),
        ({"x": "3 1+1"}, {"x": (3, 2)}, {}),
        ({"x": "m N", "W": "n m"}, {"x": (2, 3), "W": (4, 2)}, {"m": 2, "N": 3, "n": 4}),
        ({"x": "n+1"}, {"x": (5,)}, {"n": 4}),
        ({"x": "n-1"}, {"x": (0,)}, {"n": 1}),
        ({"x": "4*n"}, {"x": (12,)}, {"n": 3}),
        ({"x": "n+m n"}, {"x": (7, 3)}, {"n": 3, "m": 4}),
        ({"x": "a+b+1", "y": "b+c", "z": "c"}, {"x": (9,), "y": (5,), "z": (2,)}, {"c": 2, "b": 3, "a": 5}),
        ({"x": "*b n", "y": "*b"}, {"x": (2, 3, 4), "y": (2, 3)}, {"b": (2, 3), "n": 4}),
        ({"x": "n *b m"}, {"x": (2, 4)}, {"n": 2, "m": 4, "b": ()}),
        ({"x": "... n"}, {"x": (0, 4)}, {"_": (0,), "n": 4}),
    ],
)
def test_arrays_bind_every_dim_to_its_size(declared, actual, sizes):
    assert bound(declared, actual) == sizes


@pytest.mark.parametrize(
    ("declared", "actual", "message"),
    [
        ({"x": "n m"}, {"x": (2,)}, "x has shape (2,) with 1 axes, declared 'n m' with 2"),
        ({"x": "n"}, {"x": (2, 1)}, "x has shape (2, 1) with 2 axes, declared 'n' with 1"),
        ({"x": "*b n m"}, {"x": (2,)}, "x has shape (2,) with 1 axes, declared '*b n m' with 2"),
        ({"x": "m N", "W": "n m"}, {"x": (2, 3), "W": (4, 5)}, "dim 'm' is 2 in x (2, 3) but 5 in W (4, 5)"),
        (
            {"x": "n", "y": "n", "z": "n"},
            {"x": (2,), "y": (2,), "z": (3,)},
            "dim 'n' is 2 in x (2,) but 3 in z (3,)",
        ),
        ({"W": "n n"}, {"W": (4, 5)}, "dim 'n' is 4 in W (4, 5) but 5 in W (4, 5)"),
        ({"x": "*b", "y": "*b"}, {"x": (2, 3), "y": (2,)}, "dim 'b' is (2, 3) in x (2, 3) but (2,) in y (2,)"),
        ({"x": "3"}, {"x": (2,)}, "the axis '3' of x (2,) has size 2, expected 3 (as declared)"),
        ({"x": "2*n"}, {"x": (5,)}, "the axis '2*n' of x (5,) has size 5, which no size of 'n' gives"),
        ({"x": "n+3"}, {"x": (2,)}, "the axis 'n+3' of x (2,) has size 2, which no size of 'n' gives"),
        ({"y": "n+1", "x": "n"}, {"x": (2,), "y": (4,)}, "dim 'n' is 3 in y (4,) but 2 in x (2,)"),
        (
            {"x": "n", "y": "n+1"},
            {"x": (2,), "y": (4,)},
            "the axis 'n+1' of y (4,) has size 4, expected 3 (n = 2 in x (2,))",
        ),
        (
            {"x": "n m", "y": "n+m"},
            {"x": (2, 3), "y": (4,)},
            "the axis 'n+m' of y (4,) has size 4, expected 5 (n = 2 in x (2, 3), m = 3 in x (2, 3))",
        ),
        (
            {"x": "n+m"},
            {"x": (4,)},
            "the axis 'n+m' of x (4,) leaves its dims open; name one of them in another axis",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named_with_both_sizes(declared, actual, message):
    with pytest.raises(rg.InvalidPair) as caught:
        bound(declared, actual)
    assert str(caught.value) == message


DIMS = ("a", "b", "c")
AXES = st.sampled_from(["a", "b", "c", "a+b", "2*c", "a+1", "b+c+2", "3", "3*a+2*b"])
DECLARED = st.lists(st.lists(AXES, max_size=3), max_size=3)


@given(DECLARED, st.tuples(*[st.integers(0, 5)] * 3), st.lists(st.integers(0, 3), max_size=3), st.integers(0, 3))
def test_binding_the_shapes_that_sizes_give_returns_the_sizes(declared, numbers, group, place):
    """Each dim stands alone in one shape, which is the last, so sums must wait for it."""
    sizes = dict(zip(DIMS, numbers, strict=True)) | {"g": tuple(group)}
    alone = list(DIMS)
    alone.insert(place, "*g")
    shapes = {f"x{i}": parse(" ".join(axes)) for i, axes in enumerate([*declared, alone])}
    assert bind(shapes, {name: shape.sizes(sizes) for name, shape in shapes.items()}) == sizes


@given(st.tuples(*[st.integers(0, 5)] * 3), st.integers(0, 2), st.integers(1, 3))
def test_one_wrong_axis_is_always_noticed(numbers, place, by):
    wrong = list(numbers)
    wrong[place] += by
    with pytest.raises(rg.InvalidPair) as caught:
        bound({"x": "a b c", "y": "a b c"}, {"x": numbers, "y": tuple(wrong)})
    assert str(caught.value) == (
        f"dim {DIMS[place]!r} is {numbers[place]} in x {numbers} but {wrong[place]} in y {tuple(wrong)}"
    )


def test_the_sizes_that_are_returned_are_the_callers_own_to_change():
    shapes, actual = {"x": parse("m N")}, {"x": (2, 3)}
    bind(shapes, actual)["m"] = 7
    assert bind(shapes, actual) == {"m": 2, "N": 3}
