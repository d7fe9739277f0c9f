"""The command line: a thin front of pytest."""

import argparse
import sys
from collections.abc import Sequence

__all__ = ["main"]

EPILOG = """\
Targets are files, folders or modules, each with ::NAME for one pair; by default the cells that ship.
Options that are not listed here are pytest's: -x, -k EXPRESSION, -n 4 (with pytest-xdist), --junitxml=PATH.
The exit status is pytest's: 0 all right, 1 a wrong gradient or an invalid pair, 2 interrupted, not collected or
bad usage of this command, 4 bad usage of pytest, 5 nothing to check.
"""


def main(argv: Sequence[str] | None = None) -> int:
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
    options, rest = parser.parse_known_args(sys.argv[1:] if argv is None else argv)
    ours = [] if options.case is None else [f"--rnngrad-case={options.case}"]
    ours += ["--rnngrad-power"] if options.power else []

    import pytest

    fixed = ["-p", "rnngrad", "--rnngrad-check", "--no-header", "-o", "python_files=*.py"]
    return int(pytest.main([*fixed, *ours, *rest]))
