"""Files written whole or not at all: beside their place first, down to the disk, then moved over it in one step.

A run that is killed leaves the old file, or the new one, and at most a file that ends in ``.tmp``; the next writer
removes those that are old enough to be nobody's.
"""

import os
import secrets
import time
from collections.abc import Mapping
from glob import escape
from pathlib import Path

from rnngrad.errors import InvalidBaseline

__all__ = ["NEXT", "write_all"]

NEXT = ".tmp"
ABANDONED = 3600.0  # seconds after which such a file is no longer being written


def write_all(files: Mapping[Path, bytes]) -> None:
    """Write some files of one folder: all contents reach the disk before the first of them takes its place.

    They take their places in order. Raises InvalidBaseline where the disk is full or the folder cannot be written to;
    what was there stays.
    """
    folder = next(iter(files)).parent
    waiting: dict[Path, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            sweep(path)
        for path, content in files.items():
            waiting[path] = folder / f".{path.name}.{secrets.token_hex(8)}{NEXT}"
            written(waiting[path], content)
        for path, beside in waiting.items():
            os.replace(beside, path)  # noqa: PTH105  (the one step that is atomic, by its own name)
    except OSError as error:
        for beside in waiting.values():
            beside.unlink(missing_ok=True)
        raise InvalidBaseline(
            f"{folder} cannot be written to: {error.strerror or error}; what was recorded before is still there\n"
            "    free some space, or allow writing, and record again"
        ) from error


def written(path: Path, content: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sweep(path: Path) -> None:
    """Remove what a killed run left behind of a file that is now written anew."""
    for left in path.parent.glob(f".{escape(path.name)}.*{NEXT}"):
        try:
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
        except FileNotFoundError:  # another worker was faster
            continue
