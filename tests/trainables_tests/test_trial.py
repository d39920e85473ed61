from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from tests.checkpoint_files import generations
from tests.trainables_tests.training_example import SMALL
from trainables import trial as trial_module
from trainables.config import RunSettings
from trainables.data.dataset import Dataset
from trainables.errors import OutOfMemory, UserError
from trainables.trial import FineTuneTrial, warm_worker


@pytest.fixture
def config(small_dataset: Dataset, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = RunSettings(
        trial=0,
        dataset=str(small_dataset.folder),
        store=tmp_path_factory.getbasetemp() / "trial-store",
        threads=1,
        plan=(10,),
        checkpoint_dir=str(tmp_path / "trial"),
        checkpoint_every=1,
    )
    return {**SMALL.model_dump(), "run": run}


def with_run(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**config, "run": replace(config["run"], **changes)}


def elsewhere(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    return with_run(config, checkpoint_dir=str(folder))


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


def test_a_trial_that_is_begun_again_repeats_its_last_result_and_goes_on(
    config: dict[str, Any], tmp_path: Path
) -> None:
    whole = FineTuneTrial(elsewhere(config, tmp_path / "whole"))
    expected = [whole.step() for _ in range(3)]
    first = FineTuneTrial(config)
    first.step(), first.step()
    later = FineTuneTrial(config)
    results = [later.step(), later.step()]
    assert [result["epoch"] for result in results] == [2, 3]
    for name in ("train_loss", "val_loss", "val_macro_f1", "learning_rate", "best_epoch"):
        assert [result[name] for result in results] == [result[name] for result in expected[1:]]


def test_a_trial_whose_driver_knew_less_than_its_checkpoint_tells_it_all_again(
    config: dict[str, Any], tmp_path: Path
) -> None:
    config = with_run(config, checkpoint_dir=tmp_path.as_uri())
    first = FineTuneTrial(config)
    expected = [first.step() for _ in range(3)]
    later = FineTuneTrial(with_run(config, known_epochs=1))
    results = [later.step() for _ in range(3)]
    assert [result["epoch"] for result in results] == [2, 3, 4]
    assert [result["val_loss"] for result in results[:2]] == [result["val_loss"] for result in expected[1:]]


def test_a_trial_that_had_ended_says_so_again_and_trains_no_further(config: dict[str, Any]) -> None:
    first = FineTuneTrial(config)
    results = [first.step() for _ in range(SMALL.epochs)]
    again = FineTuneTrial(config).step()
    assert again["done"] is True and (again["epoch"], again["val_loss"]) == (4, results[-1]["val_loss"])


def test_a_damaged_checkpoint_is_said_with_the_next_result(config: dict[str, Any], tmp_path: Path) -> None:
    first = FineTuneTrial(config)
    expected = [first.step()["val_loss"] for _ in range(2)]
    newest = generations(tmp_path / "trial")[0]
    newest.write_bytes(newest.read_bytes()[:-50])
    later = FineTuneTrial(config)
    results = [later.step() for _ in range(2)]
    assert results[0]["checkpoint_note"] == "the checkpoint of epoch 2 is damaged: goes on after epoch 1"
    assert results[1]["checkpoint_note"] == ""
    assert [result["val_loss"] for result in results] == expected


def test_a_warm_process_takes_the_next_trial(config: dict[str, Any], tmp_path: Path) -> None:
    trial = FineTuneTrial(config)
    trial.step()
    worker = trial._worker
    assert trial.reset_config({**elsewhere(config, tmp_path), "seed": 5, "learning_rate": 1e-4})
    assert trial._worker is worker
    assert trial.step()["epoch"] == 1


def test_a_checkpoint_holds_what_is_trained_and_not_the_frozen_backbone(config: dict[str, Any], tmp_path: Path) -> None:
    trial = FineTuneTrial(config)
    trial.step()
    trained = sum(variable.numpy().nbytes for variable in trial._run.tail.variables)
    (file,) = generations(tmp_path / "trial")
    # Weights and two moments of Adam; the best epoch's weights are these.
    assert trained * 2.9 < file.stat().st_size < trained * 3.2 + 20_000


def test_without_checkpoints_none_is_written(config: dict[str, Any], tmp_path: Path) -> None:
    FineTuneTrial(with_run(config, checkpoint_every=0)).step()
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[64]\n\t[[node]]"),
        tf.errors.InternalError(None, None, "failed to create cublas handle: CUBLAS_STATUS_ALLOC_FAILED"),
        MemoryError("Unable to allocate 9 GiB"),
    ],
)
@pytest.mark.parametrize("where", ["setup", "step"])
def test_memory_that_runs_out_anywhere_in_a_trial_is_said_as_such(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, where: str
) -> None:
    """The scheduler then tries the trial again with fewer neighbours."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    if where == "setup":
        monkeypatch.setattr("trainables.trial.Checkpoints.newest", fail)
    else:
        monkeypatch.setattr("trainables.training.fine_tune.FineTuning.run_epoch", fail)
    with pytest.raises(OutOfMemory) as caught:
        FineTuneTrial(config).step()
    assert str(caught.value).startswith("out of memory on ") and "\n" not in str(caught.value)


def test_a_trial_that_was_given_a_gpu_which_tensorflow_does_not_see_ends_the_sweep(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would train on the CPU, and be counted as GPU-hours."""
    seen: list[str] = []
    fake = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda kind: seen))
    monkeypatch.setattr(trial_module, "prepare_tensorflow", lambda threads, gpu: fake)
    monkeypatch.setattr(trial_module, "_was_given_gpu", lambda: True)
    elsewhere = replace(config["run"], store=config["run"].store / "gpu")
    with pytest.raises(UserError, match=r"^resources: on .* was given a GPU, and TensorFlow sees none; install Tensor"):
        warm_worker(elsewhere)
    seen.append("GPU:0")
    assert warm_worker(elsewhere).classes
    monkeypatch.delitem(trial_module._WORKERS, (elsewhere.dataset, elsewhere.store))
