"""trainables/training/checkpoint.py: whole or absent, and the generation before."""

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checkpoint_files import generations
from trainables.errors import UserError
from trainables.files.bucket import Bucket
from trainables.training import checkpoint
from trainables.training.checkpoint import Checkpoints, epoch_of

STATE = {"weights": np.arange(1000, dtype=np.float32), "epoch": np.asarray(3)}


def written(folder: Path, *epochs: int) -> Checkpoints:
    checkpoints = Checkpoints(folder, 1)
    for epoch in epochs:
        assert checkpoints.write({**STATE, "epoch": np.asarray(epoch)}, {"epoch": epoch, "val_loss": epoch / 10}) == ""
    return checkpoints


def test_what_is_written_is_read_back_with_the_result_of_its_epoch(tmp_path: Path) -> None:
    result = {"epoch": 3, "val_loss": np.float32(0.5), "train_loss": math.nan, "weights": {"kind": "random"}}
    checkpoints = Checkpoints(tmp_path / "new", 1)
    assert checkpoints.newest() == (None, "")
    checkpoints.write(STATE, result)
    found, note = checkpoints.newest()
    assert found is not None and (found.epoch, note) == (3, "")
    assert {name: value.tolist() for name, value in found.state.items()} == {
        name: value.tolist() for name, value in STATE.items()
    }
    assert math.isnan(found.result.pop("train_loss"))
    assert found.result == {"epoch": 3, "val_loss": 0.5, "weights": {"kind": "random"}}


def test_two_generations_are_kept(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, 3, 4)
    assert [epoch_of(file) for file in generations(tmp_path)] == [4, 3]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_one_is_known_and_the_generation_before_is_taken(tmp_path: Path, damage: str) -> None:
    checkpoints = written(tmp_path, 1, 2)
    file = generations(tmp_path)[0]
    content = file.read_bytes()
    half = len(content) // 2
    flipped = content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
    file.write_bytes({"truncated": content[:half], "flipped": flipped, "empty": b""}[damage])
    found, note = checkpoints.newest()
    assert found is not None and found.epoch == 1
    assert note == "the checkpoint of epoch 2 is damaged: goes on after epoch 1"
    assert checkpoints.newest()[1] == "", "it is said once"


def test_without_a_whole_one_training_begins_anew_and_that_is_said(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1, 2)
    for file in generations(tmp_path):
        os.truncate(file, 10)
    expected = "the checkpoint of epoch 2 is damaged, the checkpoint of epoch 1 is damaged: goes on after epoch 0"
    assert checkpoints.newest() == (None, expected)


def test_what_a_killed_process_left_unfinished_is_not_looked_at_and_cleared_away(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 1)
    (tmp_path / ".epoch-000002.0123456789abcdef.npz.here-1").write_bytes(b"half")
    found, note = checkpoints.newest()
    assert found is not None and (found.epoch, note) == (1, "")
    assert list(tmp_path.iterdir()) == generations(tmp_path)


def test_a_full_disk_is_said_and_the_checkpoint_before_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = written(tmp_path, 1)

    whole = checkpoint._Hashing.write

    def full(self: Any, content: bytes) -> int:
        if self.digest.digest() != hashlib.sha256().digest():  # The first bytes still found room.
            raise OSError(28, "No space left on device")
        return whole(self, content)

    monkeypatch.setattr(checkpoint._Hashing, "write", full)
    assert checkpoints.write(STATE, {"epoch": 2}) == "no checkpoint of epoch 2: No space left on device"
    assert [epoch_of(file) for file in generations(tmp_path)] == [1] and len(list(tmp_path.iterdir())) == 1


def test_they_are_due_every_so_many_epochs_and_at_the_end(tmp_path: Path) -> None:
    def due(every: int) -> list[int]:
        results = [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}, {"epoch": 4, "done": True}]
        return [int(str(result["epoch"])) for result in results if Checkpoints(tmp_path, every).due(result)]

    assert (due(0), due(1), due(3)) == ([], [1, 2, 3, 4], [3, 4])


def test_at_a_url_they_are_as_in_a_folder(tmp_path: Path) -> None:
    checkpoints = Checkpoints((tmp_path / "there").as_uri(), 1)
    results = [{"epoch": epoch, "val_loss": 1 / epoch} for epoch in (1, 2, 3)]
    for at, result in enumerate(results):
        assert checkpoints.write(STATE, result, results[:at]) == ""
    assert [epoch_of(file) for file in generations(tmp_path / "there")] == [3, 2]
    newest = generations(tmp_path / "there")[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    found, note = Checkpoints((tmp_path / "there").as_uri(), 1).newest()
    assert found is not None and note == "the checkpoint of epoch 3 is damaged: goes on after epoch 2"
    assert [*found.earlier, found.result] == results[:2]


def test_a_url_that_cannot_be_written_is_said_and_training_goes_on(s3: None) -> None:
    checkpoints = Checkpoints("s3://nowhere/a", 1)
    assert checkpoints.write(STATE, {"epoch": 2}).startswith("no checkpoint of epoch 2: s3://nowhere/a: epoch-000002.")


def test_a_url_that_cannot_be_read_is_not_taken_for_an_empty_or_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path.as_uri(), 1)
    checkpoints.write(STATE, {"epoch": 1})

    def unreachable(self: Bucket, name: str) -> bytes:
        raise UserError(f"{self.url}: {name} cannot be read: no route")

    monkeypatch.setattr(Bucket, "read", unreachable)
    with pytest.raises(UserError, match="no route"):
        checkpoints.newest()
    assert [epoch_of(file) for file in generations(tmp_path)] == [1]


@pytest.mark.parametrize(("known", "unheard"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, [3]), (None, [3])])
def test_results_that_the_driver_lacks_are_told_again_and_the_last_one_in_any_case(
    tmp_path: Path, known: int | None, unheard: list[int]
) -> None:
    checkpoints = Checkpoints(tmp_path, 3)
    checkpoints.write(STATE, {"epoch": 3}, [{"epoch": 1}, {"epoch": 2}])
    found, _ = checkpoints.newest()
    assert found is not None and [result["epoch"] for result in found.unheard(known)] == unheard
