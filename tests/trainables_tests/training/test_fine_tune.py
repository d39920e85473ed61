from pathlib import Path

import keras
import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, make_worker
from trainables.data.dataset import Dataset
from trainables.training.fine_tune import FineTuning, family_f1, learning_rate, macro_f1
from trainables.training.worker import Worker

CONTRACT = {
    *("epoch", "train_loss", "train_accuracy", "train_macro_f1", "train_cross_entropy"),
    *("val_loss", "val_accuracy", "val_macro_f1", "val_cross_entropy"),
    *("best_val_macro_f1", "best_epoch", "learning_rate", "epoch_seconds", "step_seconds"),
}


def losses(run: FineTuning, epochs: int) -> list[tuple[float, float]]:
    results = [run.run_epoch() for _ in range(epochs)]
    return [(result["train_loss"], result["val_loss"]) for result in results]


def test_a_result_has_the_contracts_names_and_learning_happens(worker: Worker) -> None:
    run = worker.start(SMALL)
    results = [run.run_epoch() for _ in range(4)]
    assert set(results[0]) == CONTRACT
    assert results[-1]["train_cross_entropy"] < results[0]["train_cross_entropy"]
    assert [result["epoch"] for result in results] == [1, 2, 3, 4]


def test_loss_includes_l2_and_cross_entropy_does_not(worker: Worker) -> None:
    run = worker.start(SMALL.model_copy(update={"l2": 1e-2, "imbalance": "none"}))
    result = run.run_epoch()
    assert result["val_loss"] - result["val_cross_entropy"] == pytest.approx(run.tail.l2_penalty(1e-2), rel=1e-4)
    assert result["train_loss"] > result["train_cross_entropy"]


def test_a_bfloat16_tail_learns_as_a_float32_one_with_float32_weights(worker: Worker) -> None:
    slow = SMALL.model_copy(update={"learning_rate": 1e-4})  # So that rounding does not lead elsewhere.
    low, full = (slow.model_copy(update={"precision": precision}) for precision in ("bfloat16", "float32"))
    run = worker.start(low)
    got = losses(run, 3)
    assert all(variable.dtype == "float32" for variable in run.tail.variables)
    expected = losses(worker.start(full), 3)
    assert got != expected
    assert got[-1][0] < got[0][0]
    np.testing.assert_allclose(got, expected, rtol=0.15)  # A random backbone of many thin layers rounds badly.


def test_the_same_seed_trains_the_same_and_another_does_not(worker: Worker) -> None:
    first = losses(worker.start(SMALL), 2)
    assert losses(worker.start(SMALL), 2) == first
    assert losses(worker.start(SMALL.model_copy(update={"seed": 1})), 2) != first


def test_a_warm_tail_leaves_nothing_of_the_trial_before(worker: Worker, small_dataset: Dataset, tmp_path: Path) -> None:
    losses(worker.start(SMALL.model_copy(update={"learning_rate": 0.05, "seed": 9})), 2)
    warm = losses(worker.start(SMALL), 2)
    cold = losses(make_worker(small_dataset, tmp_path).start(SMALL), 2)
    np.testing.assert_allclose(warm, cold, rtol=1e-5)


@pytest.mark.parametrize("average", ["none", "epochs"])
def test_a_run_that_goes_on_from_its_state_ends_as_one_that_was_not_cut(worker: Worker, average: str) -> None:
    config = SMALL.model_copy(update={"dropout": 0.4, "weight_average": average})
    whole = losses(worker.start(config), 4)
    run = worker.start(config)
    first = losses(run, 2)
    state = {name: value.copy() for name, value in run.state().items()}
    resumed = worker.start(config)
    resumed.load(state)
    assert first + losses(resumed, 2) == whole
    assert (resumed.best_epoch, resumed.best_score) != (0, 0)


def test_the_last_epoch_says_that_it_is_the_last(worker: Worker) -> None:
    run = worker.start(SMALL.model_copy(update={"epochs": 2}))
    assert "done" not in run.run_epoch()
    assert run.run_epoch()["stop_kind"] == "max_epochs"


def test_a_score_that_does_not_rise_stops_the_trial(worker: Worker) -> None:
    run = worker.start(SMALL.model_copy(update={"learning_rate": 1e-12, "patience": 2, "epochs": 9}))
    results = [run.run_epoch() for _ in range(3)]
    assert results[-1]["stop_kind"] == "early_stopping"
    assert results[-1]["best_epoch"] == 1


def test_a_loss_that_explodes_ends_the_trial_as_failed(worker: Worker) -> None:
    run = worker.start(SMALL.model_copy(update={"optimizer": "sgd", "learning_rate": 10.0, "l2": 100.0}))
    result = run.run_epoch()
    while not result.get("done"):
        result = run.run_epoch()
    assert result["stop_kind"] == "failed"
    assert "became" in result["stop_reason"]


def test_the_best_epochs_weights_come_back(worker: Worker) -> None:
    run = worker.start(SMALL)
    best = max((run.run_epoch() for _ in range(4)), key=lambda result: result["val_macro_f1"])
    run.tail.load(run.best_weights)
    assert run.evaluate(worker.part("validation", SMALL)).metrics.macro_f1 == pytest.approx(best["val_macro_f1"])


@pytest.mark.parametrize("start", ["random", "warm"])
def test_averaged_weights_are_judged_and_kept_and_training_goes_on_from_the_last(worker: Worker, start: str) -> None:
    config = SMALL.model_copy(update={"head_start": start, "patience": 9, "epochs": 9})
    plain, passed = worker.start(config), []
    if start != "random":
        passed.append(plain.tail.weights())
    averaging, plain_results = config.model_copy(update={"weight_average": "epochs"}), []
    for _ in range(3):
        plain_results.append(plain.run_epoch())
        passed.append(plain.tail.weights())
    expected = {name: np.mean([weights[name] for weights in passed], axis=0) for name in passed[0]}
    plain.tail.load(expected)
    judged = plain.evaluate(worker.part("validation", config)).metrics
    run = worker.start(averaging)
    results = [run.run_epoch() for _ in range(3)]
    assert [one["train_loss"] for one in results] == [one["train_loss"] for one in plain_results]
    assert results[-1]["val_cross_entropy"] == pytest.approx(judged.cross_entropy, rel=1e-4)
    kept = {name.removeprefix("mean-"): value for name, value in run.state().items() if name.startswith("mean-")}
    assert kept.keys() == expected.keys()
    for name, value in kept.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6)


def test_a_resumed_run_has_the_best_epochs_weights_whether_it_is_the_last_or_not(worker: Worker) -> None:
    config = SMALL.model_copy(update={"learning_rate": 1e-12})  # No epoch is better than the first.
    run = worker.start(config)
    for epoch in (1, 2):
        run.run_epoch()
        assert (run.epoch, run.best_epoch) == (epoch, 1)
        state = {name: value.copy() for name, value in run.state().items()}
        best = {name: value.copy() for name, value in run.best_weights.items()}
        resumed = worker.start(config)
        resumed.load(state)
        assert best and resumed.best_weights.keys() == best.keys()
        assert all((resumed.best_weights[name] == best[name]).all() for name in best)
        run = resumed


def test_the_simple_cnn_trains_from_scratch_batch_norm_included(worker: Worker) -> None:
    config = SMALL.model_copy(update={"backbone": "simple_cnn", "unfrozen_layers": 0})
    run = worker.start(config)
    before = {name: value.copy() for name, value in run.tail.weights().items()}
    first = losses(run, 1)
    after = run.tail.weights()
    assert sum(name.startswith("statistic") for name in after) == 4
    assert all(not np.array_equal(before[name], after[name]) for name in after)
    state = {name: value.copy() for name, value in run.state().items()}
    rest = losses(run, 2)
    resumed = worker.start(config)
    resumed.load(state)
    assert losses(resumed, 2) == rest
    assert rest[-1] < first[-1]


def test_oversampled_families_meet_further_views_of_their_photos(worker: Worker, small_dataset: Dataset) -> None:
    family = small_dataset.class_names.index("red_square")
    photos = sum(photo.label == family for photo in small_dataset.photos("train"))
    plain, more = worker.start(SMALL), worker.start(SMALL, oversampled=[family], copies=2)
    assert len(more._labels) == len(plain._labels) + 2 * photos
    more.epoch = 1
    rows = np.arange(len(plain._labels), len(more._labels))
    copies = more._batch(rows)[0]
    assert len(copies) == 2 * photos
    originals = more._batch(np.flatnonzero(plain._labels == family))[0]
    assert not np.allclose(copies[:photos], originals)
    assert not np.allclose(copies[:photos], copies[photos:])
    assert np.isfinite(more.run_epoch()["train_loss"])


@pytest.mark.parametrize("step", [0, 1, 37, 99, 100, 140])
def test_cosine_is_keras_cosine_decay(step: int) -> None:
    expected = float(keras.optimizers.schedules.CosineDecay(0.01, 100)(step))
    assert learning_rate("cosine", 0.01, step, 100) == pytest.approx(expected, abs=1e-8)  # Keras computes in float32


def test_constant_stays() -> None:
    assert {learning_rate("constant", 0.01, step, 100) for step in (0, 50, 100)} == {0.01}


LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
GUESSES = np.array([0, 0, 1, 1, 0, 2, 2, 1])


def test_macro_f1_is_keras_macro_f1_when_all_families_have_photos() -> None:
    metric = keras.metrics.F1Score(average="macro")
    metric.update_state(np.eye(3)[LABELS], np.eye(3)[GUESSES])
    assert macro_f1(LABELS, GUESSES) == pytest.approx(float(metric.result()), abs=1e-6)


def test_a_family_without_photos_in_the_split_puts_no_ceiling_on_macro_f1() -> None:
    assert macro_f1(np.array([0, 2, 2]), np.array([0, 2, 2])) == 1.0


def test_a_family_never_found_counts_zero() -> None:
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 0])) == pytest.approx(0.4)


def test_family_f1_is_nan_where_the_split_has_no_photo() -> None:
    scores = family_f1(np.array([0, 0, 2]), np.array([0, 2, 2]), classes=4)
    assert np.isnan(scores[[1, 3]]).all()
    np.testing.assert_allclose(scores[[0, 2]], 2 / 3)
