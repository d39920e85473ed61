"""One simulated experiment for all tests of the package; a test that changes a file copies it first."""

import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from analysis.data.experiment import read
from analysis.data.report_data import ReportData, report_data
from analysis.report.report import write_report
from tests.analysis_tests.example import make_example
from tests.analysis_tests.example_photos import write_example_photos
from tests.analysis_tests.example_sweep import Example


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """20 trials, 30 families, a final stage; read only."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return make_example(tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="session")
def example_data(example: Example) -> ReportData:
    return report_data(read(example.experiment))


@pytest.fixture(scope="session")
def written(example: Example, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the example, all drawn, with photos of mistakes and a long line of text; read only."""
    experiment = Path(shutil.copytree(example.experiment, tmp_path_factory.mktemp("report") / "experiment"))
    write_example_photos(experiment / "final")
    handoff = experiment / "best.json"
    weights = f"/a/long/path/{'of/folders/' * 9}inception_v3_imagenet_notop.weights.h5"
    handoff.write_text(handoff.read_text().replace('"weights": "auto"', f'"weights": "{weights}"'))
    page = write_report(experiment)
    assert weights in page.read_text()
    return page


@pytest.fixture
def without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at words: drawing takes seconds."""
    monkeypatch.setattr("analysis.render.svg.inline_svg", lambda picture, size: "")


@pytest.fixture
def copied(example: Example, tmp_path: Path) -> Path:
    """The experiment's folder, free to be changed."""
    return Path(shutil.copytree(example.experiment, tmp_path / "experiment"))


@pytest.fixture
def changed(copied: Path) -> Callable[[Callable[[Path], object]], ReportData]:
    """What the experiment has to report after a change to its folder."""

    def change_and_read(change: Callable[[Path], object]) -> ReportData:
        change(copied)
        return report_data(read(copied))

    return change_and_read
