"""What cells, layers and losses say of arrays that do not fit, and what nan does to them."""

import re

import numpy as np
import pytest

from rnngrad.cells import gru, layers, loss, lstm, rnn
from rnngrad.cells.segments import segments_forward, truncated_forward
from rnngrad.cells.sequence import mask_of
from rnngrad.cells.stack import stack_forward

T, m, n, N = 3, 2, 4, 5
xs, s_0 = np.ones((T, m, N)), np.ones((n, N))
RNN = {"U": np.ones((n, m)), "W": np.ones((n, n)), "ba": np.ones((n, 1))}
HEAD = {"V": np.ones((2, n)), "by": np.ones((2, 1))}
LSTM = {"U": np.ones((4 * n, m)), "W": np.ones((4 * n, n)), "ba": np.ones((4 * n, 1))}
GRU = {"U": np.ones((3 * n, m)), "W": np.ones((3 * n, n)), "ba": np.ones((3 * n, 1)), "bw": np.ones((n, 1))}
logits, labels = np.ones((3, N)), np.zeros(N, int)


def rnn_run(**changed):
    given = {"xs": xs, "s_0": s_0, "parameters": RNN} | changed
    return rnn.rnn_forward(**given)


CALLS = {
    "input size": (
        lambda: rnn_run(xs=np.ones((T, 3, N))),
        "dim 'm' is 3 in xs (3, 3, 5) but 2 in U (4, 2)",
    ),
    "batch": (lambda: rnn_run(s_0=np.ones((n, 4))), "dim 'N' is 5 in xs (3, 2, 5) but 4 in s_0 (4, 4)"),
    "units": (
        lambda: rnn_run(parameters=RNN | {"W": np.ones((n, 3))}),
        "dim 'n' is 4 in s_0 (4, 5) but 3 in W (4, 3)",
    ),
    "gates": (
        lambda: lstm.lstm_forward(xs, s_0, s_0, LSTM | {"ba": np.ones((3 * n, 1))}),
        "the axis '4*n' of ba (12, 1) has size 12, expected 16 (n = 4 in s_0 (4, 5))",
    ),
    "gain": (
        lambda: gru.gru_forward(xs, s_0, GRU | {"gW": np.ones((n, 1))}),
        "the axis '3*n' of gW (4, 1) has size 4, expected 12 (n = 4 in s_0 (4, 5))",
    ),
    "one axis too few": (lambda: rnn_run(xs=xs[0]), "xs has shape (2, 5) with 2 axes, declared 'T m N' with 3"),
    "step": (
        lambda: rnn.rnn_cell_forward(xs[0], s_0, RNN | HEAD | {"by": np.ones((3, 1))}),
        "dim 'k' is 2 in V (2, 4) but 3 in by (3, 1)",
    ),
    "missing": (
        lambda: gru.gru_forward(xs, s_0, {"U": GRU["U"]}),
        "parameters of gru lacks ['W', 'ba', 'bw']; expected ['U', 'W', 'ba', 'bw'], got ['U']",
    ),
    "dtypes": (
        lambda: rnn_run(xs=xs.astype(np.float32)),
        "mixed dtypes: xs float32, s_0 float64, U float64, W float64, ba float64; expected one for all",
    ),
    "integers": (
        lambda: rnn_run(xs=xs.astype(int)),
        "xs is an array of int64, expected an array of floating-point numbers",
    ),
    "a list": (lambda: rnn_run(s_0=[1.0]), "s_0 is [1.0] (list), expected an array of floating-point numbers"),
    "activation": (lambda: rnn_run(activation="elu"), "activation='elu', expected one of ['tanh', 'relu']"),
    "reset": (lambda: gru.gru_forward(xs, s_0, GRU, reset="no"), "reset='no', expected one of ['after', 'before']"),
    "mask of another shape": (lambda: rnn_run(mask=np.ones((N, T), int)), "mask has shape (5, 3), expected (3, 5)"),
    "mask of reals": (
        lambda: rnn_run(mask=np.ones((T, N))),
        "mask is an array of float64, expected an array of integers",
    ),
    "mask of 2": (lambda: rnn_run(mask=np.full((T, N), 2)), "mask[0, 0] is 2, expected 0 to 1"),
    "length beyond T": (lambda: mask_of(np.array([3, 4]), T), "lengths[1] is 4, expected 0 to 3"),
    "negative length": (lambda: mask_of(np.array([-1]), T), "lengths[0] is -1, expected 0 to 3"),
    "cotangent": (
        lambda: rnn.rnn_backward(np.ones((T, n, 1)), rnn_run()[1]),
        "dim 'N' is 5 in state s (3, 4, 5) but 1 in the cotangent of s (3, 4, 1)",
    ),
    "cotangent in float32": (
        lambda: rnn.rnn_backward(np.ones((T, n, N), np.float32), rnn_run()[1]),
        "mixed dtypes: state s float64, the cotangent of s float32; expected one for all",
    ),
    "label": (lambda: loss.cross_entropy_forward(logits, labels + 3), "labels[0] is 3, expected 0 to 2"),
    "negative label": (lambda: loss.cross_entropy_forward(logits, labels - 1), "labels[0] is -1, expected 0 to 2"),
    "labels of another shape": (
        lambda: loss.cross_entropy_forward(logits, labels[1:]),
        "labels has shape (4,), expected (5,)",
    ),
    "loss mask": (
        lambda: loss.cross_entropy_forward(logits, labels, labels + 7),
        "mask[0] is 7, expected 0 to 1",
    ),
    "target": (
        lambda: loss.squared_error_forward(np.ones(2), np.ones(3)),
        "dim '_' is (2,) in prediction (2,) but (3,) in target (3,)",
    ),
    "index": (
        lambda: layers.embedding_forward(np.array([[0], [4]]), np.ones((4, 2))),
        "indices[1, 0] is 4, expected 0 to 3",
    ),
    "affine": (
        lambda: layers.affine_forward(np.ones((2, N)), np.ones((4, 3)), np.ones((4, 1))),
        "dim 'm' is 2 in x (2, 5) but 3 in W (4, 3)",
    ),
    "layer norm": (
        lambda: layers.layer_norm_forward(np.ones((2, N)), np.ones((3, 1)), np.ones((2, 1))),
        "dim 'n' is 2 in x (2, 5) but 3 in gain (3, 1)",
    ),
    "rate": (
        lambda: layers.dropout_forward(np.ones(1), np.ones(1, int), rate=1),
        "rate=1, expected 0 <= rate < 1",
    ),
    "every": (
        lambda: truncated_forward(xs, (s_0,), RNN, cell=rnn.CELLS["tanh"], every=0),
        "every=0, expected 1 or more steps",
    ),
    "starts": (
        lambda: segments_forward(xs, (s_0[None],), RNN, cell=rnn.CELLS["tanh"], every=2),
        "[1] starts, expected 2: 3 steps by 2",
    ),
    "layers": (
        lambda: stack_forward(xs, (s_0[None],), [RNN, RNN], cell=rnn.CELLS["tanh"]),
        "2 parameters and [1] initial states; expected one of each for each layer",
    ),
    "directions": (
        lambda: stack_forward(xs, (s_0[None],), [RNN], cell=rnn.CELLS["tanh"], bidirectional=True),
        "1 parameters and [1] initial states; expected one of each for each layer and direction",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_told_in_words(name):
    call, message = CALLS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$") as caught:
        call()
    assert type(caught.value) is ValueError


def test_nan_in_an_example_comes_out_of_it_alone_and_warns_of_nothing():
    bad = xs.copy()
    bad[1, 0, 2] = np.nan
    for forward, backward in (
        (lambda x: rnn.rnn_forward(x, s_0, RNN), rnn.rnn_backward),
        (lambda x: gru.gru_forward(x, s_0, GRU), gru.gru_backward),
        (lambda x: lstm.lstm_forward(x, s_0, s_0, LSTM)[::2], lambda d, cache: lstm.lstm_backward(d, None, cache)),
    ):
        states, cache = forward(bad)
        assert np.isnan(states[1:, :, 2]).all()
        assert np.isfinite(np.delete(states, 2, axis=2)).all()
        assert np.isfinite(states[0]).all()
        found = backward(np.ones_like(states), cache)
        assert np.isfinite(np.delete(found["dxs"], 2, axis=2)).all()
        assert np.isnan(found["dU"]).all()


def test_nan_in_logits_comes_out_of_the_loss():
    bad = logits.copy()
    bad[1, 3] = np.nan
    value, cache = loss.cross_entropy_forward(bad, labels)
    assert np.isnan(value)
    assert np.isnan(loss.cross_entropy_backward(np.float64(1), cache)["dlogits"][:, 3]).all()
