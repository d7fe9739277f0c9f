"""Memory that one pass, or one check, gives back is there for the next one, without the system."""

import platform
import subprocess
import sys

import pytest

RUN = """
import resource
import numpy as np
import rnngrad as rg
from rnngrad.cells import init, rnn

n = 128
parameters = init.rnn_parameters(np.random.default_rng(0), n, n, k=n)
step = {"x_t": np.ones((n, 32)), "s_prev": np.ones((n, 32)), "parameters": parameters}
xs = np.ones((16, n, 32))


def sequence():
    states, cache = rnn.rnn_forward(xs, xs[0], {name: parameters[name] for name in ("U", "W", "ba")})
    rnn.rnn_backward(states, cache)


def check():
    assert rg.check(rnn.rnn_cell, step).verdict is rg.Verdict.PASS


faults = []
for _ in range(12):
    WORK()
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[-11])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how much freed memory is kept is that of glibc")
@pytest.mark.parametrize("work", ["sequence", "check"])
def test_the_memory_of_a_pass_is_there_at_once_in_the_next(tmp_path, work):
    script = tmp_path / "run.py"
    script.write_text(RUN.replace("WORK", work))
    shown = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=120)
    assert int(shown.stdout) < 200  # pages mapped anew by ten of them; some thousand where memory is given back
