"""Trees: leaves in order, names, nesting kept, packed and unpacked without loss."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rnngrad.tree import components, leaf_names, leaves, pack, rebuild, unpack

TREES = st.recursive(
    st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)
ARRAYS = st.lists(hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)), max_size=4)


def test_leaves_come_in_the_order_of_the_tree_with_the_keys_that_lead_to_them():
    tree = {"x": 1, "p": {"W": 2, "b": [3, (4,)]}, 5: 6}
    assert list(leaves(tree)) == [
        (("x",), 1),
        (("p", "W"), 2),
        (("p", "b", "0"), 3),
        (("p", "b", "1", "0"), 4),
        (("5",), 6),
    ]


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (7, [((), 7)]),
        ({}, []),
        ({"p": {}, "q": [], "x": 1}, [(("x",), 1)]),
        (MappingProxyType({"a": 1}), [(("a",), 1)]),
    ],
)
def test_an_array_is_its_own_leaf_and_an_empty_branch_has_none(tree, expected):
    assert list(leaves(tree)) == expected


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], []),
        ([("x",), ("p", "W")], ["x", "W"]),
        ([("f", "W"), ("g", "W"), ("g", "b")], ["f.W", "g.W", "b"]),
        ([("W",), ("p", "W")], ["W", "p.W"]),
        ([("f", "a", "W"), ("f", "b", "W")], ["f.a.W", "f.b.W"]),
    ],
)
def test_a_leaf_is_named_by_its_last_key_or_by_its_path_where_that_is_not_unique(paths, names):
    assert leaf_names(paths) == names


def test_rebuild_puts_new_values_into_the_same_nesting():
    tree = {"x": 0, "p": {"W": 0, "b": [0, (0, 0)]}}
    assert rebuild(tree, iter("abcde")) == {"x": "a", "p": {"W": "b", "b": ["c", ("d", "e")]}}


@given(TREES)
def test_rebuilding_a_tree_from_its_own_leaves_gives_the_tree_back(tree):
    again = rebuild(tree, iter([leaf for _, leaf in leaves(tree)]))
    assert again == tree
    assert type(again) is type(tree)


def test_rebuild_takes_whatever_mapping_leaves_takes():
    tree = MappingProxyType({"a": 0, "b": 0})
    assert dict(rebuild(tree, iter([1, 2]))) == {"a": 1, "b": 2}


def test_pack_joins_arrays_row_by_row_as_float64():
    vector = pack([np.array([[1, 2], [3, 4]]), np.float32(0.5), np.array([True]), np.empty((0, 2))])
    assert vector.dtype == np.float64
    assert vector.tolist() == [1.0, 2.0, 3.0, 4.0, 0.5, 1.0]


def test_pack_of_nothing_is_an_empty_float64_vector():
    assert (pack([]).shape, pack([]).dtype) == ((0,), np.float64)


def test_pack_copies_and_unpack_does_not():
    array = np.array([1.0, 2.0])
    vector = pack([array])
    vector[0] = 9.0
    (view,) = unpack(vector, [array])
    view[1] = 8.0
    assert array.tolist() == [1.0, 2.0]
    assert vector.tolist() == [9.0, 8.0]


def test_unpack_splits_a_vector_in_order():
    scalar, empty, square = unpack(np.arange(5.0), [np.empty(shape) for shape in [(), (0, 3), (2, 2)]])
    assert (scalar.shape, float(scalar)) == ((), 0.0)
    assert empty.shape == (0, 3)
    assert square.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@given(ARRAYS)
def test_unpacking_what_was_packed_gives_the_same_arrays(arrays):
    again = unpack(pack(arrays), arrays)
    assert [array.shape for array in again] == [array.shape for array in arrays]
    assert [array.tobytes() for array in again] == [array.tobytes() for array in arrays]


def test_complex_numbers_are_two_entries_each():
    matrix, real = np.array([[1 + 2j, 3 - 4j]]), np.array([5.0])
    vector = pack([matrix, real])
    assert vector.tolist() == [1.0, 2.0, 3.0, -4.0, 5.0]
    again, _ = unpack(vector, [matrix, real])
    assert again.tolist() == matrix.tolist()
    again[0, 1] = 7j
    assert vector.tolist() == [1.0, 2.0, 0.0, 7.0, 5.0]
    assert unpack(vector.astype(np.float32), [matrix])[0].dtype == np.complex64


def test_components_of_arrays_that_are_not_contiguous_are_in_their_order():
    matrix = np.arange(4).reshape(2, 2) * (1 + 1j)
    assert components(matrix.T).tolist() == [0, 0, 2, 2, 1, 1, 3, 3]
    assert components(np.arange(3.0)).tolist() == [0, 1, 2]


def test_the_components_of_strided_complex_numbers_lie_side_by_side():
    numbers = np.arange(6) * (1 + 2j)
    assert components(numbers[::2]).tolist() == [0, 0, 2, 4, 4, 8]
    assert components(np.asarray(3j)).tolist() == [0, 3]
