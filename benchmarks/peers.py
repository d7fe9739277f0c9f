"""Check one RNN cell with rnngrad and with other gradient checkers, side by side.

    pip install torch==2.13.0 && pip install -e ".[bench]"
    python benchmarks/peers.py [--hidden 64 128 512 1024] [--limit SECONDS]

The cell has 64 inputs, 8 examples and 10 classes; all seven gradients are checked in float64 with the settings that
each tool has by default, each tool in a process of its own, on one thread. Printed are the median seconds of a check,
its forward passes, the ratio to rnngrad's time, the peak memory above that of the process before the check, and the
smallest error of a single entry of dW, relative to the root mean square of dW, that is caught 3 times of 3. For the
ratio the two take turns in the tool's process, so that what else runs on the machine meets both: it is the median of
the ratios of neighbours. The seconds are those of the tool alone, before that.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np

from rnngrad.cells.rnn import rnn_cell_backward, rnn_cell_forward

Arrays = dict[str, Any]
Check = Callable[[], bool]

INPUTS, BATCH, CLASSES = 64, 8, 10
NAMES = ("x_t", "s_prev", "U", "W", "V", "ba", "by")
ERRORS = [10.0**-k for k in range(13)]
count = 0


def arrays(hidden: int, seed: int) -> Arrays:
    rng = np.random.default_rng(seed)
    m, n, k, N = INPUTS, hidden, CLASSES, BATCH
    shapes = ((m, N), (n, N), (n, m), (n, n), (k, n), (n, 1), (k, 1))
    scale = (1, 1, m**-0.5, n**-0.5, n**-0.5, 1, 1)
    return {name: rng.standard_normal(s) * c for name, s, c in zip(NAMES, shapes, scale, strict=True)}


def forward(x_t: Any, s_prev: Any, *parameters: Any) -> Any:
    global count
    count += 1
    return rnn_cell_forward(x_t, s_prev, dict(zip(NAMES[2:], parameters, strict=True)))


def backward(ds: Any, do: Any, cache: Any, error: float) -> tuple[Any, ...]:
    gradients = rnn_cell_backward(ds, cache, do)
    if error:
        place = (1, 2)
        gradients["dW"][place] += error * np.sqrt(np.mean(gradients["dW"] ** 2))
    return tuple(gradients["d" + name] for name in NAMES)


def with_rnngrad(values: Arrays, error: float) -> Check:
    import rnngrad as rg

    shapes = ("m N", "n N", "n m", "n n", "k n", "n 1", "k 1")
    pair = rg.pair(
        forward,
        lambda ds, do, cache: backward(ds, do, cache, error),
        inputs=dict(zip(NAMES, shapes, strict=True)),
        returns=("s_next", "out_pred", "cache"),
    )
    return lambda: rg.check(pair, values).verdict is rg.Verdict.PASS


def with_torch(values: Arrays, error: float, fast: bool) -> Check:
    import torch

    torch.set_num_threads(1)

    class Cell(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            s_next, out, ctx.kept = forward(*(tensor.detach().numpy() for tensor in inputs))
            return torch.from_numpy(s_next), torch.from_numpy(out)

        @staticmethod
        def backward(ctx: Any, ds: Any, do: Any) -> Any:
            return tuple(map(torch.from_numpy, backward(ds.numpy(), do.numpy(), ctx.kept, error)))

    tensors = [torch.tensor(value, requires_grad=True) for value in values.values()]
    return lambda: torch.autograd.gradcheck(Cell.apply, tensors, fast_mode=fast, raise_exception=False)


def with_jax(values: Arrays, error: float) -> Check:
    import jax

    jax.config.update("jax_enable_x64", True)
    from jax.test_util import check_grads

    shapes = [jax.ShapeDtypeStruct(values[name].shape, np.float64) for name in NAMES]
    outs = [shapes[1], jax.ShapeDtypeStruct((CLASSES, BATCH), np.float64)]

    @jax.custom_vjp
    def cell(*inputs: Any) -> Any:
        call = lambda *a: tuple(forward(*map(np.asarray, a))[:2])  # noqa: E731
        return tuple(jax.pure_callback(call, tuple(outs), *inputs))

    def pull(inputs: Any, cotangents: Any) -> Any:
        def call(ds: Any, do: Any, *a: Any) -> Any:
            cache = rnn_cell_forward(a[0], a[1], dict(zip(NAMES[2:], a[2:], strict=True)))[2]
            return backward(np.asarray(ds), np.asarray(do), cache, error)

        return tuple(jax.pure_callback(lambda *a: call(*map(np.asarray, a)), tuple(shapes), *cotangents, *inputs))

    cell.defvjp(lambda *inputs: (cell(*inputs), inputs), pull)

    def check() -> bool:
        try:
            check_grads(cell, tuple(values.values()), order=1, modes=["rev"])
        except AssertionError:
            return False
        return True

    return check


def with_autograd(values: Arrays, error: float) -> Check:
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    @primitive
    def cell(*inputs: Any) -> Any:
        s_next, out, _ = forward(*inputs)
        return np.concatenate([s_next, out])

    def pull(position: int) -> Any:
        def of(_: Any, *inputs: Any) -> Any:
            cache = rnn_cell_forward(inputs[0], inputs[1], dict(zip(NAMES[2:], inputs[2:], strict=True)))[2]
            n = inputs[1].shape[0]
            return lambda d: backward(d[:n], d[n:], cache, error)[position]

        return of

    defvjp(cell, *map(pull, range(len(NAMES))))

    def check() -> bool:
        try:
            check_grads(cell, modes=["rev"], order=1)(*values.values())
        except AssertionError:
            return False
        return True

    return check


def flat(values: Arrays, error: float) -> tuple[Any, Any, Any]:
    """Return <v, f> of one vector, its claimed gradient, and the vector."""
    shapes = [value.shape for value in values.values()]
    ends = np.cumsum([value.size for value in values.values()])[:-1]
    rng = np.random.default_rng(1)
    ds, do = rng.standard_normal(values["s_prev"].shape), rng.standard_normal((CLASSES, BATCH))

    def parts(theta: Any) -> Any:
        return [part.reshape(shape) for part, shape in zip(np.split(theta, ends), shapes, strict=True)]

    def f(theta: Any) -> float:
        s_next, out, _ = forward(*parts(theta))
        return float((s_next * ds).sum() + (out * do).sum())

    def g(theta: Any) -> Any:
        x = parts(theta)
        cache = rnn_cell_forward(x[0], x[1], dict(zip(NAMES[2:], x[2:], strict=True)))[2]
        return np.concatenate([part.ravel() for part in backward(ds, do, cache, error)])

    return f, g, np.concatenate([value.ravel() for value in values.values()])


def with_scipy(values: Arrays, error: float) -> Check:
    from scipy.optimize import check_grad

    f, g, theta = flat(values, error)
    # scipy returns a norm and leaves the verdict to its caller; its documentation compares it with about 1e-6
    return lambda: bool(check_grad(f, g, theta) < 1e-6 * np.sqrt(theta.size))


def with_numdifftools(values: Arrays, error: float) -> Check:
    import numdifftools

    f, g, theta = flat(values, error)
    return lambda: bool(np.allclose(numdifftools.Gradient(f)(theta), g(theta)))


TOOLS: dict[str, Callable[[Arrays, float], Check]] = {
    "rnngrad": with_rnngrad,
    "torch fast": lambda values, error: with_torch(values, error, True),
    "torch slow": lambda values, error: with_torch(values, error, False),
    "jax": with_jax,
    "autograd": with_autograd,
    "scipy": with_scipy,
    "numdifftools": with_numdifftools,
}


def timed(check: Check) -> float:
    """Return the seconds that a check takes."""
    start = time.perf_counter()
    check()
    return time.perf_counter() - start


def repeated(measure: Callable[[], float]) -> list[float]:
    """Return what is measured 25 times, or as often as 10 seconds allow."""
    start, found = time.perf_counter(), [measure()]
    while len(found) < 25 and time.perf_counter() - start < 10:
        found.append(measure())
    return found


def one(tool: str, hidden: int) -> None:
    """Measure one tool at one size, and print what is known after each step as a line of JSON."""
    check = TOOLS[tool](arrays(hidden, 0), 0.0)
    warm = TOOLS[tool](arrays(2, 0), 0.0)
    warm()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    global count
    count = 0
    row: Arrays = {"right": check(), "passes": count}
    row["memory"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row["seconds"] = float(np.median(repeated(lambda: timed(check))))
    ours = TOOLS["rnngrad"](arrays(hidden, 0), 0.0)
    ours()
    row["ratio"] = float(np.median(repeated(lambda: 1 / timed(ours) * timed(check))))
    print(json.dumps(row), flush=True)
    row["caught"] = None
    for error in ERRORS:  # "or less" where the time was up before the next one was tried
        if not all(not TOOLS[tool](arrays(hidden, seed), error)() for seed in range(3)):
            break
        row["caught"] = error
        print(json.dumps(row), flush=True)
    print(json.dumps(row | {"done": True}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 128, 512, 1024])
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that one tool may take at one size")
    parser.add_argument("--one", nargs=2, metavar=("TOOL", "HIDDEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(options.one[0], int(options.one[1]))
        return
    header = f"{'seconds':>10s} {'passes':>8s} {'ratio':>9s} {'memory':>9s} {'catches':>13s}  a right gradient"
    for hidden in options.hidden:
        print(f"hidden {hidden:<13d} {header}")
        for tool in TOOLS:
            command = [sys.executable, __file__, "--one", tool, str(hidden)]
            try:
                output = subprocess.run(command, capture_output=True, text=True, timeout=options.limit).stdout
            except subprocess.TimeoutExpired as error:
                output = (error.stdout or b"").decode()
            if not output.strip():
                print(f"{tool:20s} nothing within {options.limit:.0f} s")
                continue
            row = json.loads(output.strip().splitlines()[-1])
            caught = f"{row['caught']:.0e}{'' if 'done' in row else ' or less'}" if row.get("caught") else "none"
            caught = f"{caught if row.get('caught') or 'done' in row else '-':>13s}"
            numbers = f"{row['seconds']:10.4f} {row['passes']:8d} {row['ratio']:9.2f} {row['memory']:6.1f} MB"
            print(f"{tool:20s} {numbers} {caught}  {'passes' if row['right'] else 'is rejected'}", flush=True)


if __name__ == "__main__":
    main()
