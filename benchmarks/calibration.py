"""Hold the error bars of numerical derivatives against their true errors, over families of functions.

    python benchmarks/calibration.py [--entries N] [--seed S]

The true derivative is a complex step in 80-bit extended precision: another method, in another arithmetic. On machines
whose long double is no longer than a double the figures say nothing; nor where 80 bits cancel too, so that
(exp(t) - 1) / t stays above t = 1e-3. For every family the script prints

    entries    derivatives along single entries: by one ladder, and doubly sure (two independent ladders, a probe, and a
               third ladder where these contradict each other), which is what rg.estimate_gradient returns and what
               stands behind an accusation
    directions derivatives along random directions, by the ladder and by the complex step where it is certified

with q = true error / error bar: the share beyond 1 and 3 bars, the largest q, the median relative error and bar, and
the evaluations an entry.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from rnngrad.numdiff.complex_step import certify, imaginary_slopes
from rnngrad.numdiff.directional import direction_lines, draw_direction
from rnngrad.numdiff.gradient import climb_all, doubly_sure
from rnngrad.numdiff.noise import FLOOR, lost_in_single, measure_noise
from rnngrad.numdiff.sample import entry_lines
from rnngrad.numdiff.scale import length_scale
from rnngrad.result import Estimate

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]
STEP = np.longdouble(1e-30)


def split(theta: Array, *shapes: tuple[int, ...]) -> list[Array]:
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)])
    return [theta[a:b].reshape(shape) for a, b, shape in zip(ends, ends[1:], shapes, strict=False)]


def softmax(z: Array) -> Array:
    e = np.exp(z - z.real.max(axis=0))
    return e / e.sum(axis=0)


def logistic(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


RNN = ((3, 2), (4, 2), (4, 3), (4, 4), (3, 4), (4, 1), (3, 1))


def rnn(theta: Array) -> Array:
    x, s, U, W, V, ba, by = split(theta, *RNN)
    state = np.tanh(U @ x + W @ s + ba)
    return np.concatenate([state.ravel(), softmax(V @ state + by).ravel()])


def unrolled_rnn(theta: Array) -> Array:
    W, U, xs, h = split(theta, (4, 4), (4, 3), (8, 3), (4,))
    for x in xs:
        h = np.tanh(W @ h + U @ x)
    return h


def lstm(theta: Array) -> Array:
    W, x, c = split(theta, (16, 6), (6,), (4,))
    i, f, g, o = (W @ x).reshape(4, 4)
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return np.concatenate([logistic(o) * np.tanh(c), c])


def gru(theta: Array) -> Array:
    W, R, x, h = split(theta, (12, 3), (12, 4), (3,), (4,))
    (ar, az, an), (br, bz, bn) = (W @ x).reshape(3, 4), (R @ h).reshape(3, 4)
    r, z = logistic(ar + br), logistic(az + bz)
    return (1 - z) * np.tanh(an + r * bn) + z * h


def cross_entropy(theta: Array) -> Array:
    z = theta.reshape(5, 4)
    z = z - z.real.max(axis=0)
    return np.log(np.exp(z).sum(axis=0)) - z[np.arange(4) % 5, np.arange(4)]


def layer_norm(theta: Array) -> Array:
    x, gamma, beta = split(theta, (8,), (8,), (8,))
    d = x - x.mean()
    return gamma * d / np.sqrt((d * d).mean() + 1e-5) + beta


def log_sum_exp(theta: Array) -> Array:
    top = theta.real.max()
    return np.array([top + np.log(np.exp(theta - top).sum())])


def attention(theta: Array) -> Array:
    Q, K, V = split(theta, (3, 4), (5, 4), (5, 2))
    return (softmax(K @ Q.T / 2).T @ V).ravel()


OBSERVED = np.array([0.3, -1.2, 0.8, 2.1, -0.4])


def log_likelihood(theta: Array) -> Array:
    mean, spread = theta[:5], theta[5]
    return np.array([-(((OBSERVED - mean) / spread) ** 2).sum() / 2 - 5 * np.log(spread)])


def spline(theta: Array) -> Array:
    return theta + np.where(theta.real > 0, theta**3, -2 * theta**3)


VISIBLE = 10.0 ** np.linspace(-6, 6, 12)


def ill_scaled(theta: Array) -> Array:
    x = theta / VISIBLE
    return np.array([np.sin(x.sum()), (x * x).sum()])


def normal(size: int, scale: float = 1.0) -> Callable[[np.random.Generator], Array]:
    return lambda rng: rng.standard_normal(size) * scale


def positive(size: int, low: float, high: float) -> Callable[[np.random.Generator], Array]:
    return lambda rng: np.abs(rng.standard_normal(size)) * 10.0 ** rng.uniform(low, high, size)


RNN_SIZE = sum(a * b for a, b in RNN)
HIDDEN = 10.0 ** np.arange(4)
FAMILIES: dict[str, tuple[Function, Callable[[np.random.Generator], Array]]] = {
    "rnn cell": (rnn, normal(RNN_SIZE)),
    "rnn saturated": (rnn, normal(RNN_SIZE, 3.0)),
    "rnn very saturated": (rnn, normal(RNN_SIZE, 8.0)),
    "rnn unrolled": (unrolled_rnn, normal(56)),
    "lstm": (lstm, normal(106)),
    "gru": (gru, normal(91)),
    "cross entropy": (cross_entropy, normal(20, 3.0)),
    "layer norm": (layer_norm, normal(24)),
    "logsumexp": (log_sum_exp, normal(12, 5.0)),
    "ill-scaled, visible": (ill_scaled, lambda rng: rng.standard_normal(12) * VISIBLE),
    "ill-scaled, hidden": (lambda t: np.sin(t * HIDDEN), normal(4)),
    "large product": (lambda t: np.array([np.prod(t)]), normal(20)),
    "offset 1e3": (lambda t: np.array([1e3 + np.sin(t).sum()]), normal(6)),
    "offset 1e6": (lambda t: np.array([1e6 + np.sin(t).sum()]), normal(6)),
    "exp(t^2)": (lambda t: np.exp(t * t), normal(8)),
    "runge": (lambda t: 1 / (1 + 25 * t * t), normal(8)),
    "log near 0": (np.log, positive(8, -6, 0)),
    "pole": (lambda t: 1 / t, positive(8, -6, 0)),
    "sin(100 t)": (lambda t: np.sin(100 * t), normal(8)),
    "sin(1000 t)": (lambda t: np.sin(1000 * t), normal(8)),
    "tanh(50 t)": (lambda t: np.tanh(50 * t), normal(8)),
    "nearly |t|": (lambda t: np.sqrt(t * t + 1e-8), normal(8)),
    "sin(1 / t)": (lambda t: np.sin(1 / (t * t + 0.05)), normal(8)),
    "polynomial": (lambda t: t**7 - 3 * t**3, normal(8)),
    "lstm large": (lstm, normal(106, 5.0)),
    "attention": (attention, normal(42, 2.0)),
    "log-likelihood": (log_likelihood, lambda rng: np.append(rng.standard_normal(5), 10.0 ** rng.uniform(-3, 0))),
    "(exp(t) - 1) / t": (lambda t: (np.exp(t) - 1) / t, lambda rng: 10.0 ** rng.uniform(-3, 0, 8)),
    "product of sigmoids": (lambda t: np.array([np.prod(logistic(t))]), normal(12, 3.0)),
    "cubic spline": (spline, normal(8)),
    "fine wave": (lambda t: np.sin(t) + 1e-6 * np.sin(1e6 * t), normal(8)),
}


def true_slopes(f: Function, theta: Array, v: Array, directions: Array) -> Array:
    """Return the derivative of <v, f> along each row of directions, in extended precision."""
    slopes = []
    for d in directions.astype(np.longdouble):
        point = theta.astype(np.clongdouble) + 1j * STEP * d
        slopes.append((np.imag(f(point)) / STEP) @ v.astype(np.longdouble))
    return np.array(slopes)


class Count:
    """Errors in bars, and what they cost."""

    def __init__(self) -> None:
        self.q: list[Array] = []
        self.error: list[Array] = []
        self.bar: list[Array] = []
        self.evaluations = 0

    def add(self, estimate: Estimate, truth: Array) -> None:
        known = np.isfinite(estimate.value)
        error = np.abs(estimate.value.astype(np.longdouble) - truth)
        size = np.maximum(np.abs(truth), np.longdouble(1e-300))
        with np.errstate(all="ignore"):
            q = np.where(known & (error > 0), error / estimate.bar, 0)
        self.q.append(q.astype(float))
        self.error.append(np.where(known, error / size, np.nan).astype(float))
        self.bar.append((estimate.bar / size).astype(float))
        self.evaluations += estimate.evaluations

    def join(self, other: "Count") -> None:
        self.q += other.q
        self.error += other.error
        self.bar += other.bar
        self.evaluations += other.evaluations

    def row(self) -> str:
        q = np.concatenate(self.q)
        error, bar = (np.nanmedian(np.concatenate(rows)) for rows in (self.error, self.bar))
        shares = f"{np.mean(q > 1):9.1e} {np.mean(q > 3):9.1e} {q.max():9.2g}"
        return f"{len(q):8d} {shares} {error:9.1e} {bar:9.1e} {self.evaluations / len(q):6.1f}"


METHODS = ("one ladder", "doubly sure", "direction, ladder", "direction, complex")
CONFIRMED = "doubly sure"


def measure(name: str, entries: int, rng: np.random.Generator) -> tuple[dict[str, Count], Counter[str]]:
    """Measure one family until so many entries are seen; return also why the complex step was refused, how often."""
    f, draw = FAMILIES[name]
    counts: dict[str, Count] = {method: Count() for method in METHODS}
    refused: Counter[str] = Counter()
    seen = 0
    while seen < entries:
        theta = draw(rng)
        f0 = f(theta)
        v = rng.standard_normal(f0.size)
        scale = length_scale(theta)
        sigma = max(measure_noise(f, theta, scale, v, f0, seen).sigma, lost_in_single(f, theta, v, f0))
        lines = entry_lines(f, theta, v, f0, np.arange(theta.size), scale, sigma)
        truth = true_slopes(f, theta, v, np.eye(theta.size))
        counts["one ladder"].add(climb_all(lines), truth)
        counts[CONFIRMED].add(doubly_sure(lines), truth)
        claimed = truth.astype(float)
        directions = [draw_direction(0, scale, claimed, rng) for _ in range(max(1, theta.size // 8))]
        slopes = true_slopes(f, theta, v, np.array([direction.values for direction in directions]))
        along = direction_lines(f, theta, v, f0, directions, claimed, sigma)
        counts["direction, ladder"].add(climb_all(along, target=1e-11), slopes)
        noise = sigma / (FLOOR * float(np.linalg.norm(v * np.spacing(np.abs(f0)))) or 1.0)
        certificate = certify(f, f, theta, f0, directions[0], noise=noise)
        if certificate.safe:
            exact = imaginary_slopes(f, theta, v, directions, along.sigma, noise=noise)
            counts["direction, complex"].add(exact, slopes)
        else:
            refused[certificate.reason] += 1
        seen += theta.size
    return counts, refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=100_000, help="entries over all families together")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    total = {method: Count() for method in METHODS}
    header = f"{'entries':>8s} {'P(q>1)':>9s} {'P(q>3)':>9s} {'max q':>9s} {'error':>9s} {'bar':>9s} {'evals':>6s}"
    print(f"{'family':20s} {'method':19s} {header}")
    for name in FAMILIES:
        with np.errstate(all="ignore"):
            counts, refused = measure(name, -(-options.entries // len(FAMILIES)), rng)
        for method, count in counts.items():
            if count.q:
                print(f"{name:20s} {method:19s} {count.row()}", flush=True)
                total[method].join(count)
        for reason, times in refused.items():
            print(f"{name:20s} complex step refused {times} times: {reason}", flush=True)
    missing = [method for method, count in total.items() if not count.q]
    if missing:
        sys.exit(f"nothing was measured of {', '.join(missing)}: the script and the package do not fit together")
    for method, count in total.items():
        print(f"{'all':20s} {method:19s} {count.row()}")
    q = np.concatenate(total[CONFIRMED].q)
    shares = f"P(q > 1) = {np.mean(q > 1):.1e}, P(q > 3) = {np.mean(q > 3):.1e}, max q = {q.max():.2g}"
    print(f"after confirmation: {shares} over {len(q)} entries of {len(FAMILIES)} families")


if __name__ == "__main__":
    main()
