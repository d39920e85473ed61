import errno
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainables.activations import array_file
from trainables.activations import store as store_module
from trainables.activations.store import Store, StoreFull
from trainables.errors import UserError

ROWS = 40
KEY = {"what": "squares"}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 8)


def squares(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.arange(start, stop, dtype="float32")[:, None] ** 2 for name in names}


def test_what_was_filled_is_read_and_never_computed_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def fill(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        calls.append(start)
        return squares(start, stop, names, filled)

    for _ in range(2):
        entry = Store(tmp_path, 10**6).entry(KEY, ROWS)
        entry.allocate({"a": (1,)}, np.float32)
        entry.fill(["a"], fill)
        np.testing.assert_array_equal(entry.read("a")[:, 0], np.arange(ROWS) ** 2)
        entry.close()
    assert calls == [0, 8, 16, 24, 32]


def test_other_keys_and_other_numbers_of_rows_are_other_entries(tmp_path: Path) -> None:
    store = Store(tmp_path, 10**6)
    for key, rows in ((KEY, ROWS), ({"what": "cubes"}, ROWS), (KEY, ROWS + 1)):
        store.entry(key, rows)
    assert len(list(tmp_path.glob("*/key.json"))) == 3


def test_a_later_array_is_computed_from_those_that_are_there(tmp_path: Path) -> None:
    entry = Store(tmp_path, 10**6).entry(KEY, ROWS)
    entry.allocate({"a": (1,)}, np.float32)
    entry.fill(["a"], squares)
    entry.allocate({"a": (1,), "root": (1,)}, np.float32)

    def roots(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert list(names) == ["root"]
        return {"root": np.sqrt(filled["a"])}

    entry.fill(["a", "root"], roots)
    np.testing.assert_allclose(entry.read("root")[:, 0], np.arange(ROWS))


def _fill_slowly(root: Path, log: Path) -> None:
    entry = Store(root, 10**6).entry(KEY, ROWS)
    entry.allocate({"a": (1,)}, np.float32)

    def fill(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with log.open("a") as lines:
            lines.write(f"{os.getpid()} {start}\n")
        time.sleep(0.1)
        return squares(start, stop, names, filled)

    entry.fill(["a"], fill)
    assert (entry.read("a")[:, 0] == np.arange(ROWS) ** 2).all()


def _start(root: Path, log: Path) -> multiprocessing.Process:
    # fork, as the chunk size set by the fixture must reach the child.
    process = multiprocessing.get_context("fork").Process(target=_fill_slowly, args=(root, log))
    process.start()
    return process


def test_processes_share_the_work_and_compute_every_chunk_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [_start(tmp_path / "store", log) for _ in range(2)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    assert sorted(int(start) for _, start in lines) == [0, 8, 16, 24, 32]
    assert len({pid for pid, _ in lines}) == 2


def test_a_killed_writer_leaves_no_lock_and_no_half_chunk(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = _start(tmp_path / "store", log)
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _fill_slowly(tmp_path / "store", log)


def test_the_least_recently_used_entry_makes_room(tmp_path: Path) -> None:
    one_array = ROWS * 4 + 128
    store = Store(tmp_path, 2 * one_array)
    for name in ("old", "young"):
        entry = store.entry({"what": name}, ROWS)
        entry.allocate({"a": (1,)}, np.float32)
        entry.close()
        time.sleep(0.02)
    store.entry({"what": "old"}, ROWS).close()  # Used again: now "young" is the older one.
    time.sleep(0.02)
    store.entry({"what": "new"}, ROWS).allocate({"a": (1,)}, np.float32)
    kept = {(folder / "key.json").read_text() for folder in tmp_path.iterdir() if folder.is_dir()}
    assert any("old" in text for text in kept)
    assert not any("young" in text for text in kept)


def test_entries_in_use_are_not_evicted_and_the_refusal_says_what_is_missing(tmp_path: Path) -> None:
    store = Store(tmp_path, ROWS * 4 + 200)
    used = store.entry({"what": "used"}, ROWS)
    used.allocate({"a": (1,)}, np.float32)
    with pytest.raises(StoreFull, match="needs"):
        store.entry({"what": "new"}, ROWS).allocate({"a": (1,)}, np.float32)
    used.fill(["a"], squares)


@pytest.mark.parametrize("system", ["Linux", "macOS"])
def test_an_array_has_its_disk_space_before_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    if system == "macOS":
        monkeypatch.delattr(os, "posix_fallocate")
        monkeypatch.setattr(array_file, "_ZEROS", 1000)
    entry = Store(tmp_path, 10**6).entry(KEY, ROWS)
    entry.allocate({"a": (100,)}, np.float32)
    (file,) = tmp_path.glob("*/a.npy")
    assert file.stat().st_blocks * 512 >= file.stat().st_size > ROWS * 400
    assert not entry.read("a").any() and entry.read("a").shape == (ROWS, 100)


SHAPES = {"a": (3,), "b": (2, 2)}


def numbers(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: whole(name)[start:stop] for name in names}


def whole(name: str) -> np.ndarray:
    return np.random.default_rng(len(SHAPES[name])).normal(size=(ROWS, *SHAPES[name])).astype("float32")


def opened(store: Store) -> list[int]:
    """Open the entry as a trial does, see that what it reads is right, and return the chunks that it computed."""
    computed = []

    def fill(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        computed.append(start)
        return numbers(start, stop, names, filled)

    entry, arrays = store.opened(KEY, ROWS, SHAPES, np.float32, fill)
    for name in SHAPES:
        np.testing.assert_array_equal(arrays[name], whole(name))
    entry.close()
    return computed


def lose_rows(folder: Path) -> None:
    """As a power cut does: the marker has reached the disk, and the rows have not."""
    array = np.load(folder / "a.npy", mmap_mode="r+")
    array[8:16] = 0


def flip_a_bit(folder: Path) -> None:
    array = np.load(folder / "b.npy", mmap_mode="r+")
    array.view(np.uint32)[11, 1, 1] ^= 1 << 20


def new_shape(folder: Path) -> None:
    np.save(folder / "a.npy", np.zeros((ROWS, 4), np.float32))


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


def removed(pattern: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for file in folder.glob(pattern):
            file.unlink()

    return remove


def overwritten(pattern: str, content: bytes) -> Callable[[Path], None]:
    def overwrite(folder: Path) -> None:
        for file in folder.glob(pattern):
            file.write_bytes(content)

    return overwrite


ALL = [0, 8, 16, 24, 32]
DAMAGES = {
    "rows lost": (lose_rows, [8]),
    "bit flipped": (flip_a_bit, [8]),
    "another shape": (new_shape, ALL),
    "array cut": (cut("a.npy", 300), ALL),
    "array cut in its header": (cut("a.npy", 40), ALL),
    "array empty": (cut("a.npy", 0), ALL),
    "array without header": (overwritten("a.npy", bytes(700)), ALL),
    "array is a page": (overwritten("a.npy", b"<html>" * 100), ALL),
    "array gone": (removed("a.npy"), ALL),
    "all arrays gone": (removed("*.npy"), ALL),
    "marker gone": (removed("a.8.filled"), [8]),
    "markers empty": (overwritten("b.*.filled", b""), ALL),
    "marker is noise": (overwritten("b.16.filled", b"\xff\xfe\x00"), [16]),
    "key gone": (removed("key.json"), ALL),
    "key empty": (cut("key.json", 0), ALL),
    "key cut": (cut("key.json", 5), ALL),
    "locks gone": (removed("*.lock"), []),
    "all gone": (removed("*"), ALL),
}


@pytest.mark.parametrize("same_process", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_computed_again_and_nothing_else(tmp_path: Path, damage: str, same_process: bool) -> None:
    do, again = DAMAGES[damage]
    store = Store(tmp_path, 10**6)
    assert opened(store) == ALL
    (key,) = tmp_path.glob("*/key.json")
    do(key.parent)
    # What a process has checked it does not check again, but it sees what was made anew or removed.
    if not same_process or damage not in ("rows lost", "bit flipped", "marker is noise"):
        assert opened(store if same_process else Store(tmp_path, 10**6)) == again
    assert opened(Store(tmp_path, 10**6)) in ([], again)
    assert opened(Store(tmp_path, 10**6)) == []


def test_a_damaged_entry_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened(Store(tmp_path, 10**6))
    assert capsys.readouterr().err == ""
    (key,) = tmp_path.glob("*/key.json")
    lose_rows(key.parent)
    flip_a_bit(key.parent)
    opened(Store(tmp_path, 10**6))
    assert (
        capsys.readouterr().err == f"warning: {key.parent} in the activation store is damaged; it is computed again\n"
    )


def test_rows_are_on_the_disk_before_their_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []

    def noted(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append((file.name, len(list(file.parent.glob(f"{file.stem}.*.filled")))))

    monkeypatch.setattr(os, "fsync", noted)
    assert opened(Store(tmp_path, 10**6)) == ALL
    assert flushed == [(f"{name}.npy", done) for done in range(len(ALL)) for name in SHAPES]


def test_files_removed_under_a_trial_that_fills_them_are_computed_again(tmp_path: Path) -> None:
    store, hits = Store(tmp_path, 10**6), []

    def fill(start: int, stop: int, names: Sequence[str], filled: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if start == 16 and not hits:
            hits.append(start)
            while tmp_path.exists():  # The chunk before is being flushed meanwhile, and may get its marker now.
                shutil.rmtree(tmp_path, ignore_errors=True)
        return numbers(start, stop, names, filled)

    _, arrays = store.opened(KEY, ROWS, SHAPES, np.float32, fill)
    assert hits
    for name in SHAPES:
        np.testing.assert_array_equal(arrays[name], whole(name))


def test_what_dead_processes_left_is_removed_and_not_counted(tmp_path: Path) -> None:
    opened(Store(tmp_path, 10**6))
    (key,) = tmp_path.glob("*/key.json")
    for folder in (tmp_path / ".evicted-0123", tmp_path / ".new-abc", tmp_path / "0123"):
        folder.mkdir()
        for name in ("a.npy", "use.lock"):
            (folder / name).write_bytes(bytes(10**5))
    (tmp_path / ".evicted-0123" / "key.json").write_text("{}")
    (key.parent / "c.new").write_bytes(bytes(10**5))
    store = Store(tmp_path, 2000)
    assert {file.name for file in tmp_path.iterdir()} == {key.parent.name, "store.lock"}
    assert not (key.parent / "c.new").exists()
    assert opened(store) == []


def test_an_entry_that_another_process_uses_is_not_taken_for_a_dead_ones(tmp_path: Path) -> None:
    entry = Store(tmp_path, 10**6).entry(KEY, ROWS)
    (key,) = tmp_path.glob("*/key.json")
    key.unlink()
    Store(tmp_path, 10**6)
    assert (key.parent / "use.lock").exists()
    entry.close()
    Store(tmp_path, 10**6)
    assert not key.parent.exists()


def test_a_budget_above_what_the_disk_has_is_a_full_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, 10**12)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 500, 500))  # type: ignore[attr-defined]
    with pytest.raises(StoreFull, match=r"its disk has 0\.00 GB free"):
        store.opened(KEY, ROWS, SHAPES, np.float32, numbers)
    monkeypatch.undo()
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 8)
    assert opened(store) == ALL


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_up_or_becomes_read_only_is_a_full_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = Store(tmp_path, 10**6)

    def refused(descriptor: int, start: int, size: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refused)
    with pytest.raises(StoreFull, match="is full" if number == errno.ENOSPC else "is read-only"):
        store.opened(KEY, ROWS, SHAPES, np.float32, numbers)
    assert not list(tmp_path.glob("*/*.n*"))


def test_a_store_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"store: .*file/store cannot be written: Not a directory"):
        Store(tmp_path / "file" / "store", 10**6)
