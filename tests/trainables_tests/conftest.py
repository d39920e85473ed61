import pytest

from tests.trainables_tests.training_example import make_dataset
from trainables.dataset import Dataset


@pytest.fixture(scope="session")
def small_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four families of drawn pictures, prepared; read only."""
    return make_dataset(tmp_path_factory.mktemp("small"))
