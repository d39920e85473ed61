import multiprocessing
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from trainables.activations import store as store_module
from trainables.activations.store import Store, StoreFull

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
        monkeypatch.setattr(store_module, "_ZEROS", 1000)
    entry = Store(tmp_path, 10**6).entry(KEY, ROWS)
    entry.allocate({"a": (100,)}, np.float32)
    (file,) = tmp_path.glob("*/a.npy")
    assert file.stat().st_blocks * 512 >= file.stat().st_size > ROWS * 400
    assert not entry.read("a").any() and entry.read("a").shape == (ROWS, 100)
