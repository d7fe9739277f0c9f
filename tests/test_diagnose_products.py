"""A term that is a matrix product is named where it is missing, of the wrong size or sign, or another one's place."""

import numpy as np
import pytest

import rnngrad as rg


def quadratic(x, W):
    return x @ W @ x, (x, W)


def quadratic_rows(x, W):
    return np.einsum("ni,ij,nj->n", x, W, x), (x, W)


def distances(x, c):
    return ((x[:, None] - c[None]) ** 2).sum(axis=-1), (x, c)


VECTOR = {"x": "n", "W": "n n"}
ROWS = {"x": "N n", "W": "n n"}
CENTRES = {"x": "N d", "c": "K d"}
WRONG = {
    "one side of a quadratic form": (
        rg.pair(quadratic, lambda d, c: (d * (c[1] @ c[0]), d * np.outer(c[0], c[0])), inputs=VECTOR),
        "-1 times dout * (x @ W) added",
    ),
    "one side of a quadratic form of rows": (
        rg.pair(
            quadratic_rows,
            lambda d, c: (d[:, None] * (c[0] @ c[1].T), np.einsum("n,ni,nj->ij", d, c[0], c[0])),
            inputs=ROWS,
        ),
        "-1 times dout[:, None] * (x @ W) added",
    ),
    "the transpose of a symmetric product": (
        rg.pair(lambda x: (x @ x.T, x), lambda d, x: d @ x, inputs={"x": "N d"}),
        "-1 times dout.T @ x added",
    ),
    "twice one of two terms": (
        rg.pair(lambda x: (x.T @ x, x), lambda d, x: 2 * x @ d, inputs={"x": "N d"}),
        "x @ dout added and x @ dout.T taken off",
    ),
    "the sign of a cross term": (
        rg.pair(
            distances,
            lambda d, k: (2 * (d.sum(1)[:, None] * k[0] + d @ k[1]), 2 * (d.sum(0)[:, None] * k[1] - d.T @ k[0])),
            inputs=CENTRES,
        ),
        "+4 times dout @ c added",
    ),
    "no cross term": (
        rg.pair(
            distances,
            lambda d, k: (2 * d.sum(1)[:, None] * k[0], 2 * (d.sum(0)[:, None] * k[1] - d.T @ k[0])),
            inputs=CENTRES,
        ),
        "+2 times dout @ c added",
    ),
}
DIMS = {"n": 4, "N": 3, "d": 2, "K": 4}


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(("pair", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_term_that_is_a_product_is_named(pair, words, size):
    names = {name for shape in pair.shapes.values() for axis in shape.axes for name, _ in axis.terms}
    report = rg.check(pair, rg.Case(**{name: DIMS[name] + size for name in names}, seed=size))
    assert [name for name in pair.shapes if report[name].verdict is rg.Verdict.FAIL] == ["x"]
    first = report["x"].diagnoses[0].message
    assert first.startswith(f"dx is consistent with the true gradient with {words}"), first


def test_where_products_are_large_those_of_a_smaller_case_are_tried_alone():
    pair, words = WRONG["one side of a quadratic form"]
    report = rg.check(pair, rg.Case(n=600, seed=0))
    assert words in report["x"].diagnoses[0].message


def test_of_many_arrays_no_products_are_tried():
    def forward(x, W):
        return x @ W @ x, {"x": x, "W": W, **{f"a{i}": x + i for i in range(20)}}

    pair = rg.pair(forward, lambda d, c: (d * (c["W"] @ c["x"]), d * np.outer(c["x"], c["x"])), inputs=VECTOR)
    assert "nothing that was tried explains dx" in rg.check(pair, rg.Case(n=4, seed=0))["x"].diagnoses[0].message
