"""What is said of places holds with other values; what is wrong for its values is not called wrong for its place."""

import numpy as np
import pytest

import rnngrad as rg


def huber(x, t):
    r = x - t
    size = np.abs(r)
    return np.where(size <= 1, 0.5 * r * r, size - 0.5).sum(), r


def huber_backward(dout, r):
    slope = np.where(np.abs(r) <= 1, r, 1.0)  # np.sign(r) beyond
    return dout * slope, -dout * slope


def pinball(x, t):
    r = t - x
    return np.maximum(0.9 * r, -0.1 * r).mean(), r


def pinball_backward(dout, r):
    return dout * np.where(r > 0, -0.9, -0.1) / r.size, -dout * np.where(r > 0, -0.9, 0.1) / r.size


def attend(s, v):
    s = np.where(np.tril(np.ones_like(s, bool)), s, -np.inf)
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p @ v, (p, v)


def attend_backward(scores, values):
    def backward(dout, cache):
        p, v = cache
        return scores(p, dout @ v.T), values(p) @ dout

    return rg.pair(attend, backward, inputs={"s": "T T", "v": "T d"}, name="attend")


def softmax_backward(p, dp):
    return p * (dp - (p * dp).sum(axis=1, keepdims=True))


def elu(x):
    y = np.where(x > 0, x, np.expm1(x))
    return y, (x, y)


def propagate(x, A):
    return (A + np.eye(len(A))) @ x / (A.sum(axis=1, keepdims=True) + 1), A


HUBER = rg.pair(huber, huber_backward, inputs={"x": "N", "t": "N"})
PINBALL = rg.pair(pinball, pinball_backward, inputs={"x": "N", "t": "N"})
NOT_TRANSPOSED = attend_backward(softmax_backward, lambda p: p)
DIAGONAL = attend_backward(lambda p, dp: p * (1 - p) * dp, lambda p: p.T)
ELU = rg.pair(elu, lambda dout, cache: np.where(cache[0] > 0, dout, dout * cache[1]), inputs={"x": "N D"}, name="elu")
SMALL_ELU = rg.pair(
    elu,
    lambda dout, cache: np.where(cache[0] > 0, dout, dout * cache[1]),
    inputs={"x": rg.Array("N D", low=-0.9, high=0.9)},
    name="elu",
)
PROPAGATE = rg.pair(
    propagate,
    lambda dout, A: {"dx": A.T @ dout},
    inputs={"x": "n d", "A": rg.Array("n n", low=0, high=1)},
    wrt=("x",),
    name="propagate",
)


def told(pair, case, name):
    report = rg.check(pair, case)
    assert report[name].verdict is rg.Verdict.FAIL
    return " ".join(one.message for one in report[name].diagnoses)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("pair", "dims", "name", "words", "never"),
    [
        (PINBALL, {"N": 8}, "x", "but in some entries, where it is of the other sign", "absolute"),
        (NOT_TRANSPOSED, {"T": 4, "d": 2}, "v", "applied the wrong way round: J v", "flowing back"),
        (DIAGONAL, {"T": 4, "d": 2}, "s", "", "first step"),
        (ELU, {"N": 5, "D": 4}, "x", "", "tanh"),
        (SMALL_ELU, {"N": 5, "D": 4}, "x", "in some entries", "tanh"),
        (ELU, {"N": 5, "D": 4}, "x", "", "index along N"),
        (PROPAGATE, {"n": 4, "d": 3}, "x", "", "A times the true gradient"),
    ],
)
def test_an_error_is_not_put_down_to_what_it_has_nothing_to_do_with(pair, dims, name, words, never, seed):
    message = told(pair, rg.Case(**dims, seed=seed), name)
    assert words in message
    assert never not in message


@pytest.mark.parametrize("seed", range(40))
def test_a_lost_sign_of_large_residuals_is_not_put_down_to_the_first_ones(seed):
    case = rg.Case(N=1, seed=seed)
    report = rg.check(HUBER, case)
    if report.verdict is rg.Verdict.FAIL:
        assert "index along" not in str(report)
        assert "of the other sign" in str(report) or "sign turned" in str(report)


def test_an_absolute_value_is_one_whatever_the_sign_of_the_cotangent():
    pair = rg.pair(
        lambda w: (np.sin(w), w), lambda dout, w: np.abs(dout * np.cos(w)), inputs={"w": "n"}, name="absolute"
    )
    assert "the absolute value of the true gradient" in told(pair, rg.Case(n=4, seed=0), "w")


def embed(W, idx):
    return W[idx], (W.shape, idx)


def embed_backward(dout, cache):
    shape, idx = cache
    dW = np.zeros(shape)
    dW[idx] += dout  # np.add.at
    return {"dW": dW}


def look_up(image, place):
    """Return an image at places between its pixels, the nearer of which count for more."""
    low = np.minimum(place.astype(int), len(image) - 2)
    share = place - low
    return (1 - share) * image[low] + share * image[low + 1], (len(image), low, share)


def look_up_backward(dout, cache):
    size, low, share = cache
    dimage = np.zeros(size)
    dimage[low] += (1 - share) * dout
    dimage[low + 1] += share * dout
    return {"dimage": dimage}


EMBED = rg.pair(embed, embed_backward, inputs={"W": "V D", "idx": rg.Array("n", below="V")}, name="embed")
LOOK_UP = rg.pair(
    look_up,
    look_up_backward,
    inputs={"image": "6", "place": rg.Array("n", low=0, high=5)},
    wrt=("image",),
    name="look_up",
)


@pytest.mark.parametrize("idx", [[0, 0], [1, 1, 1], [3, 0, 3], [4, 2, 0, 2]])
def test_repeated_indices_are_named_and_not_put_down_to_their_number(idx):
    W = np.random.default_rng(0).normal(size=(5, 3))
    message = told(EMBED, {"W": W, "idx": np.array(idx)}, "W")
    assert "dW is right while no number in idx comes twice: is what comes back to one place added up?" in message
    assert ">= 3" not in message


@pytest.mark.parametrize("case", [rg.Case(V=1, D=1, n=2, seed=0), rg.Case(V=4, D=2, n=6, seed=3)])
def test_repeated_indices_are_named_where_there_is_no_room_for_others(case):
    assert "no number in idx comes twice" in told(EMBED, case, "W")


def test_repeated_indices_are_named_where_their_mean_is_taken():
    def forward(W, idx):
        return W[idx].mean(axis=0), (W.shape, idx)

    def backward(dout, cache):
        shape, idx = cache
        dW = np.zeros(shape)
        dW[idx] += dout / len(idx)
        return {"dW": dW}

    pair = rg.pair(forward, backward, inputs={"W": "V D", "idx": rg.Array("n", below="V")}, name="bag")
    assert "no number in idx comes twice" in told(pair, rg.Case(V=1, D=1, n=2, seed=0), "W")


def test_where_more_room_makes_a_gradient_right_nothing_is_said_of_repeated_indices():
    def narrow(dout, cache):
        shape, idx = cache
        dW = np.zeros(shape)
        np.add.at(dW, idx, dout)
        return {"dW": dW + (np.arange(dW.size).reshape(shape) ** 2 * dout.sum() if len(dW) < 3 else 0)}

    pair = rg.pair(embed, narrow, inputs={"W": "V D", "idx": rg.Array("n", below="V")}, name="narrow")
    assert "comes twice" not in told(pair, rg.Case(V=2, D=3, n=2, seed=0), "W")


@pytest.mark.parametrize("seed", range(3))
def test_places_that_come_twice_are_not_put_down_to_their_number(seed):
    message = told(LOOK_UP, rg.Case(n=6, seed=seed), "image")
    assert ">= 3" not in message
    assert "right whenever n = 1" in message


def test_a_gradient_that_is_wrong_whatever_the_indices_is_not_put_down_to_repeated_ones():
    def doubled(dout, cache):
        dW = np.zeros(cache[0])
        np.add.at(dW, cache[1], dout * (1 + dout))
        return {"dW": dW}

    pair = rg.pair(embed, doubled, inputs={"W": "V D", "idx": rg.Array("n", below="V")}, name="doubled")
    assert "comes twice" not in told(pair, rg.Case(V=5, D=3, n=3, seed=0), "W")


def test_what_is_right_for_a_constant_of_one_sign_is_not_right_while_it_is_constant():
    bent = rg.pair(
        lambda x: (np.where(x > 0, x, x**3), x),
        lambda dout, x: dout * np.where(x > 0, 1, 3 * x**2 + np.sin(x)),
        inputs={"x": "N D"},
        name="bent",
    )
    x = np.abs(np.random.default_rng(0).normal(size=(5, 4))) - 0.2
    assert "nothing that was tried explains dx" in told(bent, {"x": x}, "x")


def prelu(x, a):
    return np.where(x > 0, x, a * x), (x, a)


def leaky(x):
    return np.where(x > 0, x, 0.1 * x), x


PRELU = rg.pair(
    prelu,
    lambda dout, cache: {"dx": dout * np.where(cache[0] > 0, 1, 1 - cache[1])},
    inputs={"x": "N D", "a": "D"},
    wrt=("x",),
    name="prelu",
)
LEAKY = rg.pair(leaky, lambda dout, x: dout * np.where(x > 0, 1, 0.037), inputs={"x": "N D"}, name="leaky")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (PRELU, "1 - a in the place of a"),
        (LEAKY, "the true gradient but in some entries, where it is 0.37 times what it should be"),
        (ELU, "the true gradient with -1 times the cotangent of out added to it in some entries: a direct path"),
    ],
)
def test_what_is_wrong_on_one_side_of_a_kink_alone_is_named(pair, words, seed):
    assert told(pair, rg.Case(N=5, D=4, seed=seed), "x").startswith(f"dx is consistent with {words}")


def test_what_goes_wrong_at_no_other_draw_is_not_put_down_to_its_place():
    pair = rg.pair(
        lambda x: (np.sin(x), x), lambda dout, x: dout * np.cos(x) * np.where(x > 10, 2, 1), inputs={"x": "n"}
    )
    message = told(pair, {"x": np.array([20.0, 0.3, 0.4, 0.5])}, "x")
    assert "index" not in message
    assert "entry" not in message


def largest_two(x):
    order = np.argsort(-x, axis=1)[:, :2]
    return np.take_along_axis(x, order, axis=1), (x.shape, order)


def largest_two_backward(dout, cache):
    shape, order = cache
    dx = np.zeros(shape)
    np.put_along_axis(dx, order, dout[:, ::-1], axis=1)
    return dx


def test_what_is_swapped_by_values_in_a_single_row_is_not_put_down_to_blocks():
    pair = rg.pair(largest_two, largest_two_backward, inputs={"x": "N 6"})
    x = np.random.default_rng(0).normal(size=(3, 6))
    assert "block" not in told(pair, {"x": x}, "x")


def test_what_flows_on_in_the_place_of_back_is_no_recurrent_term_missing():
    def backward(dout, _):
        dx = dout.copy()
        dx[2:] += dout[1:-1]
        return dx

    pair = rg.pair(lambda x: (np.cumsum(x, axis=0), 0), backward, inputs={"x": "T n"})
    assert "flowing back" not in told(pair, rg.Case(T=4, n=2, seed=1), "x")


def test_where_all_else_is_zero_nothing_is_said_of_the_places_that_are_wrong():
    pair = rg.pair(
        lambda A, x: (np.tril(A, -1) @ x, x),
        lambda dout, x: {"dA": np.tril(1.3 * np.cumsum(dout @ x.T, axis=1), -1)},
        inputs={"A": "n n", "x": "n k"},
        wrt=("A",),
    )
    assert "nothing that was tried explains dA" in told(pair, rg.Case(n=5, k=3, seed=1), "A")
