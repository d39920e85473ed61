"""trainables/network/cost.py: what a model costs, held against the model that is handed over."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, make_worker
from trainables.config import RunSettings
from trainables.data.dataset import Dataset
from trainables.inference.keras_model import whole_model
from trainables.network.cost import LATENCY_MS, MODEL_MB, predictor, remembered
from trainables.training.worker import Worker
from trainables.trial import FineTuneTrial

# For what does not depend on the network: this one is built in no time.
QUICK = SMALL.model_copy(update={"backbone": "simple_cnn"})


@pytest.fixture(scope="module")
def model(worker: Worker) -> Any:
    return whole_model(worker.base(SMALL), worker.start(SMALL).tail, SMALL)


def test_the_size_is_that_of_all_weights_of_the_model_that_is_handed_over(worker: Worker, model: Any) -> None:
    weights = sum(int(np.prod(weight.shape)) for weight in model.weights)
    assert worker.cost(MODEL_MB, SMALL) == pytest.approx(4 * weights / 1e6, abs=1e-9)
    wider = SMALL.model_copy(update={"dense_units": 32})
    assert worker.cost(MODEL_MB, wider) - worker.cost(MODEL_MB, SMALL) == pytest.approx(4 * 16 * (1280 + 1 + 4) / 1e6)


def test_what_is_timed_is_the_model_that_is_handed_over(worker: Worker, model: Any) -> None:
    """The same layers: with the head's weights put in, the same probabilities."""
    predict, head = predictor(worker.base(SMALL), SMALL, worker.classes)
    photo = worker.photos("validation", SMALL.image_size).read(np.array([0])).astype(np.float32)
    probabilities = predict(photo)
    assert probabilities.shape == (1, 4) and probabilities.sum() == pytest.approx(1)
    for layer, name in zip(head, ("hidden", "probabilities"), strict=True):
        layer.set_weights(model.get_layer(name).get_weights())
    assert predict(photo) == pytest.approx(model.predict(photo, verbose=0), abs=1e-5)


def test_time_is_measured_once_for_each_model(worker: Worker) -> None:
    first = worker.cost(LATENCY_MS, SMALL)
    assert first > 0
    assert worker.cost(LATENCY_MS, SMALL.model_copy(update={"learning_rate": 0.1, "unfrozen_layers": 0})) == first
    assert worker.cost(LATENCY_MS, SMALL.model_copy(update={"dense_units": 32})) != first


def test_every_worker_on_a_machine_weighs_one_model_alike(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_worker(small_dataset, tmp_path).cost(LATENCY_MS, QUICK)
    monkeypatch.setattr("trainables.training.worker.latency_ms", lambda *_: 1e9)
    assert make_worker(small_dataset, tmp_path).cost(LATENCY_MS, QUICK) == first
    assert make_worker(small_dataset, tmp_path / "another-node").cost(LATENCY_MS, QUICK) == 1e9


def test_of_two_that_measure_at_once_the_first_figure_stays(tmp_path: Path) -> None:
    def second() -> float:
        return remembered({"model": 1}, tmp_path, lambda: 5.0) + 1  # Another process is done before this one.

    assert remembered({"model": 1}, tmp_path, second) == 5.0
    assert remembered({"model": 2}, tmp_path, lambda: 7.0) == 7.0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_trial_says_its_cost_with_every_result_and_keeps_the_one_that_it_began_with(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunSettings(
        trial=0,
        dataset=str(small_dataset.folder),
        store=tmp_path / "store",
        threads=1,
        checkpoint_dir=str(tmp_path / "trial"),
        checkpoint_every=1,
        cost=LATENCY_MS,
    )
    first = FineTuneTrial({**QUICK.model_dump(), "run": run}).step()[LATENCY_MS]
    monkeypatch.setattr(Worker, "cost", lambda *_: 1e9)
    again = FineTuneTrial({**QUICK.model_dump(), "run": run})
    assert [again.step()[LATENCY_MS] for _ in range(2)] == [first, first]
    other = replace(run, checkpoint_dir=str(tmp_path / "other"), cost=None)
    assert LATENCY_MS not in FineTuneTrial({**QUICK.model_dump(), "run": other}).step()
