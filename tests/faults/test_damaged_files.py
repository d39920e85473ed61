"""Every file of an experiment, a dataset and a model, damaged in many ways under every command: one line, or a result.

A command on a damaged folder either does what it does on a whole one, or says in one line what is wrong, or goes on
and says so. It never ends in a traceback. The usual run tries every file with the damages in turn; `--slow` all pairs.
The store's files are in tests/trainables_tests/activations/test_store.py, the model's bytes one by one in
tests/trainables_tests/inference/test_keras_model.py.
"""

import contextlib
import io
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import analysis.__main__
import search.__main__
import trainables.__main__
from search.config.schema import SweepConfig
from tests.faults import played_driver
from tests.search_tests.example import sweep
from tests.trainables_tests.training_example import SMALL, make_dataset, red_or_green
from trainables.data.dataset import open_dataset
from trainables.data.leaks import prove_disjoint
from trainables.data.shards import damaged_shards, read_split
from trainables.errors import UserError

Damage = Callable[[bytes], bytes | None]
DAMAGES: dict[str, Damage] = {
    "gone": lambda content: None,
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "headless": lambda content: content[len(content) // 3 :],
    # The highest bit: a digit that became another digit cannot be told from what a person wrote.
    "flipped": lambda content: content[: (at := len(content) // 2)] + bytes([content[at] ^ 0x80]) + content[at + 1 :],
    "page": lambda content: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
}


class Said:
    """What a command printed, and how it ended: with a status, or with an exception that no command may let out."""

    def __init__(self, main: Callable[[], int], *words: object) -> None:
        out, err, argv = io.StringIO(), io.StringIO(), sys.argv
        sys.argv = ["python -m raretune", *map(str, words)]
        self.raised: str | None = None
        self.status: int | str | None = None
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                self.status = main()
        except SystemExit as end:
            self.status = end.code
        except Exception as error:
            self.raised = f"{type(error).__name__}: {error}"
        finally:
            sys.argv = argv
        self.out, self.err = out.getvalue(), err.getvalue()

    def answer(self) -> list[str]:
        """What it printed, but for its warnings."""
        return [line for line in self.out.splitlines() if not line.startswith("warning: ")]

    def problem(self) -> str | None:
        """What no command may do, None where it did nothing of the kind."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        if self.raised is not None or "Traceback" in self.err:
            return f"a traceback: {self.raised or self.err[-200:]}"
        if self.status not in (0, 2) or (self.status == 2) != (len(lines) == 1):
            return f"status {self.status} and {len(lines)} lines: {self.err[-200:]}"
        return None


def pairs(files: list[str], every: bool) -> list[tuple[str, str]]:
    """Files with their damages: all pairs, or each file with two of them in turn."""
    if every:
        return list(itertools.product(files, DAMAGES))
    turn = itertools.cycle(DAMAGES)
    return [(file, next(turn)) for file in files for _ in range(2)]


def damage(file: Path, name: str) -> None:
    left = DAMAGES[name](file.read_bytes())
    file.unlink()
    if left is not None:
        file.write_bytes(left)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    """A sweep that has ended."""
    config = sweep(
        tmp_path_factory.mktemp("ended"), trials=4, seed=2, probe=False, startup_trials=2, checkpoint_every=1,
        trial={"epochs": 3, "image_size": 75, "weights": "random"},
    )  # fmt: skip
    played_driver.begin_or_go_on(config)
    return config


def _resume(folder: Path, *changes: str) -> Said:
    with played_driver.played():
        return Said(lambda: search.__main__.main(["resume", str(folder), *changes]))


# By command: how it is called, and what of its output is compared with that on whole files (times are not).
ON_EXPERIMENTS: dict[str, Callable[[Path], Said]] = {
    "resume": _resume,
    "resume for more": lambda folder: _resume(folder, "--set", "trials=5"),
    "export": lambda folder: Said(analysis.__main__.main, "export", folder, "--format", "csv"),
    "compare": lambda folder: Said(analysis.__main__.main, "compare", folder, folder.with_name("whole")),
    "report": lambda folder: Said(analysis.__main__.main, "report", folder),
}
SLOW_COMMANDS = {"report", "compare"}  # They draw.


def lasting(folder: Path) -> list[str]:
    """The files that a sweep leaves, without locks and what can be deleted."""
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    return sorted(str(name) for name in names if not name.name.startswith("."))


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ON_EXPERIMENTS)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_experiment_is_a_line_in_every_command(
    ended: SweepConfig, tmp_path: Path, command: str, every: bool
) -> None:
    if command in SLOW_COMMANDS and not every:
        pytest.skip("draws for seconds at each damage; --slow tries it")
    whole, folder = Path(ended.experiment), tmp_path / "experiment"
    shutil.copytree(whole, tmp_path / "whole")
    wrong = []

    def run() -> tuple[Said, Any]:
        said = ON_EXPERIMENTS[command](folder)
        return said, results(folder, command) if said.status == 0 else None

    shutil.copytree(whole, folder)
    said, expected = run()
    assert said.problem() is None and said.status == 0, said.err
    for file, name in pairs(lasting(whole), every):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        damage(folder / file, name)
        said, found = run()
        problem = said.problem()
        if problem is None and said.status == 0 and found != expected and not said.err:
            problem = "another result, silently"
        if problem is not None:
            wrong.append(f"{file} {name}: {problem}")
    assert not wrong, "\n".join(wrong)


def results(folder: Path, command: str) -> dict[str, str]:
    """What a command leaves that a person reads: the best configuration, or the tables."""
    found = {}
    for file in [folder / "best.json"] if "resume" in command else sorted((folder / "export").glob("*.csv")):
        if file.is_file():
            found[file.name] = file.read_text()
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("prepared")).folder


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_damaged_dataset_is_a_line_for_all_that_read_it(prepared: Path, tmp_path: Path, every: bool) -> None:
    def read(folder: Path) -> Any:
        dataset = open_dataset(folder)
        told = [tuple(dataset.photos(split)) for split in ("train", "validation", "test")]
        photos = [list(read_split(dataset, split)) for split in ("train", "validation", "test")]
        return told, photos, prove_disjoint(dataset), damaged_shards(dataset)

    folder, wrong, expected = tmp_path / "dataset", [], read(prepared)
    for file, name in pairs([file.name for file in sorted(prepared.iterdir())], every):
        shutil.copytree(prepared, folder)
        damage(folder / file, name)
        try:
            if read(folder) != expected:
                wrong.append(f"{file} {name}: something else, silently")
        except UserError as error:
            if "\n" in str(error):
                wrong.append(f"{file} {name}: more than a line")
        except Exception as error:  # All of them are wanted.
            wrong.append(f"{file} {name}: {type(error).__name__}: {error}")
        shutil.rmtree(folder)
    # excluded.csv is for people: nothing reads it.
    assert [line for line in wrong if not line.startswith("excluded.csv")] == []


@pytest.fixture(scope="module")
def model(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trainables.files.output import write_json
    from trainables.inference.keras_model import save_model

    folder = tmp_path_factory.mktemp("model") / "final"
    folder.mkdir()
    save_model(red_or_green(24), ("red", "green"), SMALL.model_copy(update={"image_size": 24}), folder)
    write_json({"dataset": {"folder": str(prepared)}}, folder / "metrics.json")
    return folder


@pytest.fixture
def photo(prepared: Path) -> Iterator[Path]:
    yield next((prepared.parent / "photos").rglob("*.png"))


def _labelled(photo: Path, root: Path) -> Path:
    (root / "red").mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, root / "red")
    return root


ON_MODELS: dict[str, Callable[[Path, Path], Said]] = {
    "predict": lambda folder, photo: Said(trainables.__main__.main, "predict", folder, photo),
    "predict of a file": lambda folder, photo: Said(trainables.__main__.main, "predict", folder / "model.keras", photo),
    "explain": lambda folder, photo: Said(
        trainables.__main__.main, "explain", folder, photo, "--out", folder.parent / "cams"
    ),
    "evaluate": lambda folder, photo: Said(
        trainables.__main__.main, "evaluate", folder, _labelled(photo, folder.parent / "labelled")
    ),
}


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("command", ON_MODELS)
def test_a_damaged_model_is_a_line_in_every_command(
    model: Path, photo: Path, tmp_path: Path, command: str, every: bool
) -> None:
    folder, wrong = tmp_path / "final", []
    shutil.copytree(model, folder)
    whole = ON_MODELS[command](folder, photo)
    assert whole.status == 0, whole.err
    for file, name in pairs(lasting(model), every):
        shutil.rmtree(folder)
        shutil.copytree(model, folder)
        damage(folder / file, name)
        said = ON_MODELS[command](folder, photo)
        problem = said.problem()
        if problem is None and said.status == 0 and said.answer() != whole.answer():
            problem = "another answer, silently"
        if problem is not None:
            wrong.append(f"{file} {name}: {problem}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_best_json_is_a_line_in_retrain(ended: SweepConfig, tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    for name in DAMAGES:
        folder.mkdir()
        shutil.copy(Path(ended.experiment) / "best.json", folder)
        damage(folder / "best.json", name)
        said = Said(trainables.__main__.main, "retrain", folder / "best.json")
        assert (said.problem(), said.status) == (None, 2), f"{name}: {said.err}"
        assert not (folder / "final").exists()
        shutil.rmtree(folder)
