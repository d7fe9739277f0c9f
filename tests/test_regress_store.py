"""Files of a baseline: written whole or not at all, the same for the same numbers, and read without trust."""

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from rnngrad.errors import InvalidBaseline
from rnngrad.regress import atomic, store
from rnngrad.regress.recording import Recorded, Recording

TENSORS = {
    "output y": np.arange(6.0).reshape(2, 3),
    "x": np.array(-0.0),
    "z": np.array([1 + 2j, np.nan]),
    "narrow": np.array([0.1], np.float32),
    "empty": np.empty((0, 3)),
}
RECORDING = Recording("cell", {"x": "n"}, (Recorded("Case(n=1, seed=0)", TENSORS),), {"numpy": "2"}, "test_it.py::test")


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "one.npz"
    store.save(target, RECORDING)
    return target


def test_what_is_saved_is_loaded_bit_by_bit(path):
    loaded = store.load(path)
    assert (loaded.pair, loaded.inputs, loaded.versions) == ("cell", {"x": "n"}, {"numpy": "2"})
    assert loaded.cases[0].case == "Case(n=1, seed=0)"
    for name, array in TENSORS.items():
        other = loaded.cases[0].tensors[name]
        assert (other.dtype, other.shape, other.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_the_same_recording_gives_the_same_bytes(path, tmp_path):
    again = tmp_path / "again.npz"
    store.save(again, store.load(path))
    assert again.read_bytes() == path.read_bytes()
    text = path.with_suffix(".json").read_text()
    assert again.with_suffix(".json").read_text() == text.replace("test_it.py::test", "")


def test_the_archive_is_plain_numpy_and_holds_no_pickle(path):
    with np.load(path, allow_pickle=False) as archive:
        assert len(archive["values"]) == 6 + 1 + 4 + 1


def test_the_text_file_says_what_the_archive_holds(path):
    text = json.loads(path.with_suffix(".json").read_text())
    row = text["cases"]["Case(n=1, seed=0)"]["output y"]
    assert (row["shape"], row["dtype"], row["norm"]) == ([2, 3], "float64", "7.4162")
    assert text["versions"] == {"numpy": "2"}


def archive(meta, values, names=("meta.json", "values.npy")):
    """Return an archive of two members."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        for name, content in zip(names, (meta, values), strict=True):
            file.writestr(name, content)
    return whole.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def members(**changes):
    """Return the meta data of RECORDING with some fields changed, and its numbers."""
    with zipfile.ZipFile(io.BytesIO(store.archive_of(RECORDING))) as file:
        meta, values = json.loads(file.read("meta.json")), file.read("values.npy")
    return json.dumps({**meta, **changes}).encode(), values


def one_tensor(**facts):
    """Return cases with one tensor."""
    return [{"case": "Case(n=1)", "tensors": {"x": {"shape": [12], "dtype": "float64", "checksum": "", **facts}}}]


HUGE = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117)
    + b"\n"
)
FOREIGN = io.BytesIO()
np.savez(FOREIGN, a=np.ones(3))

BAD = {
    "empty": (lambda: b"", "damaged, or no archive"),
    "text": (lambda: b"gradients", "damaged, or no archive"),
    "foreign": (FOREIGN.getvalue, r"is no baseline of rnngrad: it holds \['a.npy'\]"),
    "truncated": (lambda: store.archive_of(RECORDING)[:-40], "damaged"),
    "flipped": (lambda: store.archive_of(RECORDING).replace(b"meta.json", b"mete.json"), "damaged|no baseline"),
    "pickle": (lambda: pickle.dumps({"x": 1}), "damaged, or no archive"),
    "pickled numbers": (
        lambda: archive(members()[0], npy(np.array([{}], object), allow_pickle=True)),
        "no row of numbers",
    ),
    "huge by its header": (lambda: archive(members()[0], HUGE), "no row of numbers"),
    "other version of npy": (lambda: archive(members()[0], b"\x93NUMPY\x03\x00" + members()[1][8:]), "version"),
    "no npy": (lambda: archive(members()[0], b"1, 2, 3"), "no row of numbers"),
    "too new": (lambda: archive(*members(**{"rnngrad baseline": 2})), "reads up to 1: update rnngrad"),
    "no version": (lambda: archive(*members(**{"rnngrad baseline": "one"})), "has format 'one', expected 1"),
    "no meta data": (lambda: archive(b"[]", members()[1]), "meta data that cannot be read"),
    "deep": (lambda: archive(b"[" * 100_000, members()[1]), "meta data that cannot be read"),
    "no pair": (lambda: archive(b'{"rnngrad baseline": 1}', members()[1]), "meta data that cannot be read: KeyError"),
    "too few": (lambda: archive(*members(cases=one_tensor(shape=[13]))), "fewer than its meta data"),
    "overflowing": (lambda: archive(*members(cases=one_tensor(shape=[2**40, 2**40]))), "fewer than its meta data"),
    "too many": (lambda: archive(*members(cases=[])), "holds 12 numbers, its meta data speak of 0"),
    "negative": (lambda: archive(*members(cases=one_tensor(shape=[-1]))), "of shape"),
    "objects": (lambda: archive(*members(cases=one_tensor(dtype="object"))), "holds x as 'object'"),
    "other numbers": (lambda: archive(*members(cases=one_tensor())), "numbers of x do not meet their checksum"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_baseline_is_refused_with_what_to_do(kind, path):
    make, words = BAD[kind]
    path.write_bytes(make())
    with pytest.raises(InvalidBaseline, match=words) as caught:
        store.load(path)
    assert str(path) in str(caught.value)
    assert "restore it from version control, or record it again with: pytest --rnngrad-update" in str(caught.value)


def test_any_byte_that_is_changed_or_missing_is_noticed_or_changes_nothing(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        for content in (whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :], whole[:place]):
            path.write_bytes(content)
            try:
                loaded = store.load(path)
            except InvalidBaseline:
                continue
            assert store.text_of(loaded) == store.text_of(replace(RECORDING, test=""))


def test_a_file_beyond_the_limit_is_neither_read_nor_written(path, monkeypatch, tmp_path):
    monkeypatch.setattr(store, "LARGEST", 100)
    with pytest.raises(InvalidBaseline, match="a baseline has at most 100"):
        store.load(path)
    with pytest.raises(InvalidBaseline, match="record fewer or smaller cases"):
        store.save(tmp_path / "two.npz", RECORDING)
    assert not (tmp_path / "two.npz").exists()


def test_an_archive_that_unpacks_to_more_than_the_limit_is_not_unpacked(path, monkeypatch):
    big = io.BytesIO()
    with zipfile.ZipFile(big, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("meta.json", b" " * 1_000_000)
        file.writestr("values.npy", b"")
    path.write_bytes(big.getvalue())
    monkeypatch.setattr(store, "LARGEST", 100_000)
    with pytest.raises(InvalidBaseline, match="unpacks to 1000000 bytes"):
        store.load(path)


def test_an_encrypted_archive_is_refused(path):
    whole = bytearray(path.read_bytes())
    place = whole.index(b"PK\x01\x02")
    whole[place + 8] |= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(InvalidBaseline, match="damaged"):
        store.load(path)


def test_a_missing_file_names_the_command_that_records_it(tmp_path):
    with pytest.raises(InvalidBaseline, match=r"there is no baseline .*record it with: pytest --rnngrad-update"):
        store.load(tmp_path / "none.npz")


def test_a_folder_in_the_place_of_a_file_cannot_be_read(tmp_path):
    (tmp_path / "one.npz").mkdir()
    with pytest.raises(InvalidBaseline, match="cannot be read"):
        store.load(tmp_path / "one.npz")


def test_the_text_file_must_belong_to_the_archive(path):
    text = path.with_suffix(".json")
    assert store.describes(path, RECORDING)
    whole = text.read_text()
    text.write_text(whole.replace("7.4162", "7.41621"))  # who adds up in another order rounds otherwise
    assert store.describes(path, RECORDING)
    for other in (whole.replace('"n"', '"m"'), "no text", ""):
        text.write_text(other)
        assert not store.describes(path, RECORDING)
    text.unlink()
    assert not store.describes(path, RECORDING)


def full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_files_and_says_what_to_do(path, monkeypatch, function):
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    monkeypatch.setattr(os, function, full)
    with pytest.raises(InvalidBaseline, match="No space left on device; what was recorded before is still there"):
        store.save(path, Recording("other", {}, (), {}))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidBaseline, match="cannot be written to"):
        store.save(tmp_path / "file" / "one.npz", RECORDING)


def test_a_read_only_folder_is_told(path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(atomic, "written", refused)  # whoever may do everything is refused nothing by modes
    with pytest.raises(InvalidBaseline, match=r"Permission denied.*still there"):
        store.save(path, RECORDING)
    assert store.describes(path, store.load(path))


def test_what_a_killed_run_left_is_removed_when_it_is_nobodys(path):
    old, young = (path.parent / f".one.npz.{name}.tmp" for name in ("old", "young"))
    for file in (old, young):
        file.write_text("half")
    long_ago = time.time() - 2 * atomic.ABANDONED
    os.utime(old, (long_ago, long_ago))
    store.save(path, RECORDING)
    others = path.parent / ".other.json.old.tmp"  # it may be the text of an archive that was moved already
    others.write_text("whole")
    os.utime(others, (long_ago, long_ago))
    store.save(path, RECORDING)
    assert (old.exists(), young.exists(), others.exists()) == (False, True, True)


def test_an_abandoned_file_that_another_worker_removes_first_is_no_trouble(path):
    (path.parent / ".one.npz.gone.tmp").symlink_to(path.parent / "nowhere")
    store.save(path, RECORDING)
    assert store.load(path).pair == "cell"


def test_workers_that_write_at_the_same_time_never_show_half_a_file(path):
    done, failures = threading.Event(), []

    def write(test):
        while not done.is_set():
            store.save(path, replace(RECORDING, test=test))

    writers = [threading.Thread(target=write, args=(test,)) for test in ("one", "two", "three")]
    for writer in writers:
        writer.start()
    failures += [turn for turn in range(100) if not store.describes(path, store.load(path))]
    done.set()
    for writer in writers:
        writer.join()
    assert failures == []
    assert sorted(file.name for file in path.parent.iterdir()) == ["one.json", "one.npz"]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from rnngrad.regress.recording import Recorded, Recording
from rnngrad.regress.store import save
target, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    save(target, Recording(str(turn), {}, (Recorded("Case()", {"x": np.full(500, float(turn))}),), {}))
"""


def test_a_writer_that_is_killed_leaves_a_whole_recording(tmp_path):
    path = tmp_path / "one.npz"
    store.save(path, RECORDING)
    for turn in range(8):  # benchmarks/kills.py does it more than 200 times
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.003 * turn)
        process.kill()
        process.communicate()
        assert store.describes(path, store.load(path))
