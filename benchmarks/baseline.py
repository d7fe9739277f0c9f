"""A baseline of 20 cases of an LSTM over time: its size, the time of a comparison, and another number of threads.

    python benchmarks/baseline.py

Records the gradients, compares them 25 times in this process, and records and compares large cases in processes with
one and with two BLAS threads, each against the other's file. The exit status is 1 where a comparison fails.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = "[rg.Case(T=3, m=m, n=n, N=N, seed=m) for m, n, N in ((300, 200, 64), (97, 256, 33), (511, 128, 100))]"
OTHER = f"""
import sys
import rnngrad as rg
from regress_pairs import PAIRS
old, new = PAIRS["lstm"]
new = rg.Pair(new.forward, new.backward, inputs=dict(new.inputs), name=old.name)
if sys.argv[1] == "record":
    rg.record(old, sys.argv[2], cases={CASES})
else:
    for pair in (old, new):
        found = rg.compare(pair, sys.argv[2])
        ulps = max(one.ulps for one in found.tensors)
        allowed = [one.allowed for one in found.tensors if one.allowed is not None]
        words = f"at most {{ulps:.2g}} ulp apart, allowed where asked: {{max(allowed, default=0):.2g}}"
        print(f"    {{found.verdict.name}}, {{words}}")
"""


def run(action, path, threads):
    """Record or compare in a process with a number of BLAS threads."""
    here = str(Path(__file__).parent)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    environment["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", OTHER, action, path], env=environment, text=True, capture_output=True, check=False
    )
    print(done.stdout + done.stderr[-2000:], end="")
    return done.returncode


def main():
    """Record, compare, and print sizes and times."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from regress_pairs import PAIRS

    import rnngrad as rg

    old, new = PAIRS["lstm"]
    new = rg.Pair(new.forward, new.backward, inputs=dict(new.inputs), name=old.name)
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lstm.npz"
        rg.record(old, path)
        sizes = {file.name: file.stat().st_size for file in sorted(Path(folder).iterdir())}
        print(f"20 cases: {', '.join(f'{name} {size / 1000:.1f} kB' for name, size in sizes.items())}")
        for label, pair in (("the same code", old), ("reordered code", new)):
            times = []
            for _ in range(25):
                start = time.perf_counter()
                rg.compare(pair, path)
                times.append(1000 * (time.perf_counter() - start))
            print(f"compared with {label}: {statistics.median(times):.1f} ms ({min(times):.1f} to {max(times):.1f})")
        for first, second in ((1, 2), (2, 1)):
            other = str(Path(folder) / f"threads{first}.npz")
            print(f"recorded on {first} thread(s), compared on {second}, the same code and reordered:")
            status |= run("record", other, first) | run("compare", other, second)
    return status


if __name__ == "__main__":
    sys.exit(main())
