from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import s3_server
from tests.trainables_tests.training_example import SMALL, handoff, make_dataset, make_worker, red_or_green
from trainables.data.dataset import Dataset
from trainables.files.output import write_json
from trainables.training.worker import Worker


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
    from trainables.final.retrain import FinalOptions, retrain

    folder = tmp_path_factory.mktemp("run") / "experiment" / "final"
    (folder.parent / "tensorboard").mkdir(parents=True)
    retrain(handoff(small_dataset), folder, FinalOptions(threshold=1.0), lambda line: None)
    return folder


@pytest.fixture(scope="session")
def tiny_model(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is needed of a final stage's folder to predict, explain and export; its model knows red and green."""
    from trainables.inference.keras_model import save_model

    folder = tmp_path_factory.mktemp("tiny")
    config = SMALL.model_copy(update={"image_size": 24})
    save_model(red_or_green(config.image_size), ("red", "green"), config, folder)
    write_json({"dataset": {"folder": str(small_dataset.folder)}}, folder / "metrics.json")
    return folder
