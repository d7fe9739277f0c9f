"""Values and all gradients of the cells against torch's modules and autograd, in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnngrad.cells import gru, loss, lstm, rnn
from rnngrad.cells.sequence import mask_of
from rnngrad.cells.stack import stack_backward, stack_forward

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")

CLOSE = 1e-12  # relative to the tensor
SIZES = st.fixed_dictionaries({dim: st.integers(1, 6) for dim in ("T", "m", "n", "N")})
SEEDS = st.integers(0, 2**32 - 1)
KINDS = {
    "rnn tanh": (rnn.CELLS["tanh"], torch.nn.RNN, {"nonlinearity": "tanh"}),
    "rnn relu": (rnn.CELLS["relu"], torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (lstm.LSTM, torch.nn.LSTM, {}),
    "gru": (gru.GRU, torch.nn.GRU, {}),
}
fifteen = settings(max_examples=15, deadline=None)


def close(ours, theirs):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max(initial=0) <= CLOSE * max(np.abs(theirs).max(initial=0), 1e-300)


def tensor(array):
    return torch.tensor(array, requires_grad=array.dtype.kind == "f")


def turned(array):
    """Exchange columns and rows as examples."""
    return np.ascontiguousarray(array.swapaxes(-1, -2))


def parameters_of(cell, net, n, suffix):
    """Return the parameters of one run from the module's, whose two biases add up but where the reset gate is."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    U, W, b, h = (getattr(net, name + suffix).detach().numpy() for name in names)
    found = {"U": U, "W": W}
    if "bw" not in cell.parameters:
        return found | {"ba": (b + h)[:, None]}
    return found | {"ba": (b + np.r_[h[: 2 * n], np.zeros(n)])[:, None], "bw": h[2 * n :, None].copy()}


def same_parameter_gradients(found, net, n, suffix):
    close(found["dU"], getattr(net, "weight_ih" + suffix).grad)
    close(found["dW"], getattr(net, "weight_hh" + suffix).grad)
    close(found["dba"][:, 0], getattr(net, "bias_ih" + suffix).grad)
    dbh = np.r_[found["dba"][: 2 * n], found["dbw"]] if "dbw" in found else found["dba"]
    close(dbh[:, 0], getattr(net, "bias_hh" + suffix).grad)


def drawn(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def spread(net, seed):
    """Give a module parameters that make preactivations of order one.

    Small ones hide what is wrong, and with large ones both lose digits: at 5 only 1e-4 is left of 1 - s^2.
    """
    rng = np.random.default_rng([seed, 1])
    with torch.no_grad():
        for parameter in net.parameters():
            size = 0.7 / parameter.shape[1] ** 0.5 if parameter.ndim == 2 else 0.3
            parameter.copy_(torch.from_numpy(rng.standard_normal(tuple(parameter.shape)) * size))


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one direction", "both directions"])
@pytest.mark.parametrize("depth", [1, 2], ids=["one layer", "two layers"])
@pytest.mark.parametrize("kind", KINDS)
@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_a_stack_is_torchs_module(kind, depth, bidirectional, sizes, seed):
    cell, module, options = KINDS[kind]
    T, m, n, N = sizes["T"], sizes["m"], sizes["n"], sizes["N"]
    width = 2 if bidirectional else 1
    net = module(m, n, num_layers=depth, bidirectional=bidirectional, dtype=torch.float64, **options)
    spread(net, seed)
    shapes = [(depth * width, n, N)] * len(cell.states)
    xs, ds, *rest = drawn(seed, (T, m, N), (T, width * n, N), *shapes, *shapes)
    initial, dlast = rest[: len(shapes)], rest[len(shapes) :]
    suffixes = [f"_l{layer}{way}" for layer in range(depth) for way in ("", "_reverse")[:width]]
    parameters = [parameters_of(cell, net, n, suffix) for suffix in suffixes]

    states, last, cache = stack_forward(xs, initial, parameters, cell=cell, bidirectional=bidirectional)
    found = stack_backward(ds, dlast, cache)

    x, firsts = tensor(turned(xs)), [tensor(turned(first)) for first in initial]
    out, ends = net(x, tuple(firsts) if len(firsts) > 1 else firsts[0])
    ends = ends if isinstance(ends, tuple) else (ends,)
    torch.autograd.backward([out, *ends], [torch.from_numpy(turned(d)) for d in (ds, *dlast)])

    close(turned(states), out)
    for ours, theirs in zip(last, ends, strict=True):
        close(turned(ours), theirs)
    close(turned(found["dxs"]), x.grad)
    for name, first in zip(cell.states, firsts, strict=True):
        close(turned(found[f"d{name}_0"]), first.grad)
    for one, suffix in zip(found["dparameters"], suffixes, strict=True):
        same_parameter_gradients(one, net, n, suffix)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_a_step_of_the_rnn_cell_is_torchs(activation, sizes, seed):
    m, n, N = sizes["m"], sizes["n"], sizes["N"]
    net = torch.nn.RNNCell(m, n, nonlinearity=activation, dtype=torch.float64)
    spread(net, seed)
    x, s, ds = drawn(seed, (m, N), (n, N), (n, N))
    head = {"V": np.zeros((1, n)), "by": np.zeros((1, 1))}
    parameters = parameters_of(rnn.CELLS[activation], net, n, "") | head
    s_next, _, cache = rnn.rnn_cell_forward(x, s, parameters, activation=activation)
    found = rnn.rnn_cell_backward(ds, cache, activation=activation)
    tx, ts = tensor(turned(x)), tensor(turned(s))
    out = net(tx, ts)
    out.backward(torch.from_numpy(turned(ds)))
    close(turned(s_next), out)
    close(turned(found["dx_t"]), tx.grad)
    close(turned(found["ds_prev"]), ts.grad)
    same_parameter_gradients(found, net, n, "")


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_a_step_of_the_lstm_cell_is_torchs(sizes, seed):
    m, n, N = sizes["m"], sizes["n"], sizes["N"]
    net = torch.nn.LSTMCell(m, n, dtype=torch.float64)
    spread(net, seed)
    x, s, c, ds, dc = drawn(seed, (m, N), *[(n, N)] * 4)
    s_next, c_next, cache = lstm.lstm_cell_forward(x, s, c, parameters_of(lstm.LSTM, net, n, ""))
    found = lstm.lstm_cell_backward(ds, dc, cache)
    tx, ts, tc = (tensor(turned(array)) for array in (x, s, c))
    out = net(tx, (ts, tc))
    torch.autograd.backward(out, [torch.from_numpy(turned(d)) for d in (ds, dc)])
    close(turned(s_next), out[0])
    close(turned(c_next), out[1])
    for name, theirs in (("dx_t", tx), ("ds_prev", ts), ("dc_prev", tc)):
        close(turned(found[name]), theirs.grad)
    same_parameter_gradients(found, net, n, "")


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_a_step_of_the_gru_cell_is_torchs(sizes, seed):
    m, n, N = sizes["m"], sizes["n"], sizes["N"]
    net = torch.nn.GRUCell(m, n, dtype=torch.float64)
    spread(net, seed)
    x, s, ds = drawn(seed, (m, N), (n, N), (n, N))
    s_next, cache = gru.gru_cell_forward(x, s, parameters_of(gru.GRU, net, n, ""))
    found = gru.gru_cell_backward(ds, cache)
    tx, ts = tensor(turned(x)), tensor(turned(s))
    out = net(tx, ts)
    out.backward(torch.from_numpy(turned(ds)))
    close(turned(s_next), out)
    close(turned(found["dx_t"]), tx.grad)
    close(turned(found["ds_prev"]), ts.grad)
    same_parameter_gradients(found, net, n, "")


@pytest.mark.parametrize("kind", KINDS)
@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_lengths_by_mask_are_torchs_packed_sequences(kind, sizes, seed):
    cell, module, options = KINDS[kind]
    T, m, n, N = sizes["T"], sizes["m"], sizes["n"], sizes["N"]
    net = module(m, n, bidirectional=True, dtype=torch.float64, **options)
    spread(net, seed)
    lengths = np.random.default_rng([seed, 2]).integers(1, T + 1, N)
    xs, ds, dlast, *initial = drawn(seed, (T, m, N), (T, 2 * n, N), (2, n, N), *[(2, n, N)] * len(cell.states))
    mask = mask_of(lengths, T)
    ds *= mask[:, None]
    parameters = [parameters_of(cell, net, n, suffix) for suffix in ("_l0", "_l0_reverse")]

    states, last, cache = stack_forward(xs, initial, parameters, mask, cell=cell, bidirectional=True)
    found = stack_backward(ds, [dlast, *[None] * (len(initial) - 1)], cache)

    x, firsts = tensor(turned(xs)), [tensor(turned(first)) for first in initial]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.from_numpy(lengths), enforce_sorted=False)
    out, ends = net(packed, tuple(firsts) if len(firsts) > 1 else firsts[0])
    ends = ends if isinstance(ends, tuple) else (ends,)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(out, total_length=T)
    torch.autograd.backward([padded, ends[0]], [torch.from_numpy(turned(d)) for d in (ds, dlast)])

    close(turned(states * mask[:, None]), padded)
    for ours, theirs in zip(last, ends, strict=True):
        close(turned(ours), theirs)
    close(turned(found["dxs"]), x.grad)
    for one, suffix in zip(found["dparameters"], ("_l0", "_l0_reverse"), strict=True):
        same_parameter_gradients(one, net, n, suffix)


@pytest.mark.parametrize("average", [True, False])
@fifteen
@given(sizes=SIZES, seed=SEEDS, scale=st.sampled_from([1.0, 30.0]))
def test_cross_entropy_is_torchs(average, sizes, seed, scale):
    T, k, N = sizes["T"], sizes["n"], sizes["N"]
    logits, dloss = (scale * array for array in drawn(seed, (T, k, N), ()))
    labels = np.random.default_rng([seed, 3]).integers(0, k, (T, N))
    value, cache = loss.cross_entropy_forward(logits, labels, average=average)
    x = tensor(logits)
    out = torch.nn.CrossEntropyLoss(reduction="mean" if average else "sum")(
        x.permute(0, 2, 1).reshape(-1, k), torch.from_numpy(labels.ravel())
    )
    out.backward(torch.tensor(dloss))
    close(np.asarray(value), out)
    close(loss.cross_entropy_backward(dloss, cache)["dlogits"], x.grad)


@fifteen
@given(sizes=SIZES, seed=SEEDS)
def test_cross_entropy_with_a_mask_is_torchs_with_labels_to_ignore(sizes, seed):
    k, N = sizes["n"], sizes["N"] + 1
    (logits,) = drawn(seed, (k, N))
    rng = np.random.default_rng([seed, 3])
    labels, mask = rng.integers(0, k, N), rng.integers(0, 2, N)
    mask[0] = 1
    value, cache = loss.cross_entropy_forward(logits, labels, mask)
    x = tensor(logits)
    out = torch.nn.CrossEntropyLoss(ignore_index=-1)(x.T, torch.from_numpy(np.where(mask == 1, labels, -1)))
    out.backward()
    close(np.asarray(value), out)
    close(loss.cross_entropy_backward(np.float64(1), cache)["dlogits"], x.grad)
