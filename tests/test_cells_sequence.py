"""Cells over time: what is the same however it is computed, what is empty, and what a cell must not do."""

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cells import gru, lstm, rnn
from rnngrad.cells.memory import room
from rnngrad.cells.product import multiply, multiply_back, outer, product_of, pullback_of, summed
from rnngrad.cells.segments import segments_backward, segments_forward, truncated_forward
from rnngrad.cells.sequence import mask_of, sequence_backward, sequence_forward

CELLS = [*rnn.CELLS.values(), lstm.LSTM, gru.GRU, gru.GRU_BEFORE]
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)


def drawn(cell, T=4, m=3, n=2, N=5, seed=0, normed=False, dtype=np.float64):
    rng = np.random.default_rng(seed)
    shapes = {name: parse_rows(text, m, n) for name, text in cell.parameters.items()}
    if normed:
        shapes |= {"gU": (cell.gates * n, 1), "gW": (cell.gates * n, 1)}
    parameters = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    xs = rng.standard_normal((T, m, N)).astype(dtype)
    initial = tuple(rng.standard_normal((n, N)).astype(dtype) for _ in cell.states)
    dstates = tuple(rng.standard_normal((T, n, N)).astype(dtype) for _ in cell.states)
    return xs, initial, parameters, dstates


def parse_rows(text, m, n):
    sizes = {"m": m, "n": n, "1": 1, "3*n": 3 * n, "4*n": 4 * n}
    return tuple(sizes[axis] for axis in text.split())


def run(cell, xs, initial, parameters, dstates, **options):
    states, cache = sequence_forward(cell, xs, initial, parameters, **options)
    return states, sequence_backward(dstates, cache)


def same(ours, theirs, bound=1e-12):
    assert np.shape(ours) == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=bound, atol=bound)


def same_gradients(found, expected):
    assert set(found) == set(expected)
    for name, gradient in found.items():
        same(gradient, expected[name])


@each_cell
@pytest.mark.parametrize("normed", [False, True])
def test_a_sequence_is_its_steps_one_after_the_other(cell, normed):
    xs, states, parameters, dstates = drawn(cell, normed=normed)
    expected, gradients = run(cell, xs, states, parameters, dstates)
    caches = []
    for t, x in enumerate(xs):
        stepped, cache = sequence_forward(cell, x[None], states, parameters)
        states = tuple(s[0] for s in stepped)
        caches.append(cache)
        for s, whole in zip(states, expected, strict=True):
            same(s, whole[t])
    total, last = {}, [None] * len(states)
    for t in reversed(range(len(xs))):
        found = sequence_backward([d[t][None] for d in dstates], caches[t], dlast=last)
        same(found.pop("dxs")[0], gradients["dxs"][t])
        last = [found.pop(f"d{name}_0") for name in cell.states]
        total = {name: total.get(name, 0) + gradient for name, gradient in found.items()}
    same_gradients(total, {name: gradients[name] for name in total})
    for name, first in zip(cell.states, last, strict=True):
        same(first, gradients[f"d{name}_0"])


def test_a_step_of_the_sequence_is_the_vanilla_cell():
    for name, cell in rnn.CELLS.items():
        xs, (s,), parameters, ((ds,),) = drawn(cell, T=1)
        head = {"V": np.ones((1, 2)), "by": np.ones((1, 1))}
        s_next, _, cache = rnn.rnn_cell_forward(xs[0], s, parameters | head, activation=name)
        expected = rnn.rnn_cell_backward(ds, cache, activation=name)
        (states,), found = run(cell, xs, (s,), parameters, (ds[None],))
        same(states[0], s_next)
        same(found["dxs"][0], expected["dx_t"])
        same(found["ds_0"], expected["ds_prev"])
        for key in ("dU", "dW", "dba"):
            same(found[key], expected[key])


@each_cell
def test_against_time_is_time_with_the_inputs_turned_round(cell):
    xs, initial, parameters, dstates = drawn(cell)
    states, found = run(cell, xs, initial, parameters, dstates, reverse=True)
    turned, expected = run(cell, xs[::-1], initial, parameters, [d[::-1] for d in dstates])
    for s, t in zip(states, turned, strict=True):
        same(s, t[::-1])
    same(found.pop("dxs"), expected.pop("dxs")[::-1])
    same_gradients(found, expected)


@each_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_an_example_with_a_length_is_the_shorter_sequence(cell, reverse):
    xs, initial, parameters, dstates = drawn(cell, N=4)
    lengths = np.array([4, 0, 1, 3])
    for t, j in zip(*np.nonzero(~mask_of(lengths, 4)), strict=True):
        xs[t, :, j] = np.nan  # what stands beyond a length is never looked at
        for d in dstates:
            d[t, :, j] = 0
    mask = mask_of(lengths, 4)
    states, found = run(cell, xs, initial, parameters, dstates, mask=mask, reverse=reverse)
    total = {}
    for j, length in enumerate(lengths):
        one = slice(j, j + 1)
        alone, expected = run(
            cell,
            xs[:length, :, one],
            [first[:, one] for first in initial],
            parameters,
            [d[:length, :, one] for d in dstates],
            reverse=reverse,
        )
        for s, first, t in zip(states, initial, alone, strict=True):
            same(s[:length, :, one], t)
            carried = first[:, one] if reverse or not length else t[-1]
            same(s[length:, :, one], np.broadcast_to(carried, s[length:, :, one].shape))
        same(found["dxs"][:length, :, one], expected.pop("dxs"))
        assert not found["dxs"][length:, :, one].any()
        for name in cell.states:
            same(found[f"d{name}_0"][:, one], expected.pop(f"d{name}_0"))
        total = {name: total.get(name, 0) + gradient for name, gradient in expected.items()}
    same_gradients(total, {name: found[name] for name in total})


@each_cell
@pytest.mark.parametrize(
    ("sizes", "normed"),
    [({"T": 0}, False), ({"T": 0}, True), ({"N": 0}, False), ({"N": 0}, True), ({"m": 0}, False), ({"n": 0}, False)],
)
def test_an_empty_sequence_or_batch_is_valid(cell, sizes, normed):
    xs, initial, parameters, dstates = drawn(cell, **sizes, normed=normed)
    states, found = run(cell, xs, initial, parameters, dstates)
    assert [s.shape for s in states] == [d.shape for d in dstates]
    assert found["dxs"].shape == xs.shape
    shapes = {f"d{name}": value.shape for name, value in parameters.items()}
    assert {name: found[name].shape for name in shapes} == shapes
    if "m" not in sizes:
        assert not any(gradient.any() for gradient in found.values())


@each_cell
def test_the_last_states_may_have_cotangents_of_their_own(cell):
    xs, initial, parameters, dstates = drawn(cell)
    _, cache = sequence_forward(cell, xs, initial, parameters)
    alone = sequence_backward([None] * len(initial), cache, dlast=[d[-1] for d in dstates])
    for d in dstates:
        d[:-1] = 0
    same_gradients(alone, sequence_backward(dstates, cache))
    empty = sequence_forward(cell, xs[:0], initial, parameters)[1]
    found = sequence_backward([d[:0] for d in dstates], empty, dlast=[d[-1] for d in dstates])
    for name, d in zip(cell.states, dstates, strict=True):
        same(found[f"d{name}_0"], d[-1])


@each_cell
@pytest.mark.parametrize("every", [1, 3, 7, 9])
def test_truncated_gradients_are_those_of_segments_started_where_the_sequence_came_through(cell, every):
    xs, initial, parameters, dstates = drawn(cell, T=7)
    states, cache = truncated_forward(xs, initial, parameters, cell=cell, every=every)
    whole, gradients = run(cell, xs, initial, parameters, dstates)
    for s, t in zip(states, whole, strict=True):
        same(s, t)
    starts = [np.stack([first, *s[every - 1 : 6 : every]]) for first, s in zip(initial, states, strict=True)]
    anew, again = segments_forward(xs, starts, parameters, cell=cell, every=every)
    for s, t in zip(anew, whole, strict=True):
        same(s, t)
    found = segments_backward(dstates, cache)
    same_gradients(found, segments_backward(dstates, again))
    alike = np.allclose(found["dxs"], gradients["dxs"])
    assert alike == (every >= 7)


def test_a_check_of_truncated_gradients_as_those_of_the_whole_fails():
    def forward(xs, s_0, parameters):
        (states,), cache = truncated_forward(xs, (s_0,), parameters, cell=gru.GRU, every=2)
        return states, cache

    def backward(dstates, cache):
        found = segments_backward((dstates,), cache)
        return found | {"ds_0": found.pop("ds_starts")[0]}

    shapes = {"xs": "T m N", "s_0": "n N", "parameters": gru.GRU.parameters}
    pair = rg.pair(forward, backward, inputs=shapes, returns=("states", "cache"))
    assert rg.check(pair, rg.Case(T=2, m=2, N=1, n=2, seed=1)).verdict is rg.Verdict.PASS
    assert rg.check(pair, rg.Case(T=3, m=2, N=1, n=2, seed=1)).verdict is rg.Verdict.FAIL


@each_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normed", [False, True])
def test_neither_pass_changes_its_arrays_or_returns_one_twice(cell, dtype, normed):
    xs, initial, parameters, dstates = drawn(cell, dtype=dtype, normed=normed)
    mask = mask_of(np.array([4, 3, 2, 1, 0]), 4)
    for array in (xs, *initial, *parameters.values(), *dstates, mask):
        array.setflags(write=False)
    states, cache = sequence_forward(cell, xs, initial, parameters, mask=mask)
    first = sequence_backward(dstates, cache)
    kept = {name: gradient.copy() for name, gradient in first.items()}
    for gradient in first.values():
        gradient[...] = np.nan
    for s in states:
        s[...] = np.nan
    again = sequence_backward(dstates, cache)
    assert all(np.array_equal(again[name], kept[name]) for name in kept)
    assert {array.dtype for array in (*states, *again.values())} == {np.dtype(dtype)}


@each_cell
def test_arrays_of_any_layout_give_the_same(cell):
    given = drawn(cell)
    states, found = run(cell, *given)
    xs, initial, parameters, dstates = given
    turned = (
        np.asfortranarray(xs),
        [np.asfortranarray(s) for s in initial],
        {name: np.repeat(value, 2, axis=0)[::2] for name, value in parameters.items()},
        [np.asfortranarray(d) for d in dstates],
    )
    again, other = run(cell, *turned)
    for s, t in zip(states, again, strict=True):
        same(s, t)
    same_gradients(other, found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 16, 64, 80, 97, 160, 272, 1040])
@pytest.mark.parametrize("g", [1, 4])
def test_a_product_cut_into_blocks_is_the_product(n, g, dtype):
    rng = np.random.default_rng(n)
    N = 40  # from n = 272 on more than OpenBLAS calls small: the way back sums over parts
    W, s, d = (rng.standard_normal(shape).astype(dtype) for shape in ((g * n, n), (N, n), (N, g * n)))
    p = product_of(W, None, None, g, s)(0, s)
    ds = pullback_of(W, None, None, g, s, 1)(0, d.reshape(N, g, n), np.empty_like(s))
    bound = 100 * np.finfo(dtype).eps * max(n, 1)
    same(p.swapaxes(0, 1).reshape(N, g * n), s @ W.T, bound)
    same(ds, d @ W, bound)


@pytest.mark.parametrize(("T", "N"), [(0, 3), (2, 0), (1, 1), (5, 100), (3, 300)])
@pytest.mark.parametrize("m", [0, 1, 80])
def test_the_inputs_of_all_steps_are_multiplied_as_those_of_each(T, N, m):
    rng = np.random.default_rng(m)
    x, U, d = (rng.standard_normal(shape) for shape in ((T, N, m), (3 * 64, m), (T, N, 3, 64)))
    a = np.full((T, 3, N, 64), np.nan)
    multiply(x, U, a)
    same(a.swapaxes(1, 2).reshape(T, N, 3 * 64), x @ U.T)
    same(multiply_back(d, U).swapaxes(1, 2), d.reshape(T, N, 3 * 64) @ U)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("T", "N", "m", "n", "parts"),
    [
        *[(0, 3, 4, 4, 1), (4, 0, 4, 4, 1), (3, 4, 0, 4, 1), (9, 5, 3, 2, 1)],
        *[(64, 32, 64, 32, 8), (61, 32, 64, 64, 4), (64, 32, 16, 97, 8)],
        *[(67, 31, 64, 64, 1), (64, 32, 256, 64, 1), (64, 32, 64, 97, 1)],  # no divisor, too much to sum
    ],
)
def test_weight_gradients_summed_over_parts_are_the_product(T, N, m, n, parts, dtype):
    rng = np.random.default_rng(m)
    d, x = (rng.standard_normal(shape).astype(dtype) for shape in ((T, N, 2, n), (T, N, m)))
    assert summed(T * N, m, 2 * n, 8)[0] == parts
    bound = 100 * np.finfo(dtype).eps * max(T * N, 1)
    same(outer(d, x), d.reshape(T * N, 2 * n).T @ x.reshape(T * N, m), bound)
    same(outer(d[:, :, 1:], x), d[:, :, 1].reshape(T * N, n).T @ x.reshape(T * N, m), bound)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.longdouble])
def test_each_array_of_a_pass_starts_a_cache_line_of_its_own(dtype):
    shapes = [(3, 5), (), (0, 4), (7,), (2, 1, 900)]
    assert [array.shape for array in room(dtype, *shapes[:4])] == shapes[:4]
    found = room(dtype, *shapes)
    assert [array.shape for array in found] == shapes
    assert {array.dtype for array in found} == {np.dtype(dtype)}
    assert not any(array.ctypes.data % 64 for array in found if array.size)
    for number, array in enumerate(found):
        array[...] = number
    assert all((array == number).all() for number, array in enumerate(found))
