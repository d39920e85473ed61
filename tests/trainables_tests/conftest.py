from pathlib import Path

import pytest

from tests.trainables_tests.training_example import handoff, make_dataset
from trainables.dataset import Dataset


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four families of drawn pictures, prepared; read only."""
    return make_dataset(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def final(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A final stage in an experiment's folder, where every family counts as weak, so that both trainings take place."""
    from trainables.final import FinalOptions, retrain

    folder = tmp_path_factory.mktemp("run") / "experiment" / "final"
    (folder.parent / "tensorboard").mkdir(parents=True)
    retrain(handoff(small_dataset), folder, FinalOptions(threshold=1.0), lambda line: None)
    return folder
