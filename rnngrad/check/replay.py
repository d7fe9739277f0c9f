"""How to run one check again: the command, or the call, that does."""

import sys
from pathlib import Path

from rnngrad.case import Case
from rnngrad.pair import Pair

__all__ = ["replay"]


def replay(pair: Pair, case: Case | None) -> str:
    """Return the line that replays a case of a pair.

    A pair that stands at module level is replayed by the command line; another one, or given arrays, by a call.
    """
    if case is None:
        return f"rg.check({pair.name}, arrays)"
    module = sys.modules.get(pair.module)
    names = [name for name, value in vars(module).items() if value is pair] if module else []
    if not names:
        return f"rg.check({pair.name}, rg.{case})"
    return f'rnngrad check {target(pair.module)}::{names[0]} --case "{case}"'


def target(module: str) -> str:
    """Return the file of a module relative to the current directory, or its dotted name where it lies elsewhere."""
    file = getattr(sys.modules[module], "__file__", None)
    try:
        return Path(file or "").resolve().relative_to(Path.cwd()).as_posix() if file else module
    except ValueError:
        return module
