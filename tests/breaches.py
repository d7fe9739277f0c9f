"""Pairs that break the contract around a backward pass, each a right one with a single realistic protocol error.

`PLANTED` is the table: what makes the pair afresh, since many of them remember their calls, and what must be found, as
the kind of breach and the gradient that it concerns, "" for none. The numbers are right but where ``wrong`` names a
gradient.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rnngrad.pair import Pair, pair

SHAPES = {"x": "N d", "w": "d m", "b": "m"}


def forward(x, w, b):
    """Return tanh(x w + b)."""
    out = np.tanh(x @ w + b)
    return out, (x, w, out)


def backward(dout, cache):
    x, w, out = cache
    da = dout * (1 - out**2)
    return {"dx": da @ w.T, "dw": x.T @ da, "db": da.sum(axis=0)}


@dataclass(frozen=True)
class Planted:
    """A pair with one protocol error."""

    name: str
    make: Callable[[], Pair]
    found: frozenset[tuple[str, str]]
    wrong: tuple[str, ...] = ()


PLANTED: list[Planted] = []


def planted(*found, wrong=(), **declared):
    """Add a row: the decorated function returns forward and backward, each None for the right one."""

    def add(make):
        def build():
            f, b = make()
            return pair(f or forward, b or backward, **({"inputs": SHAPES, "name": make.__name__} | declared))

        PLANTED.append(Planted(make.__name__, build, frozenset(found), wrong))
        return make

    return add


def changed(change):
    """Return a backward pass whose gradients are changed by a function of them, the cotangent and the cache."""
    return lambda dout, cache: change(backward(dout, cache), dout, cache)


# ---- what is changed in place


@planted(("inputs", ""))
def forward_centres_its_input():
    def f(x, w, b):
        x *= 0.5
        return np.tanh(2 * x @ w + b), (2 * x, w, np.tanh(2 * x @ w + b))

    return f, None


@planted(("inputs", ""))
def forward_writes_into_a_parameter():
    def f(x, w, b):
        out = forward(x, w, b.copy())
        b[0] += 1.0
        return out

    return f, None


@planted(("inputs", ""))
def backward_updates_a_parameter():
    def b(dout, cache):
        gradients = backward(dout, cache)
        cache[1][...] -= 0.1 * gradients["dw"]
        return gradients

    return None, b


@planted(("cotangent", ""))
def backward_multiplies_its_cotangent_in_place():
    def b(dout, cache):
        x, w, out = cache
        dout *= 1 - out**2
        return {"dx": dout @ w.T, "dw": x.T @ dout, "db": dout.sum(axis=0)}

    return None, b


@planted(("cotangent", ""))
def backward_zeroes_one_entry_of_its_cotangent_afterwards():
    def b(dout, cache):
        gradients = backward(dout, cache)
        dout[0, 0] = 0.0
        return gradients

    return None, b


@planted(("outputs", ""))
def backward_squares_an_output_in_place():
    def b(dout, cache):
        x, w, out = cache
        np.square(out, out=out)
        da = dout * (1 - out)
        return {"dx": da @ w.T, "dw": x.T @ da, "db": da.sum(axis=0)}

    return None, b


def cached_slope(x, w, b):
    out = np.tanh(x @ w + b)
    return out, {"x": x, "w": w, "slope": 1 - out**2}


@planted(("cache", ""))
def backward_multiplies_into_the_cache():
    def b(dout, cache):
        da = cache["slope"]
        da *= dout
        return {"dx": da @ cache["w"].T, "dw": cache["x"].T @ da, "db": da.sum(axis=0)}

    return cached_slope, b


@planted(("cache", ""))
def backward_pops_from_the_cache():
    def b(dout, cache):
        da = dout * cache.pop("slope")
        return {"dx": da @ cache["w"].T, "dw": cache["x"].T @ da, "db": da.sum(axis=0)}

    return cached_slope, b


@planted(("cache", ""))
def backward_empties_a_list_of_steps():
    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, [cache]

    return f, lambda dout, steps: backward(dout, steps.pop())


@planted(("cache", ""))
def backward_counts_in_an_object():
    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, SimpleNamespace(cache=cache, calls=0)

    def b(dout, kept):
        kept.calls += 1
        return backward(dout, kept.cache)

    return f, b


# ---- memory that is shared


def add(x, y):
    return x + y


TWO = {"x": "n m", "y": "n m"}


@planted(("alias", "y"), inputs=TWO)
def two_gradients_are_one_array():
    return add, lambda dout, x, y: (2 * dout / 2,) * 2


@planted(("alias", "y"), inputs=TWO)
def two_gradients_are_the_cotangent():
    return add, lambda dout, x, y: (dout, dout.reshape(x.shape))


@planted(("alias", "y"), inputs=TWO)
def two_gradients_overlap_in_one_buffer():
    def b(dout, *_):
        buffer = np.concatenate([dout, dout])
        return buffer[: len(dout)], buffer[: len(dout)][::-1][::-1]

    return add, b


@planted(("alias", "x"), inputs={"x": "n", "y": "n"})
def a_gradient_is_an_array_of_the_cache():
    def f(x, y):
        return x @ y, {"dx": 1 * y, "dy": 1 * x}

    def b(dout, cache):
        return {"dx": cache["dx"] if dout == 1 else dout * cache["dx"], "dy": dout * cache["dy"]}

    return f, b


@planted(("alias", "x"), inputs={"x": "n", "y": "n"})
def a_gradient_is_an_input():
    return (lambda x, y: x @ y), lambda dout, x, y: (y if dout == 1 else dout * y, dout * x)


@planted(("buffer", "w"))
def a_gradient_stands_in_a_buffer_of_the_function():
    room = {}

    def b(dout, cache):
        gradients = backward(dout, cache)
        dw = room.setdefault(gradients["dw"].shape, np.empty_like(gradients["dw"]))
        dw[...] = gradients["dw"]
        return gradients | {"dw": dw}

    return None, b


@planted(("buffer", "x"), ("buffer", "w"), ("buffer", "b"))
def all_gradients_stand_in_buffers():
    room = {}

    def b(dout, cache):
        gradients = backward(dout, cache)
        for name, value in gradients.items():
            room.setdefault((name, value.shape), np.empty_like(value))[...] = value
        return {name: room[name, value.shape] for name, value in gradients.items()}

    return None, b


@planted(("buffer", ""))
def forward_returns_a_view_of_a_shared_buffer():
    room = np.empty(100)

    def f(x, w, b):
        out, cache = forward(x, w, b)
        view = room[: out.size].reshape(out.shape)
        view[...] = out
        return view, cache

    return f, None


# ---- chance


@planted(("random", ""), wrong=("x", "w", "b"))
def forward_drops_units_at_random():
    rng = np.random.default_rng(0)

    def f(x, w, b):
        out, (x, w, s) = forward(x, w, b)
        keep = rng.random(out.shape) < 0.5
        return out * keep, (x, w, s, keep)

    return f, lambda dout, cache: backward(dout * cache[3], cache[:3])


@planted(("random", ""), wrong=("x", "w", "b"))
def forward_carries_running_statistics():
    state = {"mean": 0.0}

    def f(x, w, b):
        state["mean"] = 0.9 * state["mean"] + 0.1
        out, cache = forward(x, w, b)
        return out + state["mean"], cache

    return f, None


@planted(("random", ""), wrong=("w",))
def backward_adds_noise():
    rng = np.random.default_rng(0)
    return None, changed(lambda g, *_: g | {"dw": g["dw"] + 1e-7 * rng.standard_normal(g["dw"].shape)})


@planted(("random", ""), wrong=("x", "w", "b"))
def backward_drops_units_of_its_own():
    rng = np.random.default_rng(0)

    def b(dout, cache):
        keep = rng.random(dout.shape) < 0.9
        return backward(dout * keep / 0.9, cache)

    return None, b


# ---- one cache, several backward passes


@planted(("reuse", ""))
def a_generator_in_the_cache_is_used_up():
    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, (part for part in cache)

    return f, lambda dout, cache: backward(dout, tuple(cache))


@planted(("reuse", ""))
def backward_refuses_a_second_call():
    def f(x, w, b):
        out, cache = forward(x, w, b)
        return out, Once(cache)

    return f, lambda dout, cache: backward(dout, cache.take())


class Once:
    """What can be taken once; its attributes do not tell."""

    __slots__ = ("cache", "taken")

    def __init__(self, cache):
        self.cache, self.taken = cache, False

    def take(self):
        if self.taken:
            raise RuntimeError("the graph is freed")
        self.taken = True
        return self.cache


@planted(("reuse", "x"), ("reuse", "w"), ("reuse", "b"))
def the_result_is_kept_for_each_cache():
    kept = []

    def b(dout, cache):
        for key, gradients in kept:
            if key is cache:
                return {name: value.copy() for name, value in gradients.items()}
        kept.append((cache, backward(dout, cache)))
        return {name: value.copy() for name, value in kept[-1][1].items()}

    return None, b


@planted(("reuse", "w"))
def one_result_is_kept_for_each_cache():
    kept = []

    def b(dout, cache):
        gradients = backward(dout, cache)
        found = [dw for key, dw in kept if key is cache]
        if not found:
            kept.append((cache, gradients["dw"].copy()))
        return gradients | ({"dw": found[0].copy()} if found else {})

    return None, b


# ---- calls that disturb each other


@planted(("interleaved", ""))
def backward_uses_what_the_last_forward_saw():
    last = {}

    def f(x, w, b):
        out, last["cache"] = forward(x, w, b)
        return out, None

    return f, lambda dout, _: backward(dout, last["cache"])


@planted(("interleaved", ""))
def backward_uses_the_last_parameters():
    last = {}

    def f(x, w, b):
        last["w"] = w
        return forward(x, w, b)

    return f, lambda dout, cache: backward(dout, (cache[0], last["w"], cache[2]))


@planted(("interleaved", ""))
def the_cache_lies_in_a_workspace():
    room = {}

    def f(x, w, b):
        out = np.tanh(x @ w + b)
        work = room.setdefault(out.shape, np.empty(out.shape))
        work[...] = 1 - out**2
        return out, (x, w, work)

    def b(dout, cache):
        x, w, slope = cache
        da = dout * slope
        return {"dx": da @ w.T, "dw": x.T @ da, "db": da.sum(axis=0)}

    return f, b


@planted(("interleaved", ""))
def caches_lie_on_a_stack():
    stack = []

    def f(x, w, b):
        out, cache = forward(x, w, b)
        stack.append(cache)
        return out, len(stack)

    return f, lambda dout, height: backward(dout, stack[-1] if height == len(stack) else stack[height % len(stack)])


@planted(("state", ""))
def gradients_accumulate_over_calls():
    total = {}

    def b(dout, cache):
        for name, value in backward(dout, cache).items():
            total[name] = total.get(name, 0) + value
        return {name: value.copy() for name, value in total.items()}

    return None, b


@planted(("state", ""))
def gradients_accumulate_in_a_buffer():
    total = {}

    def b(dout, cache):
        for name, value in backward(dout, cache).items():
            total.setdefault(name, np.zeros_like(value)).__iadd__(value)
        return dict(total)

    return None, b


@planted(("state", ""))
def one_gradient_accumulates():
    total = []

    def b(dout, cache):
        gradients = backward(dout, cache)
        total.append(gradients["db"])
        return gradients | {"db": sum(total)}

    return None, b


@planted(("state", ""))
def a_schedule_decays_the_gradients():
    count = itertools.count()

    def b(dout, cache):
        scale = 0.5 if next(count) else 1.0
        return {name: scale * value for name, value in backward(dout, cache).items()}

    return None, b


@planted(("remembered", ""))
def backward_goes_on_with_its_first_cache():
    first = []

    def b(dout, cache):
        first.append(tuple(part.copy() for part in cache))
        return backward(dout, first[0])

    return None, b


@planted(("remembered", ""))
def backward_goes_on_with_its_first_slope():
    first = []

    def b(dout, cache):
        x, w, out = cache
        first.append(1 - out**2)
        da = dout * first[0]
        return {"dx": da @ w.T, "dw": x.T @ da, "db": da.sum(axis=0)}

    return None, b


@planted(("remembered", ""))
def backward_goes_on_with_its_first_result():
    first = []

    def b(dout, cache):
        first.append(backward(dout, cache))
        return {name: value.copy() for name, value in first[0].items()}

    return None, b


# ---- linear in the cotangent

EVERY = ("x", "w", "b")


@planted(*(("linear", name) for name in EVERY))
def the_cotangent_is_clipped():
    return None, lambda dout, cache: backward(np.clip(dout, -5, 5), cache)


@planted(("linear", "w"))
def a_gradient_is_clipped():
    return None, changed(lambda g, *_: g | {"dw": np.clip(g["dw"], -100, 100)})


@planted(*(("linear", name) for name in EVERY))
def the_norm_is_capped():
    def cap(g, *_):
        norm = np.sqrt(sum((value**2).sum() for value in g.values()))
        return {name: value * min(1, 1e3 / norm) if norm else value for name, value in g.items()}

    return None, changed(cap)


@planted(*(("linear", name) for name in EVERY), wrong=EVERY)
def the_cotangent_is_ignored():
    return None, lambda dout, cache: backward(np.ones_like(dout), cache)


@planted(*(("linear", name) for name in EVERY), wrong=EVERY)
def the_cotangent_is_taken_for_one_hot():
    def b(dout, cache):
        single = np.zeros_like(dout)
        place = np.unravel_index(np.abs(dout).argmax(), dout.shape)
        single[place] = dout[place]
        return backward(single, cache)

    return None, b


@planted(("linear", "b"))
def a_little_is_added():
    return None, changed(lambda g, *_: g | {"db": g["db"] + 1e-16})


@planted(("linear", "w"))
def tiny_gradients_are_flushed_to_zero():
    return None, changed(lambda g, *_: g | {"dw": np.where(np.abs(g["dw"]) < 1e-5, 0, g["dw"])})


@planted(("linear", ""))
def backward_divides_by_the_norm_of_its_cotangent():
    def b(dout, cache):
        norm = float(np.linalg.norm(dout))
        if norm == 0:
            raise ZeroDivisionError("no direction")
        return {name: value * norm for name, value in backward(dout / norm, cache).items()}

    return None, b


@planted(*(("linear", name) for name in EVERY))
def a_zero_cotangent_gives_nan():
    def b(dout, cache):
        with np.errstate(all="ignore"):
            return {name: value * (dout.sum() / dout.sum()) for name, value in backward(dout, cache).items()}

    return None, b


@planted(("linear", ""))
def backward_asserts_that_its_cotangent_is_dense():
    def b(dout, cache):
        assert dout.all(), "a cotangent of zeros"
        return backward(dout, cache)

    return None, b


# ---- shapes, dtypes


@planted(("shape", "b"))
def a_gradient_keeps_an_axis_that_broadcast():
    return None, changed(lambda g, *_: g | {"db": g["db"][None]})


@planted(("shape", "w"))
def a_gradient_is_flat():
    return None, changed(lambda g, *_: g | {"dw": g["dw"].ravel()})


@planted(("type", "w"))
def a_gradient_is_a_list():
    return None, changed(lambda g, *_: g | {"dw": g["dw"].tolist()})


@planted(("type", "b"))
def a_gradient_is_complex():
    return None, changed(lambda g, *_: g | {"db": g["db"] + 0j})


@planted(("type", "b"))
def a_gradient_holds_objects():
    return None, changed(lambda g, *_: g | {"db": g["db"].astype(object)})


@planted(("none", "b"))
def a_gradient_is_none():
    return None, changed(lambda g, *_: g | {"db": None})


@planted(("dtype", "w"), wrong=("w",))
def a_gradient_comes_in_single_precision():
    return None, changed(lambda g, *_: g | {"dw": g["dw"].astype(np.float32)})


@planted(("dtype", "w"))
def a_gradient_comes_in_extended_precision():
    return None, changed(lambda g, *_: g | {"dw": g["dw"].astype(np.longdouble)})


@planted(("dtype", "w"), wrong=("w",))
def a_gradient_went_through_single_precision():
    return None, changed(lambda g, *_: g | {"dw": g["dw"].astype(np.float32).astype(np.float64)})


# ---- layout


@planted(("layout", "w"))
def a_gradient_is_raveled_as_it_lies_in_memory():
    def b(dout, cache):
        x, w, out = cache
        da = dout * (1 - out**2)
        dw = (x.T @ da).ravel() * w.ravel(order="K") / np.where(w == 0, 1, w).ravel()
        return backward(dout, cache) | {"dw": dw.reshape(w.shape)}

    return None, b


@planted(("layout", ""))
def forward_needs_arrays_that_it_can_write_to():
    def f(x, w, b):
        x.flags.writeable = x.flags.writeable
        x += 0
        return forward(x, w, b)

    return f, None


@planted(("layout", ""))
def forward_reshapes_in_place():
    def f(x, w, b):
        flat = x.view()
        flat.shape = (x.size,)
        return forward(flat.reshape(x.shape), w, b)

    return f, None


# ---- None for a cotangent

HEADS = {"returns": ("out", "total", "cache"), "optional": ("total",)}


def two_heads(x, w, b):
    out, cache = forward(x, w, b)
    return out, out.sum(), cache


@planted(("optional", ""), **HEADS)
def none_is_not_taken():
    return two_heads, lambda dout, dtotal, cache: backward(dout + dtotal, cache)


@planted(("optional", "x"), ("optional", "w"), ("optional", "b"), **HEADS)
def none_is_taken_for_one():
    return two_heads, lambda dout, dtotal, cache: backward(dout + (1.0 if dtotal is None else dtotal), cache)


# ---- batches


@planted(("batch", ""), batch="N")
def forward_centres_the_batch():
    def f(x, w, b):
        return forward(x - x.mean(axis=0), w, b)

    def b(dout, cache):
        g = backward(dout, cache)
        return g | {"dx": g["dx"] - g["dx"].mean(axis=0)}

    return f, b


@planted(("batch", "w"), batch="N", wrong=("w",))
def a_gradient_is_averaged_over_the_batch():
    return None, changed(lambda g, dout, _: g | {"dw": g["dw"] / len(dout)})


@planted(("batch", "x"), batch="N", wrong=("x",))
def a_gradient_is_that_of_the_next_example():
    return None, changed(lambda g, *_: g | {"dx": np.roll(g["dx"], 1, axis=0)})


@planted(("batch", ""), batch="N")
def forward_fails_for_a_single_example():
    def f(x, w, b):
        if len(x) < 2:
            raise ValueError("a batch is needed")
        return forward(x, w, b)

    return f, None
