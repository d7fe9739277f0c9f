"""The command line: a thin front of pytest."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["main"]

REGRESS = ("compare", "diff")
EPILOG = """\
Targets are files, folders or modules, each with ::NAME for one pair; by default the cells that ship.
Options that are not listed here are pytest's: -x, -k EXPRESSION, -n 4 (with pytest-xdist), --junitxml=PATH.
The exit status is pytest's: 0 all right, 1 a wrong gradient or an invalid pair, 2 interrupted, not collected or
bad usage of this command, 4 bad usage of pytest, 5 nothing to check.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 1, in silence, where nobody reads on, as in ``| head``."""
    try:
        status = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes
        return 1
    return status


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="rnngrad", description="Check hand-derived gradients.")
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check",
        help="check every pair in the targets",
        usage="rnngrad check [TARGET ...] [--power] [--case CASE] [pytest options]",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    check.add_argument("--case", metavar="CASE", help="replay one case, such as 'Case(m=1, n=2, seed=0)'")
    check.add_argument("--power", action="store_true", help="tell which planted errors the examples would have caught")
    add_regress(commands)
    options, rest = parser.parse_known_args(argv)
    if options.command in REGRESS:
        if rest:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        from rnngrad.regress import command
        from rnngrad.report import speed

        return command.main(options, sys.stdout.write, speed.render)
    ours = [] if options.case is None else [f"--rnngrad-case={options.case}"]
    ours += ["--rnngrad-power"] if options.power else []

    import pytest

    fixed = ["-p", "rnngrad", "--rnngrad-check", "--no-header", "-o", "python_files=*.py"]
    return int(pytest.main([*fixed, *ours, *rest]))


def add_regress(commands: Any) -> None:
    """Add the commands that set two things side by side."""
    compare = commands.add_parser("compare", help="time and memory of two pairs", allow_abbrev=False)
    compare.add_argument("old", metavar="OLD", help="a pair, such as my_cell.py::cell")
    compare.add_argument("new", metavar="NEW", help="the pair that is to replace it")
    compare.add_argument(
        "--name", metavar="OLD=NEW", action="append", help="an input that the new pair calls otherwise"
    )
    compare.add_argument("--case", metavar="CASE", action="append", help="at this case; may be given again")
    compare.add_argument("--drawn", type=int, default=3, help="how many drawn cases, where none is given (3)")
    compare.add_argument("--repeats", type=int, default=15, help="how often both are timed, one after the other (15)")
    diff = commands.add_parser("diff", help="compare two recorded baselines, bit by bit", allow_abbrev=False)
    diff.add_argument("left", metavar="A.npz")
    diff.add_argument("right", metavar="B.npz")
