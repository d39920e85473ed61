"""tests/faults/forgetful_disk.py: what the disk forgets, and what it does not."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.forgetful_disk import LOSSES, ForgetfulDisk, Loss
from trainables.files.output import write_text


def states(disk: ForgetfulDisk, loss: Loss) -> list[dict[str, bytes]]:
    """What can be found at each moment, without repeats."""
    found: list[dict[str, bytes]] = []
    for moment in disk.moments():
        disk.lay_out(moment, loss)
        state = {str(f.relative_to(disk.root)): f.read_bytes() for f in sorted(disk.root.rglob("*")) if f.is_file()}
        if not found or found[-1] != state:
            found.append(state)
    return found


@pytest.fixture
def disk(tmp_path: Path) -> ForgetfulDisk:
    (tmp_path / "disk").mkdir()
    return ForgetfulDisk(tmp_path / "disk")


def test_what_is_written_carelessly_is_lost_in_every_way(disk: ForgetfulDisk) -> None:
    with disk.recording():
        (disk.root / "new").write_text("careless")
        (disk.root / "new").rename(disk.root / "file")
        (disk.root / "other").write_text("x")
    assert {"file": b"careless", "other": b"x"} in states(disk, "killed")
    assert {"file": b""} in states(disk, "content") and {"file": bytes(8)} in states(disk, "zeros")
    assert all(set(state.values()) <= {b""} for state in states(disk, "content"))
    assert states(disk, "names") == [{}]


def test_what_is_synced_before_it_is_named_is_whole_or_absent(disk: ForgetfulDisk) -> None:
    with disk.recording():
        write_text("one", disk.root / "file")
        write_text("two", disk.root / "file")
    for loss in LOSSES:
        named = [state["file"] for state in states(disk, loss) if "file" in state]
        assert set(named) == {b"one", b"two"} and named == sorted(named)


def test_files_that_sync_themselves_are_never_lost(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    disk = ForgetfulDisk(tmp_path / "disk", synced=("study.db",))
    with disk.recording():
        (disk.root / "study.db").write_text("1")
        disk.look()
        (disk.root / "study.db").write_text("12")
        os.mkdir(disk.root / "folder")  # noqa: PTH102
    assert {"study.db": b"12"} in states(disk, "names")


def test_threads_may_write_and_remove_at_once(disk: ForgetfulDisk) -> None:
    def work(name: str) -> None:
        for _ in range(100):
            write_text("whole", disk.root / name)
            (disk.root / name).unlink()

    with disk.recording(), ThreadPoolExecutor(3) as pool:
        list(pool.map(work, "abc"))
    for moment in disk.moments():
        assert set(disk.left(moment, "killed").contents.values()) <= {b"", b"whole"}
        for loss in LOSSES:
            left = disk.left(moment, loss)
            assert left.names.keys() == {name for name, inode in left.names.items() if inode in left.contents}
