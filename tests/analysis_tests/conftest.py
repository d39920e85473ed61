"""One simulated experiment for all tests of the package; a test that changes a file copies it first."""

import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from analysis.data.experiment import read
from analysis.data.report_data import ReportData, report_data
from tests.analysis_tests.example import make_example
from tests.analysis_tests.example_sweep import Example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """20 trials, 30 families, a final stage; read only."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return make_example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def example_data(example: Example) -> ReportData:
    return report_data(read(example.experiment))


@pytest.fixture
def copied(example: Example, tmp_path: Path) -> Path:
    """The experiment's folder, free to be changed."""
    return Path(shutil.copytree(example.experiment, tmp_path / "experiment"))


@pytest.fixture
def changed(copied: Path) -> Callable[[Callable[[Path], object]], ReportData]:
    """ReportData of the experiment after a change to its folder."""

    def change_and_find(change: Callable[[Path], object]) -> ReportData:
        change(copied)
        return report_data(read(copied))

    return change_and_find
