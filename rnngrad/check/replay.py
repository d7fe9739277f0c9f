"""How to run one check again: the command, or the call, that does."""

import re
import shlex
import sys
import sysconfig
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
    return f'rnngrad check {quoted(f"{target(pair.module)}::{name}")} --case "{case}"'


def target(module: str) -> str:
    """Return the file of a module: relative to the current folder, by its dotted name where it is installed, or whole.

    Any other dotted name may mean nothing, or another module, to the command that reads it.
    """
    file = Path(str(sys.modules[module].__file__)).resolve()
    if file.is_relative_to(Path.cwd()):
        return file.relative_to(Path.cwd()).as_posix()
    installed = (Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib"))
    return module if any(file.is_relative_to(folder) for folder in installed) else file.as_posix()


def quoted(word: str) -> str:
    """Return a word as a shell reads it: in double quotes, which all shells know, where these will do."""
    if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII):
        return word
    return shlex.quote(word) if set(word) & set('"$`\\!') else f'"{word}"'
