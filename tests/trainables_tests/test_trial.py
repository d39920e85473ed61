from pathlib import Path
from typing import Any

import pytest

from tests.trainables_tests.training_example import SMALL
from trainables.dataset import Dataset
from trainables.trial import FineTuneTrial


@pytest.fixture
def config(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = tmp_path_factory.getbasetemp() / "trial-store"
    run = {"dataset": str(small_dataset.folder), "store": str(store), "store_bytes": None, "threads": 1, "plan": [10]}
    return {**SMALL.model_dump(), "run": run}


def test_a_step_is_an_epoch_and_says_where_and_from_what_it_ran(config: dict[str, Any]) -> None:
    trial = FineTuneTrial(config)
    result = trial.step()
    assert result["epoch"] == 1
    assert {"val_macro_f1", "train_loss", "host", "device"} <= set(result)
    assert result["weights"]["kind"] == "random"
    assert result["uncached"] == ""
    assert result["setup_seconds"] > 0
    assert 0 < result["step_seconds"] < result["epoch_seconds"]
    assert result["store_rows"] > 0
    assert trial.step()["setup_seconds"] == 0


def test_a_checkpoint_goes_on_where_it_was_taken(config: dict[str, Any], tmp_path: Path) -> None:
    whole = FineTuneTrial(config)
    expected = [whole.step()["val_loss"] for _ in range(3)]
    first = FineTuneTrial(config)
    first.step()
    first.save_checkpoint(str(tmp_path))
    later = FineTuneTrial(config)
    later.load_checkpoint(str(tmp_path))
    results = [later.step(), later.step()]
    assert [result["val_loss"] for result in results] == expected[1:]
    assert [result["epoch"] for result in results] == [2, 3]


def test_a_warm_process_takes_the_next_trial(config: dict[str, Any]) -> None:
    trial = FineTuneTrial(config)
    trial.step()
    worker = trial._worker
    assert trial.reset_config({**config, "seed": 5, "learning_rate": 1e-4})
    assert trial._worker is worker
    assert trial.step()["epoch"] == 1


def test_a_checkpoint_holds_what_is_trained_and_not_the_frozen_backbone(config: dict[str, Any], tmp_path: Path) -> None:
    trial = FineTuneTrial(config)
    trial.step()
    trial.save_checkpoint(str(tmp_path))
    trained = trial._run.tail.parameters() * 4
    size = (tmp_path / "state.npz").stat().st_size
    # Weights, two moments of Adam, the best epoch's weights.
    assert trained * 3.9 < size < trained * 4.2 + 20_000
