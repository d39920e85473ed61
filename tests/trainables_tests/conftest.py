import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.s3_server import s3_server
from tests.trainables_tests.training_example import SMALL, handoff, make_dataset, make_worker, red_or_green, unread
from trainables.__main__ import main
from trainables.data.dataset import Dataset
from trainables.files.output import write_json
from trainables.handoff import write_handoff
from trainables.training.worker import Worker

Command = Callable[..., CompletedProcess[str]]


def run_here(*arguments: object, cwd: Path | None = None) -> CompletedProcess[str]:
    """Run `python -m trainables ARGUMENTS` in this process: a new one would load TensorFlow for ten seconds."""
    words = [str(argument) for argument in arguments]
    out, err, argv, folder = io.StringIO(), io.StringIO(), sys.argv, Path.cwd()
    sys.argv = ["python -m trainables", *words]
    try:
        os.chdir(cwd or folder)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        os.chdir(folder)
        sys.argv = argv
    return CompletedProcess(words, status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def run() -> Command:
    """`run_here`, for tests of commands."""
    return run_here


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four families of drawn pictures, prepared; read only."""
    return make_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def worker(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """A warm worker on the small dataset, with what earlier tests left in it and in its store."""
    return make_worker(small_dataset, tmp_path_factory.mktemp("worker") / "store")


@pytest.fixture(scope="session")
def s3() -> Iterator[None]:
    """An S3 server with an empty bucket, s3://bucket."""
    with s3_server("bucket"):
        yield


@pytest.fixture(scope="session")
def final(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A final stage in an experiment's folder, where every family counts as weak, so that both trainings take place."""
    from trainables.final.options import FinalOptions
    from trainables.final.retrain import retrain

    folder = tmp_path_factory.mktemp("run") / "experiment" / "final"
    (folder.parent / "tensorboard").mkdir(parents=True)
    retrain(
        handoff(unread(small_dataset), config=SMALL), folder, FinalOptions(threshold=1.0, epochs=2), lambda line: None
    )
    return folder


@pytest.fixture(scope="session")
def one_training(
    small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, run: Command
) -> tuple[Path, CompletedProcess[str]]:
    """Folder and output of the command `retrain` where no family counts as weak; any score is above the sweep's."""
    experiment = tmp_path_factory.mktemp("run") / "experiment"
    config = SMALL.model_copy(update={"backbone": "simple_cnn"})
    write_handoff(handoff(unread(small_dataset), config=config, score=-1.0), experiment / "best.json")
    done = run("retrain", experiment / "best.json", "--epochs", "1", "--threshold", "0")
    return experiment / "final", done


@pytest.fixture(scope="session")
def tiny_model(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is needed of a final stage's folder to predict, explain and export; its model knows red and green."""
    from trainables.inference.keras_model import save_model

    folder = tmp_path_factory.mktemp("tiny")
    config = SMALL.model_copy(update={"image_size": 24})
    save_model(red_or_green(config.image_size), ("red", "green"), config, folder)
    write_json({"dataset": {"folder": str(small_dataset.folder)}}, folder / "metrics.json")
    return folder
