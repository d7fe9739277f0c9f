"""Objectives and Jacobians as pairs: each derivative is held against what it derives, and named when it is wrong."""

import numpy as np
import pytest

import rnngrad as rg

A = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, -1.0], [1.0, 0.0, 1.0]])


def fun(x):
    return np.sum(np.exp(x) * x[::-1])


def jac(x):
    return np.exp(x) * x[::-1] + np.exp(x[::-1])


def hess(x):
    return np.diag(np.exp(x) * x[::-1]) + np.fliplr(np.diag(np.exp(x) + np.exp(x[::-1])))


def hessp(x, p):
    return hess(x) @ p


RIGHT = {"jac": jac, "hess": hess, "hessp": hessp}
WRONG = {
    "jac": lambda x: jac(x) + 1e-6,
    "hess": lambda x: hess(x) * (1 + 1e-7),
    "hessp": lambda x, p: hess(x) @ np.abs(p),
}
CASES = [rg.Case(n=n, seed=seed) for n in (2, 3, 4) for seed in (0, 5)]


def failed(pair, case):
    return {gradient.name for gradient in rg.check(pair, case).gradients if gradient.verdict is rg.Verdict.FAIL}


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_right_derivatives_of_an_objective_pass(case):
    assert rg.check(rg.objective(fun, **RIGHT, inputs={"x": "n"}), case).verdict is rg.Verdict.PASS


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("case", CASES, ids=repr)
def test_the_wrong_derivative_of_an_objective_is_named(name, case):
    derivatives = RIGHT | {name: WRONG[name]}
    expected = {"jac", "hess", "hessp"} if name == "jac" else {name}
    found = failed(rg.objective(fun, **derivatives, inputs={"x": "n"}), case)
    assert name in found
    assert found <= expected


class Operator:
    """A linear operator as SciPy has it: it is known by its products only."""

    def __init__(self, matrix):
        self.matrix = matrix

    def matmat(self, columns):
        return self.matrix @ columns


class Sparse:
    """A sparse matrix as SciPy has it: numpy makes an array of one object of it."""

    def __init__(self, matrix):
        self.matrix = matrix

    def toarray(self):
        return self.matrix


@pytest.mark.parametrize("kind", [Operator, Sparse])
@pytest.mark.parametrize(("factor", "wrong"), [(1.0, set()), (1 + 1e-7, {"hess"})])
def test_a_hessian_may_be_sparse_or_an_operator(kind, factor, wrong):
    pair = rg.objective(fun, jac=jac, hess=lambda x: kind(factor * hess(x)), inputs={"x": "n"})
    assert failed(pair, rg.Case(n=3, seed=1)) == wrong


def test_a_hessian_may_be_what_scipy_calls_sparse_or_an_operator():
    sparse, linalg = pytest.importorskip("scipy.sparse"), pytest.importorskip("scipy.sparse.linalg")
    for kind in (sparse.csr_matrix, sparse.coo_array, linalg.aslinearoperator):
        pair = rg.objective(fun, jac=jac, hess=lambda x, kind=kind: kind(hess(x)), inputs={"x": "n"})
        assert rg.check(pair, rg.Case(n=3, seed=1)).verdict is rg.Verdict.PASS


def test_a_hessian_that_is_transposed_is_wrong_where_it_is_not_symmetric():
    pair = rg.objective(
        lambda x: x @ A @ x, jac=lambda x: (A + A.T) @ x, hess=lambda x: 2 * A + 0 * x, inputs={"x": "3"}
    )
    assert failed(pair, rg.Case(seed=1)) == {"hess"}


def test_one_given_array_stands_for_every_derivative():
    report = rg.check(rg.objective(fun, **RIGHT, inputs={"x": "n"}), {"x": np.array([0.5, -1.0, 2.0])})
    assert [gradient.name for gradient in report.gradients] == ["jac", "hess", "hessp"]
    assert report.verdict is rg.Verdict.PASS
    assert report.sizes == {"n": 3}


def curve(x):
    return np.array([[x[0] * x[1], np.sin(x[0])], [x[1] ** 3, x[0] - x[1]]])


def curve_jac(x):
    return np.array([[[x[1], x[0]], [np.cos(x[0]), 0.0]], [[0.0, 3 * x[1] ** 2], [1.0, -1.0]]])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_right_jacobian_of_any_shape_passes_and_a_transposed_one_fails(seed):
    right = rg.jacobian(curve, curve_jac, inputs={"x": "2"})
    wrong = rg.jacobian(curve, lambda x: np.swapaxes(curve_jac(x), 0, 1), inputs={"x": "2"})
    assert rg.check(right, rg.Case(seed=seed)).verdict is rg.Verdict.PASS
    assert failed(wrong, rg.Case(seed=seed)) == {"x"}


def test_the_pairs_are_named_after_their_function():
    assert rg.objective(fun, jac=jac, inputs={"x": "n"}).name == "fun"
    assert rg.objective(fun, jac=jac, inputs={"x": "n"}, name="mine").name == "mine"
    assert rg.jacobian(curve, curve_jac, inputs={"x": "2"}).name == "curve"


BAD = [
    ("two inputs", lambda: rg.objective(fun, jac=jac, inputs={"x": "n", "y": "n"}), "one input"),
    ("no inputs", lambda: rg.objective(fun, jac=jac, inputs="n"), "one input"),
    ("no jac", lambda: rg.objective(fun, jac=None, inputs={"x": "n"}), "jac is a function, got None"),
    ("a number for hess", lambda: rg.objective(fun, jac=jac, hess=3, inputs={"x": "n"}), "hess is a function, got 3"),
    ("a number for f", lambda: rg.jacobian(3, jac, inputs={"x": "n"}), "f is a function, got 3"),
    ("two inputs of a Jacobian", lambda: rg.jacobian(fun, jac, inputs={"x": "n", "y": "n"}), "one input"),
    (
        "a gradient that is too long",
        lambda: rg.check(rg.objective(fun, jac=lambda x: np.zeros(9), inputs={"x": "n"}), rg.Case(n=2)),
        r"jac returned shape \(9,\), expected \(2,\)",
    ),
    (
        "a Jacobian the other way round",
        lambda: rg.check(rg.jacobian(lambda x: A[:2] @ x, lambda x: A[:2].T, inputs={"x": "3"}), rg.Case()),
        r"jac returned shape \(3, 2\), expected \(2, 3\)",
    ),
]


@pytest.mark.parametrize(("call", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_misuse_is_an_invalid_pair(call, words):
    with pytest.raises(rg.InvalidPair, match=words):
        call()
