"""A power cut or a kill at every write of a sweep, the store, `prepare`, `retrain` and `export`: what comes of it.

Each state that can be left is laid out, and then a person does the same again. What comes of it must be what comes of
it without a power cut. The usual run takes a part of the states, evenly; `--slow` takes all, over a thousand.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.study.storage import open_storage
from tests.faults.forgetful_disk import LOSSES, ForgetfulDisk, Loss
from tests.faults.played_driver import begin_or_go_on, outcome
from tests.search_tests.example import sweep
from tests.trainables_tests.training_example import SMALL, red_or_green
from trainables.activations import store as store_module
from trainables.activations.store import Store
from trainables.data.dataset import MANIFEST, open_dataset
from trainables.data.leaks import prove_disjoint
from trainables.data.prepare import PrepareOptions, prepare
from trainables.data.shards import read_split
from trainables.files.experiment import METRICS_FILE
from trainables.files.output import whole_or_elsewhere, whole_or_nothing, write_json

USUAL = 24  # states that the usual run tries of each command
State = tuple[int, Loss]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory, where there is one: what is tried here is order, and a real disk takes minutes to sync."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def states(disk: ForgetfulDisk, every: bool) -> list[State]:
    """The states to try, each with what it leaves: those that leave the same are tried once."""
    found: dict[tuple[Any, ...], State] = {}
    for moment in disk.moments():
        for loss in LOSSES:
            left = disk.left(moment, loss)
            what = tuple(sorted((name, hash(left.contents[inode])) for name, inode in left.names.items()))
            found.setdefault(what, (moment, loss))
    tried = list(found.values())
    random.Random(0).shuffle(tried)
    return tried if every else tried[:USUAL]


def survives(disk: ForgetfulDisk, every: bool, again: Callable[[], object], expected: object) -> int:
    """Lay out each state, do the same `again`, and see that it gives what is `expected`; return how many there were."""
    tried = states(disk, every)
    wrong = []
    for moment, loss in tried:
        disk.lay_out(moment, loss)
        try:
            got = again()
        except Exception as error:  # All of them are wanted, not the first alone.
            got = f"{type(error).__name__}: {error}"
        if got != expected:
            wrong.append(f"after step {moment} of {len(disk.steps)}, {loss}: {got!s:.300}")
    assert not wrong, f"{len(wrong)} of {len(tried)} states:\n" + "\n".join(wrong[:20])
    print(f"{len(tried)} states survived")
    return len(tried)


SIZES = [False, pytest.param(True, marks=pytest.mark.slow)]


@pytest.mark.parametrize("every", SIZES)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_sweep_goes_on_to_the_same_result(place: Path, tmp_path: Path, every: bool) -> None:
    folder = place / "disk"
    folder.mkdir()
    config = sweep(
        folder, trials=9 if every else 5, seed=9, probe=False, startup_trials=3, early_stopping={"min_results": 1},
        checkpoint_every=1, trial={"epochs": 4, "image_size": 75, "weights": "random"},
    )  # fmt: skip
    data = shutil.move(folder / "dataset", tmp_path / "dataset")  # It is not the sweep's, and stays.
    config = config.model_copy(update={"dataset": str(data)})
    disk = ForgetfulDisk(folder, synced=("study.db",), ignored=("study.db-shm",))
    with disk.recording():
        begin_or_go_on(config)
    expected = outcome(config)

    def again() -> dict[str, Any]:
        begin_or_go_on(config)
        return outcome(config)

    assert survives(disk, every, again, expected) >= (600 if every else USUAL)


def test_the_study_waits_for_the_disk(tmp_path: Path) -> None:
    storage = open_storage(tmp_path)
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize("every", SIZES)
def test_the_store_holds_nothing_but_what_was_computed(
    place: Path, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 8)
    right = {name: np.random.default_rng(at).normal(size=(40, 3)).astype("float32") for at, name in enumerate("abc")}

    def fill(start: int, stop: int, names: Sequence[str], filled: Mapping[str, Any]) -> dict[str, Any]:
        for name, rows in filled.items():  # What later arrays are computed from.
            np.testing.assert_array_equal(rows, right[name][start:stop])
        return {name: right[name][start:stop] for name in names}

    def read() -> list[bool]:
        same = []
        for names in ("ab", "abc"):  # A second sweep wants more of the same photos.
            store = Store(place / "disk", 10_000)
            for key in (1, 2, 3):  # Of which the budget holds some.
                entry, arrays = store.opened({"key": key}, 40, dict.fromkeys(names, (3,)), np.float32, fill)
                same += [bool((arrays[name] == right[name]).all()) for name in names]
                entry.close()
        leftovers = [file.name for file in (place / "disk").glob(".*")]
        return [*same, leftovers == []]

    (place / "disk").mkdir()
    disk = ForgetfulDisk(place / "disk")
    with disk.recording():
        expected = read()
    assert all(expected)
    survives(disk, every, read, expected)


@pytest.mark.parametrize("every", SIZES)
def test_a_prepared_dataset_is_whole_or_is_made_again(place: Path, tmp_path: Path, every: bool) -> None:
    for family, colour in (("lynx", 40), ("otter", 200)):
        (tmp_path / "photos" / family).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng(colour + number).integers(0, 255, (24, 24, 3), np.uint8)
            _save(pixels, tmp_path / "photos" / family / f"{number}.png")
    out = place / "disk" / "dataset"

    def made() -> tuple[str, int]:
        if not (out / MANIFEST).is_file():
            prepare(tmp_path / "photos", out, PrepareOptions(workers=1, group=("none",), min_photos=3))
        dataset = open_dataset(out)
        prove_disjoint(dataset)
        photos = sum(1 for split in ("train", "validation", "test") for _ in read_split(dataset, split))
        assert [file.name for file in out.parent.glob(".*partial*")] == []
        return dataset.fingerprint, photos

    (place / "disk").mkdir()
    disk = ForgetfulDisk(place / "disk")
    with disk.recording():
        expected = made()
    survives(disk, every, made, expected)


@pytest.mark.parametrize("every", SIZES)
def test_a_final_model_and_an_export_are_whole_or_absent(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: bool
) -> None:
    from trainables.inference.keras_model import load_classifier, save_model

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = red_or_green(24)
    final, exported = place / "disk" / "run" / "final", place / "disk" / "run" / "final" / "exported"

    def write(folder: Path) -> None:
        save_model(model, ("red", "green"), SMALL.model_copy(update={"image_size": 24}), folder)
        write_json({"chosen": "before"}, folder / METRICS_FILE)

    def made() -> list[str]:
        if not (final / METRICS_FILE).is_file():
            whole_or_elsewhere(final, write)
        if not exported.is_dir():
            with whole_or_nothing(exported) as folder:
                shutil.copy(final / "model.keras", folder / "model.tflite")
        load_classifier(final)
        assert (exported / "model.tflite").read_bytes() == (final / "model.keras").read_bytes()
        return sorted(str(file.relative_to(place)) for file in (place / "disk").rglob("*") if ".partial" in file.name)

    (place / "disk" / "run").mkdir(parents=True)
    disk = ForgetfulDisk(place / "disk")
    with disk.recording():
        expected = made()
    survives(disk, every, made, expected)


def _save(pixels: Any, file: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(file)
