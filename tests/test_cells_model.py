"""A model of characters, from embedding to loss, trained with the gradients of the cells."""

from pathlib import Path

import numpy as np
import pytest

import rnngrad as rg
from rnngrad.cells import init, layers, loss
from rnngrad.cells.gru import GRU
from rnngrad.cells.segments import segments_backward, truncated_forward

TEXT = (Path(__file__).parent / "alice.txt").read_text(encoding="utf-8")  # Lewis Carroll, 1865
CHARACTERS = sorted(set(TEXT))
STREAMS, STEPS, EVERY, EMBEDDED, STATE = 12, 32, 16, 16, 64
RATE = 0.01


def model_forward(E, parameters, V, by, s_0, indices, labels):
    xs, embedded = layers.embedding_forward(indices, E)
    (states,), run = truncated_forward(xs, (s_0,), parameters, cell=GRU, every=EVERY)
    logits, head = layers.affine_forward(states, V, by)
    value, out = loss.cross_entropy_forward(logits, labels)
    return value, states[-1], (embedded, run, head, out)


def model_backward(dvalue, cache):
    embedded, run, head, out = cache
    above = layers.affine_backward(loss.cross_entropy_backward(dvalue, out)["dlogits"], head)
    found = segments_backward((above["dx"],), run)
    below = layers.embedding_backward(found.pop("dxs"), embedded)
    return {"dE": below["dE"], "dparameters": found, "dV": above["dW"], "dby": above["db"]}


def drawn(seed):
    rng = np.random.default_rng(seed)
    head = init.affine_parameters(rng, STATE, len(CHARACTERS))
    return {
        "E": rng.standard_normal((len(CHARACTERS), EMBEDDED)),
        "parameters": init.gru_parameters(rng, EMBEDDED, STATE),
        "V": head["W"],
        "by": head["b"],
    }


def curve(seed, epochs):
    """Train with Adam (Kingma and Ba, 2015) and return the loss of every update."""
    text = np.searchsorted(CHARACTERS, list(TEXT))
    streams = text[: (len(text) - 1) // STREAMS * STREAMS].reshape(STREAMS, -1).T
    model = drawn(seed)
    flat = [model["E"], *model["parameters"].values(), model["V"], model["by"]]
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in flat]
    losses = []
    for _ in range(epochs):
        s_0 = np.zeros((STATE, STREAMS))
        for start in range(0, len(streams) - 1, STEPS):
            part = streams[start : start + STEPS + 1]
            value, s_0, cache = model_forward(**model, s_0=s_0, indices=part[:-1], labels=part[1:])
            found = model_backward(np.float64(1), cache)
            losses.append(float(value))
            gradients = [
                found["dE"],
                *(found["dparameters"]["d" + name] for name in model["parameters"]),
                found["dV"],
                found["dby"],
            ]
            for p, g, (mean, square) in zip(flat, gradients, moments, strict=True):
                mean += 0.1 * (g - mean)
                square += 0.001 * (g * g - square)
                k = len(losses)
                p -= RATE * mean / (1 - 0.9**k) / (np.sqrt(square / (1 - 0.999**k)) + 1e-8)
    return losses


def unigram_entropy():
    counts = np.unique(list(TEXT), return_counts=True)[1] / len(TEXT)
    return -float(np.sum(counts * np.log(counts)))


def test_the_model_learns_the_text_far_beyond_the_frequencies_of_its_characters():
    losses = curve(seed=0, epochs=60)
    assert losses[0] == pytest.approx(np.log(len(CHARACTERS)), rel=0.2)
    assert unigram_entropy() == pytest.approx(2.93, abs=0.1)
    assert np.mean(losses[-4:]) < unigram_entropy() / 2


def test_the_loss_curve_is_the_same_for_a_seed_and_another_for_another():
    first, again, other = curve(0, 2), curve(0, 2), curve(1, 2)
    assert first == again
    assert first != other


def test_the_gradients_of_the_whole_model_are_right_within_a_segment():
    shapes = {
        "E": "k e",
        "parameters": GRU.parameters | {"U": "3*n e"},
        "V": "k n",
        "by": "k 1",
        "s_0": "n N",
        "indices": rg.Array("T N", below="k"),
        "labels": rg.Array("T N", below="k"),
    }
    model = rg.pair(
        model_forward,
        model_backward,
        inputs=shapes,
        returns=("value", "s_last", "cache"),
        upstream=("value",),
        wrt=("E", "parameters", "V", "by"),
    )
    for seed in range(4):
        rg.assert_gradients(model, rg.Case(k=4, e=2, n=3, N=2, T=5, seed=seed))
