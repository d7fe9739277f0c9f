"""Kill a process while it writes a baseline, many times, and look at what is left.

    python benchmarks/kills.py [--kills N] [--seed S]

A process writes recordings over one another as fast as it can; it is killed (SIGKILL) after a drawn time. Then the
archive must be one of the recordings, whole, and the text file, in its place or beside it, that of the same one. The
exit status is 1 where a baseline was lost or half written.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from rnngrad.errors import InvalidBaseline
from rnngrad.regress.recording import Recorded, Recording
from rnngrad.regress.store import describes, load, save

WRITER = """
import sys
from pathlib import Path
import numpy as np
from rnngrad.regress.recording import Recorded, Recording
from rnngrad.regress.store import save
target, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    save(target, Recording("cell", {}, (Recorded("Case()", {"x": np.full(2000, float(turn))}),), {"turn": str(turn)}))
"""
LONGEST = 0.06  # seconds: a recording takes about 5 ms, so the kill may fall anywhere in one


def left(path):
    """Say what a killed process left behind."""
    try:
        recording = load(path)
    except InvalidBaseline as error:
        return f"LOST: {error}"
    if set(recording.cases[0].tensors["x"]) != {float(recording.versions["turn"])}:
        return "HALF WRITTEN"
    if not describes(path, recording):
        return "TEXT LOST"
    beside = list(path.parent.glob(".one.npz.*.tmp"))
    return f"whole, killed {'while writing the archive' if beside else 'elsewhere'}"


def main():
    """Kill, look, and print what was counted."""
    options = argparse.ArgumentParser(description="Kill a process while it writes a baseline.")
    options.add_argument("--kills", type=int, default=300)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    draw, counts = random.Random(chosen.seed), Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.npz"
        first = Recorded("Case()", {"x": np.zeros(2000)})
        save(path, Recording("cell", {}, (first,), {"turn": "0"}))
        for _ in range(chosen.kills):
            for file in path.parent.glob(".one.npz.*.tmp"):  # so that what this turn leaves can be told
                file.unlink()
            process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
            process.stdout.readline()
            time.sleep(draw.uniform(0, LONGEST))
            process.kill()
            process.communicate()
            counts[left(path)] += 1
    for word, count in sorted(counts.items()):
        print(f"{count:6}  {word}")
    return int(any(not word.startswith("whole") for word in counts))


if __name__ == "__main__":
    sys.exit(main())
