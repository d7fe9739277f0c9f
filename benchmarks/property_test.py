"""Time a property test of the RNN cell: what a user waits for 100 examples of `rg.gradient_test(rnn_cell)`.

    python benchmarks/property_test.py [--repeats R] [--examples E]

Prints figures, asserts nothing. Derandomized, so that every repeat and every run checks the same examples.
"""

import argparse
import statistics
import time

from hypothesis import settings

import rnngrad as rg
from rnngrad.cells.rnn import rnn_cell
from rnngrad.check.tally import Tally, collecting


def timed(examples: int) -> tuple[float, Tally]:
    """Run the property test once; return its seconds and what it counted."""
    chosen = settings(deadline=None, derandomize=True, database=None, max_examples=examples)
    test = rg.gradient_test(rnn_cell, settings=chosen)
    with collecting() as tallies:
        start = time.perf_counter()
        test()
        seconds = time.perf_counter() - start
    return seconds, tallies[str(rnn_cell.name)]


def main() -> None:
    """Print the median over the repeats, after one run that warms up."""
    options = argparse.ArgumentParser(description="Time a property test of the RNN cell.")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--examples", type=int, default=100)
    chosen = options.parse_args()
    first, _ = timed(chosen.examples)
    runs = [timed(chosen.examples) for _ in range(chosen.repeats)]
    tally = runs[-1][1]
    checked = tally["examples"]
    seconds = statistics.median(run[0] for run in runs)
    fastest, slowest = min(run[0] for run in runs), max(run[0] for run in runs)
    print(f"property test of {rnn_cell.name}, {checked} examples, median of {chosen.repeats} runs after one to warm up")
    print(f"seconds            {seconds:8.2f}   ({fastest:.2f} to {slowest:.2f}; the first one {first:.2f})")
    print(f"ms an example      {1000 * seconds / checked:8.1f}")
    print(f"forward passes     {tally['evaluations'] / checked:8.0f}   an example")
    print(f"sizes seen         {tally['sizes']}")


if __name__ == "__main__":
    main()
