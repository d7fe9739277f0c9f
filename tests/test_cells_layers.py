"""Layers, losses and initial parameters against values that a person can follow."""

import numpy as np
import pytest

from rnngrad.cells import init, layers, loss

LOGITS = np.log([[1.0, 2.0], [1.0, 2.0], [2.0, 4.0]])  # softmax 1/4, 1/4, 1/2 in both examples


@pytest.mark.parametrize(("average", "weight"), [(True, 0.5), (False, 1.0)])
def test_cross_entropy_is_minus_log_of_the_probability_of_each_label(average, weight):
    value, cache = loss.cross_entropy_forward(LOGITS, np.array([0, 2]), average=average)
    assert value == pytest.approx(weight * (np.log(4) + np.log(2)))
    found = loss.cross_entropy_backward(np.float64(3), cache)["dlogits"]
    np.testing.assert_allclose(found, 3 * weight * np.array([[-0.75, 0.25], [0.25, 0.25], [0.5, -0.5]]))


@pytest.mark.parametrize("average", [True, False])
def test_a_masked_example_neither_counts_nor_is_counted(average):
    value, cache = loss.cross_entropy_forward(LOGITS, np.array([0, 2]), np.array([0, 1]), average=average)
    assert value == pytest.approx(np.log(2))
    found = loss.cross_entropy_backward(np.float64(1), cache)["dlogits"]
    np.testing.assert_allclose(found, [[0, 0.25], [0, 0.25], [0, -0.5]])


@pytest.mark.parametrize(
    ("logits", "labels", "mask"),
    [
        (np.ones((3, 0)), np.zeros(0, int), None),
        (np.ones((0, 3, 2)), np.zeros((0, 2), int), None),
        (np.ones((3, 2)), np.zeros(2, int), np.zeros(2, int)),
    ],
)
def test_without_an_example_the_loss_and_its_gradient_are_0(logits, labels, mask):
    value, cache = loss.cross_entropy_forward(logits, labels, mask)
    assert value == 0
    assert not loss.cross_entropy_backward(np.float64(1), cache)["dlogits"].any()


def test_logits_of_a_thousand_neither_overflow_nor_vanish():
    value, cache = loss.cross_entropy_forward(np.array([[1e3], [0.0], [-1e3]]), np.array([2]))
    assert value == pytest.approx(2e3)
    np.testing.assert_allclose(loss.cross_entropy_backward(np.float64(1), cache)["dlogits"], [[1], [0], [-1]])


@pytest.mark.parametrize(("average", "weight"), [(True, 0.25), (False, 1.0)])
def test_squared_error_is_the_sum_of_squares_or_their_mean(average, weight):
    prediction, target = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 4.0]])
    value, cache = loss.squared_error_forward(prediction, target, average=average)
    assert value == weight * 13
    found = loss.squared_error_backward(np.float64(2), cache)
    assert found["dprediction"].tolist() == (weight * np.array([[0, 8], [12, 0]])).tolist()
    assert found["dtarget"].tolist() == (-found["dprediction"]).tolist()
    assert loss.squared_error_forward(np.ones((0, 2)), np.ones((0, 2)))[0] == 0


def test_affine_takes_columns_and_sums_over_every_axis_of_examples():
    x, W, b = np.array([[[1.0, 2.0]], [[3.0, 4.0]]]), np.array([[2.0], [3.0]]), np.array([[1.0], [0.0]])
    y, cache = layers.affine_forward(x, W, b)
    assert y.tolist() == [[[3, 5], [3, 6]], [[7, 9], [9, 12]]]
    found = layers.affine_backward(np.ones_like(y), cache)
    assert found["dW"].tolist() == [[10], [10]]
    assert found["db"].tolist() == [[4], [4]]
    assert found["dx"].tolist() == [[[5, 5]], [[5, 5]]]


@pytest.mark.parametrize("sizes", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 0, 4), (2, 3, 4, 0)])
def test_empty_examples_and_features_are_valid_for_affine(sizes):
    T, m, n, N = sizes
    y, cache = layers.affine_forward(np.ones((T, m, N)), np.ones((n, m)), np.ones((n, 1)))
    found = layers.affine_backward(np.ones_like(y), cache)
    assert [found[name].shape for name in ("dx", "dW", "db")] == [(T, m, N), (n, m), (n, 1)]


def test_an_embedding_that_is_taken_twice_gets_both_gradients():
    E = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    y, cache = layers.embedding_forward(np.array([2, 0, 2]), E)
    assert y.tolist() == [[5, 1, 5], [6, 2, 6]]
    dy = np.array([[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]])
    assert layers.embedding_backward(dy, cache)["dE"].tolist() == [[10, 20], [0, 0], [101, 202]]


def test_layer_norm_has_the_mean_and_spread_of_its_bias_and_gain():
    x = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    y, _ = layers.layer_norm_forward(x, np.full((3, 1), 2.0), np.full((3, 1), 5.0))
    np.testing.assert_allclose(y.mean(axis=0), 5)
    np.testing.assert_allclose(y.std(axis=0), 2, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_keeps_the_mean_and_drops_by_the_mask(dtype):
    y, cache = layers.dropout_forward(np.array([1, 2, 3], dtype), np.array([1, 0, 1]), rate=0.75)
    assert y.tolist() == [4, 0, 12]
    assert layers.dropout_backward(np.ones(3, dtype), cache)["dx"].tolist() == [4, 0, 4]
    assert y.dtype == dtype


SHAPES = {
    "rnn": (init.rnn_parameters, 1, {}, {}),
    "rnn with head": (init.rnn_parameters, 1, {"V": (2, 40), "by": (2, 1)}, {"k": 2}),
    "lstm": (init.lstm_parameters, 4, {}, {}),
    "gru": (init.gru_parameters, 3, {"bw": (40, 1)}, {}),
    "gru before": (init.gru_parameters, 3, {}, {"reset": "before"}),
    "normed": (init.lstm_parameters, 4, {"gU": (160, 1), "gW": (160, 1)}, {"normed": True}),
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_initial_parameters_have_the_shapes_dtype_and_spread_that_are_promised(kind, dtype):
    draw, g, more, options = SHAPES[kind]
    found = draw(np.random.default_rng(0), 30, 40, dtype=dtype, **options)
    assert {name: value.shape for name, value in found.items()} == {
        "U": (g * 40, 30),
        "W": (g * 40, 40),
        "ba": (g * 40, 1),
    } | more
    assert {value.dtype for value in found.values()} == {np.dtype(dtype)}
    assert found["U"].var() == pytest.approx(2 / 70, rel=0.1)
    assert np.abs(found["U"]).max() < np.sqrt(6 / 70)
    for gate in found["W"].reshape(g, 40, 40):
        np.testing.assert_allclose(gate @ gate.T, np.eye(40), atol=1e-5)
    assert all((found[name] == 1).all() for name in ("gU", "gW") if name in found)
    assert not any(found[name].any() for name in ("bw", "by") if name in found)
    forget = slice(40, 80) if g == 4 else slice(0)
    assert (found["ba"][forget] == 1).all()
    assert not np.delete(found["ba"], np.r_[forget], axis=0).any()


def test_initial_parameters_are_the_same_for_a_seed():
    first, again, other = (init.lstm_parameters(np.random.default_rng(seed), 3, 2) for seed in (0, 0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["U"], other["U"])


def test_an_orthogonal_matrix_has_either_determinant():
    signs = {np.sign(np.linalg.det(init.orthogonal(np.random.default_rng(seed), 3))) for seed in range(20)}
    assert signs == {-1.0, 1.0}


def test_the_head_of_an_affine_layer_begins_without_bias():
    found = init.affine_parameters(np.random.default_rng(0), 3, 2)
    assert found["W"].shape == (2, 3)
    assert found["b"].tolist() == [[0], [0]]
