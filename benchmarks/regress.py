"""Old against new, counted: reordered backward passes that are accepted, small changes that are found.

    python benchmarks/regress.py [--cases N] [--seed S] [--inside WHAT] [--contract]

Draws N cases over five families (an LSTM over time, an RNN cell, layer norm, softmax cross-entropy, an affine layer),
scales 2^-4 to 2^4, zeros and one-hot inputs among them. Each is compared with its reordered version, which must be
accepted, and with itself where one entry is changed by a relative 1e-10, which must be found where that is more than
rounding: 256 times what the gradient loses to it, as long double tells, in an entry of at least 1e-2 of the largest, in
a gradient that does not vanish: its largest entry is at least 1e-4 of <|v|, |f|> over that of its input. With --inside
double, or cache, a pair rounds all inputs, or what backward takes from forward, to double precision, so that less can
be seen in extended precision and more counts as rounding. The exit status is 1 where one is refused, or one is missed
by pairs as they are.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: no threads inside

import numpy as np
from regress_pairs import PAIRS

import rnngrad as rg
from rnngrad.case import draw_inputs
from rnngrad.spec import dim_names

LARGEST = 6
SCALES = range(-4, 5)
FILLS = ["full"] * 8 + ["zeros", "one-hot"]
CHANGE = 1e-10
TELLING = 1e-2
VANISHING = 1e-4
ROOM = 256.0  # times what the gradient really loses to rounding: less is not to be told from rounding


def drawn(pair, draw):
    """Draw a case of a pair."""
    return rg.Case(
        **{dim: draw.randint(1, LARGEST) for dim in dim_names(pair.shapes.values())},
        fills={name: draw.choice(FILLS) for name in pair.shapes},
        scale=2.0 ** draw.choice(SCALES),
        seed=draw.randrange(2**32) if draw.random() > 0.02 else 0,
    )


def rounding_inside(pair):
    """Return a pair that takes everything in double precision, whatever it is given."""

    def forward(inputs):
        return pair.forward({name: np.asarray(array, np.float64) for name, array in inputs.items()})

    def backward(cotangents, cache):
        return pair.backward({name: np.asarray(array, np.float64) for name, array in cotangents.items()}, cache)

    return rg.Pair(forward, backward, inputs=dict(pair.inputs), name=pair.name)


def rounded_cache(pair):
    """Return a pair whose backward pass takes its cache in double precision, whatever forward computed."""

    def halved(value):
        if isinstance(value, tuple | list):
            return type(value)(map(halved, value))
        return np.asarray(value, np.float64)

    def backward(cotangents, cache):
        return pair.backward(cotangents, halved(cache))

    return rg.Pair(pair.forward, backward, inputs=dict(pair.inputs), name=pair.name)


def changed(pair, draw, seen):
    """Return a pair with one entry of one gradient changed; ``seen`` takes its share of the largest entry."""
    number = draw.random()

    def backward(cotangents, cache):
        gradients = {name: np.array(array) for name, array in pair.backward(cotangents, cache).items()}
        name = list(gradients)[int(number * len(gradients))]
        flat = gradients[name].reshape(-1)
        place = int(number * 1e6) % flat.size
        seen.append(float(abs(flat[place]) / (np.abs(flat).max() or 1.0)))
        flat[place] *= 1 + CHANGE
        return gradients

    return rg.Pair(pair.forward, backward, inputs=dict(pair.inputs), name=f"{pair.name}_changed")


def ran(pair, case):
    """Run a pair at a case, with a cotangent of ones."""
    inputs = draw_inputs(pair.shapes, case)
    outputs, cache = pair.forward({name: array.copy() for name, array in inputs.items()})
    return inputs, outputs, pair.backward({name: np.ones_like(array) for name, array in outputs.items()}, cache)


def spoiled_name(old, spoiled, case):
    """Return the gradient that was changed."""
    left, right = ran(old, case)[2], ran(spoiled, case)[2]
    return next((name for name in left if not np.array_equal(left[name], right[name])), next(iter(left)))


def vanishes(pair, case, name, share):
    """Tell whether a gradient is small against <|v|, |f|> over the size of its input."""
    inputs, outputs, gradients = ran(pair, case)
    magnitude = sum(float(np.abs(array).sum()) for array in outputs.values())
    return float(np.abs(gradients[name]).max()) * float(np.abs(inputs[name]).max()) < share * magnitude


def rounding_of(pair, case, name):
    """Return what a gradient really loses to rounding, as a share of its largest entry: long double tells."""
    inputs, outputs, gradients = ran(pair, case)
    wide = {key: array.astype(np.longdouble) for key, array in inputs.items()}
    _, cache = pair.forward(wide)
    ones = {key: np.ones_like(array, dtype=np.longdouble) for key, array in outputs.items()}
    right = pair.backward(ones, cache)[name]
    return float(np.abs(gradients[name] - right).max() / (np.abs(right).max() or 1.0))


INSIDE = {"as it is": lambda pair: pair, "double": rounding_inside, "cache": rounded_cache}


def main():
    """Count, and print what was counted."""
    options = argparse.ArgumentParser(description="Compare reordered and changed backward passes.")
    options.add_argument("--cases", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--inside", choices=["as it is", "double", "cache"], default="as it is")
    options.add_argument("--contract", action="store_true")
    chosen = options.parse_args()
    draw, counts, start = random.Random(chosen.seed), Counter(), time.perf_counter()
    for number in range(chosen.cases):
        name = list(PAIRS)[number % len(PAIRS)]
        old, new = (INSIDE[chosen.inside](pair) for pair in PAIRS[name])
        case, seen = drawn(old, draw), []
        found = rg.equivalence(old, new, case, contract=chosen.contract)
        counts[name, "accepted" if found.verdict is rg.Verdict.PASS else "REFUSED"] += 1
        if found.verdict is not rg.Verdict.PASS:
            print(f"{found}\n")
        spoiled = changed(old, draw, seen)
        found = rg.equivalence(old, spoiled, case, contract=False)
        told = found.verdict is rg.Verdict.FAIL
        where = spoiled_name(old, spoiled, case)
        telling = CHANGE * seen[0] >= ROOM * max(rounding_of(PAIRS[name][0], case, where), CHANGE * TELLING / ROOM)
        if telling and not told and vanishes(old, case, where, VANISHING):
            counts[name, "in a gradient that vanishes"] += 1
            continue
        counts[name, "found" if told else "MISSED" if telling else "below rounding"] += 1
        if told:
            sides = [one.side for one in found.tensors if one.side]
            counts[name, f"told: {sides[0]}" if sides else "told nothing"] += 1
        elif telling:
            print(f"missed at {case}: the entry is {seen[0]:.1e} of the largest\n{found}\n")
    for (name, word), count in sorted(counts.items()):
        print(f"{name:8}{word:50}{count:7}")
    print(f"{1000 * (time.perf_counter() - start) / chosen.cases:.1f} ms for the two comparisons of a case")
    return int(any(word == "REFUSED" or (word == "MISSED" and chosen.inside == "as it is") for _, word in counts))


if __name__ == "__main__":
    sys.exit(main())
