"""A recording as two files: NAME.npz with the numbers, and NAME.json that a reviewer can read in a diff.

The archive holds ``meta.json`` and one row of numbers, ``values.npy``; it is complete by itself, and the same recording
gives the same bytes. The text file repeats the meta data with norm and checksum of each tensor; both take their place
after both are on the disk, and a run that is killed between the two leaves the text file beside its place, where
it is found. Nothing that is read is trusted: no pickles, no size beyond the limit, every number accounted for.
"""

import io
import json
import zipfile
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from rnngrad.errors import InvalidBaseline
from rnngrad.regress.atomic import NEXT, write_all
from rnngrad.regress.recording import Recorded, Recording, checksum
from rnngrad.tree import components

__all__ = ["load", "save", "text_of"]

FORMAT = 1
LARGEST = 64 << 20  # bytes of a file, and of what is in it: a baseline is committed beside a test
MEMBERS = ["meta.json", "values.npy"]
DATE = (1980, 1, 1, 0, 0, 0)  # the least that an archive can hold: no time of day in a committed file
DTYPES = ("float16", "float32", "float64", "complex64", "complex128")
AGAIN = "restore it from version control, or record it again with: pytest --rnngrad-update"


def save(path: Path, recording: Recording) -> None:
    """Write both files of a recording; path is that of the archive."""
    archive = archive_of(recording)
    if len(archive) > LARGEST:
        raise InvalidBaseline(
            f"{path.name} would have {len(archive)} bytes, more than {LARGEST}; record fewer or smaller cases"
        )
    write_all({path: archive, path.with_suffix(".json"): text_of(recording).encode()})


def meta_of(recording: Recording) -> dict[str, Any]:
    """Return all of a recording but its numbers, and the test: whoever records the same writes the same archive."""
    return {
        "rnngrad baseline": FORMAT,
        "pair": recording.pair,
        "inputs": recording.inputs,
        "versions": recording.versions,
        "cases": [
            {
                "case": one.case,
                "tensors": {
                    name: {"shape": list(array.shape), "dtype": str(array.dtype), "checksum": checksum(array)}
                    for name, array in one.tensors.items()
                },
            }
            for one in recording.cases
        ],
    }


def archive_of(recording: Recording) -> bytes:
    """Return the archive, the same for the same recording."""
    rows = [components(array).astype("<f8") for one in recording.cases for array in one.tensors.values()]
    values = io.BytesIO()
    npy.write_array(values, np.concatenate([np.empty(0), *rows]).astype("<f8"), allow_pickle=False)
    whole = io.BytesIO()
    contents = [json.dumps(meta_of(recording)).encode(), values.getvalue()]
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(MEMBERS, contents, strict=True):
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def text_of(recording: Recording) -> str:
    """Return the text file: one line for each tensor, with its norm."""
    meta = {**meta_of(recording), "test": recording.test}
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}," for key, value in meta.items() if key != "cases"]
    cases = []
    for one, facts in zip(recording.cases, meta["cases"], strict=True):
        with np.errstate(over="ignore"):
            rows = [
                f"      {json.dumps(name)}: "
                + json.dumps({**facts["tensors"][name], "norm": f"{np.linalg.norm(components(array)):.6g}"})
                for name, array in one.tensors.items()
            ]
        cases.append(f"    {json.dumps(one.case)}: {{\n" + ",\n".join(rows) + "\n    }")
    return "{\n" + "\n".join([*lines, '  "cases": {']) + "\n" + ",\n".join(cases) + "\n  }\n}\n"


def load(path: Path) -> Recording:
    """Read a recording; raise InvalidBaseline that says what is wrong with the file and what to do."""
    try:
        if path.stat().st_size > LARGEST:
            raise Refused(f"has {path.stat().st_size} bytes, a baseline has at most {LARGEST}")
        return read(path.read_bytes())
    except FileNotFoundError:
        raise InvalidBaseline(f"there is no baseline {path}; record it with: pytest --rnngrad-update") from None
    except OSError as error:
        raise InvalidBaseline(f"{path} cannot be read: {error.strerror or error}") from error
    except Refused as error:
        raise InvalidBaseline(f"{path} {error}\n    {AGAIN}") from None


def describes(path: Path, recording: Recording) -> bool:
    """Tell whether the text file says what is in the archive; one that still waits for its place counts."""
    text = path.with_suffix(".json")
    wanted = json.loads(text_of(recording))
    waiting = path.parent.glob(f".{escape(text.name)}.*{NEXT}")
    for candidate in (text, *waiting, text):  # the last time for one that took its place meanwhile
        try:
            if candidate.stat().st_size <= LARGEST and unnormed(json.loads(candidate.read_bytes())) == unnormed(wanted):
                return True
        except (OSError, ValueError, RecursionError):
            continue
    return False


def unnormed(value: Any) -> Any:
    """Return meta data without the test, and without norms, whose last digit depends on who adds up."""
    if not isinstance(value, dict):
        return value
    return {key: unnormed(child) for key, child in value.items() if key not in ("norm", "test")}


class Refused(Exception):
    """Say why a file is no baseline."""


def read(content: bytes) -> Recording:
    """Return the recording in an archive; raise Refused where it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if names != MEMBERS:
                raise Refused(f"is no baseline of rnngrad: it holds {names[:5]}, expected {MEMBERS}")
            size = sum(info.file_size for info in archive.infolist())
            if size > LARGEST:
                raise Refused(f"unpacks to {size} bytes, a baseline has at most {LARGEST}")
            meta, values = (archive.read(name) for name in MEMBERS)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise Refused(f"is damaged, or no archive: {error}") from None
    except Exception as error:  # what zlib says of damaged data
        if isinstance(error, Refused):
            raise
        raise Refused(f"is damaged: {error}") from None
    return rebuilt(meta, row_of(values))


def row_of(content: bytes) -> NDArray[np.float64]:
    """Return the row of numbers; what stands in its header is held against the bytes that are there."""
    file = io.BytesIO(content)
    try:
        version = npy.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the npy format")
        shape, _, dtype = npy.read_array_header_1_0(file)
        if dtype != np.dtype("<f8") or len(shape) != 1 or 8 * shape[0] != len(content) - file.tell():
            raise ValueError(f"{dtype} of shape {shape} in {len(content)} bytes, expected one row of float64")
        file.seek(0)
        return np.asarray(npy.read_array(file, allow_pickle=False))
    except (ValueError, TypeError, EOFError, SyntaxError) as error:
        raise Refused(f"holds no row of numbers: {error}") from None


def rebuilt(content: bytes, row: NDArray[np.float64]) -> Recording:
    """Return the recording that meta data and numbers make; raise Refused where they do not fit together."""
    try:
        meta = json.loads(content)
        version = meta["rnngrad baseline"]
        if isinstance(version, int) and version > FORMAT:
            raise Refused(f"has format {version}, this rnngrad reads up to {FORMAT}: update rnngrad")
        if version != FORMAT:
            raise Refused(f"has format {version!r}, expected {FORMAT}")
        cases, start = [], 0
        for one in meta["cases"]:
            tensors = {}
            for name, facts in one["tensors"].items():
                tensors[str(name)], start = taken(row, start, name, facts)
            cases.append(Recorded(str(one["case"]), tensors))
        texts = [{str(key): str(value) for key, value in meta[field].items()} for field in ("inputs", "versions")]
        recording = Recording(str(meta["pair"]), texts[0], tuple(cases), texts[1])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise Refused(f"has meta data that cannot be read: {type(error).__name__}: {error}") from None
    if start != len(row):
        raise Refused(f"holds {len(row)} numbers, its meta data speak of {start}")
    return recording


def taken(row: NDArray[np.float64], start: int, name: str, facts: dict[str, Any]) -> tuple[NDArray[Any], int]:
    """Return one tensor from the row of numbers, and where the next one starts."""
    shape = tuple(int(size) for size in facts["shape"])
    if facts["dtype"] not in DTYPES or any(size < 0 for size in shape):
        raise Refused(f"holds {name} as {facts['dtype']!r} of shape {shape}, expected one of {list(DTYPES)}")
    dtype = np.dtype(facts["dtype"])
    stop = start + int(np.prod(shape, dtype=object)) * (2 if dtype.kind == "c" else 1)
    if stop > len(row):
        raise Refused(f"holds {len(row)} numbers, fewer than its meta data speak of")
    part = row[start:stop]
    with np.errstate(over="ignore"):
        array = np.array(part.view(np.complex128) if dtype.kind == "c" else part, dtype).reshape(shape)
    if checksum(array) != facts["checksum"]:
        raise Refused(f"is damaged: the numbers of {name} do not meet their checksum")
    return array, stop
