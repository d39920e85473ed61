"""trainables/probe/probe.py: found once, remembered by all that it depends on, the same as a Keras model."""

import threading
from pathlib import Path

import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, make_worker
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.network.cut import block_ends
from trainables.probe import probe as probe_module
from trainables.probe.fits import log_softmax
from trainables.probe.probe import Probe, find_probe, probe_model, refit
from trainables.probe.solution import standardisation
from trainables.training.worker import Worker

CNN = SMALL.model_copy(update={"backbone": "simple_cnn"})


@pytest.fixture(scope="module")
def found(worker: Worker) -> Probe:
    return find_probe(worker, CNN)


def test_the_probe_is_fitted_on_train_standardised_and_judged_on_validation(worker: Worker, found: Probe) -> None:
    solution = found.solution
    mean, deviation = standardisation(worker.pooled("train", CNN, solution.depths))
    np.testing.assert_allclose(solution.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(solution.deviation, deviation, rtol=1e-5, atol=1e-6)
    labels = worker.photos("validation", CNN.image_size).labels
    guesses = solution.logits(worker.pooled("validation", CNN, solution.depths)).argmax(axis=1)
    assert found.validation.accuracy == pytest.approx(np.mean(guesses == labels))
    assert found.validation.macro_f1 > 0.8
    assert found.validation.loss == found.validation.cross_entropy
    assert found.class_weight == "balanced"
    assert {row.depths for row in found.tried} >= {(depth,) for depth in block_ends(worker.base(CNN))}


def test_a_probe_is_found_once_and_recalled(worker: Worker, found: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "choose", None)
    again = find_probe(worker, CNN)
    np.testing.assert_array_equal(again.solution.kernel, found.solution.kernel)
    assert (again.validation, again.tried, again.strength) == (found.validation, found.tried, found.strength)


@pytest.mark.parametrize(
    "change", [{"imbalance": "none"}, {"image_size": 40}, {"sweep_seed": 1}, {"backbone": "mobilenet_v2"}], ids=str
)
def test_what_a_probe_depends_on_makes_another(worker: Worker, change: dict[str, object]) -> None:
    assert probe_module._key(worker, CNN) != probe_module._key(worker, CNN.model_copy(update=change))


def test_what_a_head_is_like_makes_no_other_probe(worker: Worker) -> None:
    changed = CNN.model_copy(update={"dropout": 0.1, "learning_rate": 0.5, "imbalance": "effective_number"})
    assert probe_module._key(worker, CNN) == probe_module._key(worker, changed)


def test_several_that_ask_at_once_compute_it_once(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = [], probe_module.choose

    def counted(*arguments: object) -> object:
        calls.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_module, "choose", counted)
    workers = [make_worker(small_dataset, tmp_path / "store") for _ in range(2)]
    threads = [threading.Thread(target=find_probe, args=(worker, CNN)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_folds_part_no_group(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {split: [photo.group for photo in worker.dataset.photos(split)] for split in ("train", "validation")}
    shared = groups["train"][:10]
    photos = {
        split: [photo._replace(group=shared[row % 10]) for row, photo in enumerate(worker.dataset.photos(split))]
        for split in groups
    }
    monkeypatch.setattr(Dataset, "photos", lambda self, split: photos[split])
    labels = {split: worker.photos(split, CNN.image_size).labels for split in groups}
    features = probe_module.Features({}, np.concatenate(list(labels.values())), worker.classes)
    rows = np.arange(len(features.labels))
    cut = len(labels["train"])
    partings = probe_module._partings(worker, features, rows[:cut], rows[cut:], lambda line: None)
    named = np.array([photo.group for split in groups for photo in photos[split]])
    assert len(partings) == probe_module.FOLDS
    assert sorted(np.concatenate([judged for _, judged in partings])) == rows.tolist()
    for fitted, judged in partings:
        assert not set(named[fitted]) & set(named[judged])


@pytest.mark.parametrize("config", [CNN, SMALL], ids=["simple_cnn", "mobilenet_v2"])
def test_the_keras_model_gives_the_solutions_probabilities(worker: Worker, config: TrialConfig) -> None:
    solution = refit(worker, config, find_probe(worker, config))
    model = probe_model(worker, config, solution)
    photos = worker.photos("test", config.image_size)
    given = model.predict(photos.read(np.arange(len(photos))), verbose=0)
    expected = np.exp(log_softmax(solution.logits(worker.pooled("test", config, solution.depths))))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert given.dtype == np.float32


def test_it_is_fitted_again_on_train_and_validation(worker: Worker, found: Probe) -> None:
    solution = refit(worker, CNN, found)
    both = np.concatenate([worker.pooled(split, CNN, solution.depths) for split in ("train", "validation")])
    np.testing.assert_allclose(solution.mean, both.mean(axis=0), rtol=1e-5, atol=1e-6)
    assert solution.depths == found.solution.depths
