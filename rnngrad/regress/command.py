"""What the commands `compare` and `diff` do, once the command line is read."""

import importlib
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rnngrad.case import parse_case
from rnngrad.errors import InvalidBaseline, InvalidPair
from rnngrad.pair import Pair
from rnngrad.regress.difference import difference
from rnngrad.regress.drawn import cases_of
from rnngrad.regress.speed import paces
from rnngrad.result import Pace, Verdict

__all__ = ["main"]

SAME, DIFFERENT, TROUBLE = 0, 1, 2  # as diff(1) has them


def main(options: Namespace, write: Callable[[str], Any], render: Callable[[list[Pace]], str]) -> int:
    """Run one of the commands and return its exit status."""
    try:
        return COMMANDS[options.command](options, write, render)
    except (InvalidBaseline, InvalidPair) as error:
        write(f"{type(error).__name__}: {error}\n")
        return TROUBLE


def diff(options: Namespace, write: Callable[[str], Any], _render: Any) -> int:
    """Compare two recorded files."""
    found = difference(Path(options.left), Path(options.right))
    write(f"{found}\n")
    return SAME if found.verdict is Verdict.PASS else DIFFERENT


def compare(options: Namespace, write: Callable[[str], Any], render: Callable[[list[Pace]], str]) -> int:
    """Time two pairs."""
    old, new = pair_of(options.old), pair_of(options.new)
    cases = tuple(map(parse_case, options.case)) if options.case else cases_of(old, options.drawn)
    names = dict(name.partition("=")[::2] for name in options.name or ())
    found: list[Pace] = paces(old, new, cases, repeats=options.repeats, names=names)
    write(f"{old.name} against {new.name}\n{render(found)}\n")
    return SAME


COMMANDS: dict[str, Callable[[Namespace, Callable[[str], Any], Any], int]] = {"compare": compare, "diff": diff}


def pair_of(target: str) -> Pair:
    """Return the pair that a target names: ``file.py::name``, or ``package.module::name``."""
    name, _, member = target.partition("::")
    path = Path(name)
    try:
        if path.suffix == ".py":
            sys.path.insert(0, str(path.resolve().parent))
            name = path.stem
        module = importlib.import_module(name)
    except ImportError as error:
        raise InvalidPair(f"{target!r} cannot be imported: {error}") from error
    found = {key: value for key, value in vars(module).items() if isinstance(value, Pair)}
    if member not in found:
        raise InvalidPair(f"{target!r} names no pair; expected FILE::NAME, with one of the names {list(found)}")
    return found[member]
