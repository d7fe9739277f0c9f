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
    module = sys.modules.get(pair.module)
    names = [name for name, value in vars(module).items() if value is pair] if module else []
    name = names[0] if names else "pair"
    if case is None:
        return f"rg.check({name}, arrays)"
    if not names or getattr(module, "__file__", None) is None:
        return f"rg.check({name}, rg.{case})"
    return f'rnngrad check {target(pair.module)}::{name} --case "{case}"'


def target(module: str) -> str:
    """Return the file of a module relative to the current directory, or its dotted name where it lies elsewhere."""
    try:
        return Path(str(sys.modules[module].__file__)).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return module
