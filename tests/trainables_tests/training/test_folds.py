from pathlib import Path

import numpy as np
import pytest

from tests.trainables_tests.training_example import SMALL, make_worker
from trainables.config import TrialConfig, Validation
from trainables.data.dataset import Dataset
from trainables.data.folds import folds_of, partings_of
from trainables.network.tail import HeadStart
from trainables.probe.head_start import find_start, start_run
from trainables.probe.probe import find_probe, judged_as_trials
from trainables.training.fine_tune import FineTuning, macro_f1
from trainables.training.folds import FoldedTuning
from trainables.training.worker import Worker

FOLDED = SMALL.model_copy(update={"validation": Validation(folds=3), "epochs": 3})
LINEAR = FOLDED.model_copy(update={"head": "depths", "dense_units": 0, "head_start": "probe"})
RESHUFFLED = SMALL.model_copy(update={"validation": Validation(reshuffled=True)})


def results(run: FineTuning | FoldedTuning, epochs: int) -> list[dict[str, float]]:
    measured = ("epoch_seconds", "step_seconds")
    return [{name: value for name, value in run.run_epoch().items() if name not in measured} for _ in range(epochs)]


def test_a_result_is_that_of_each_photo_judged_by_the_run_that_did_not_see_it(worker: Worker) -> None:
    partings = folds_of(worker.dataset, FOLDED.validation, FOLDED.sweep_seed)
    labels, predicted, entropies = [], [], []
    for parting in partings:
        run = worker.start(FOLDED, parting=parting)
        run.train_epoch()
        evaluation = run.judge()
        labels.append(run.validation.labels)
        predicted.append(evaluation.probabilities.argmax(axis=1))
        entropies += [evaluation.metrics.cross_entropy] * len(parting.judged)
    result = start_run(worker, FOLDED).run_epoch()
    assert result["val_macro_f1"] == macro_f1(np.concatenate(labels), np.concatenate(predicted))
    assert result["val_cross_entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)
    assert set(result) == set(worker.start(SMALL).run_epoch())


def test_no_picture_goes_through_the_frozen_part_twice(small_dataset: Dataset, tmp_path: Path) -> None:
    worker = make_worker(small_dataset, tmp_path)
    photos = sum(len(small_dataset.photos(split)) for split in ("train", "validation"))
    for seed, config in enumerate((FOLDED, SMALL, RESHUFFLED)):
        run = start_run(worker, config.model_copy(update={"seed": seed, "augment_views": 2}))
        for _ in range(3):
            run.run_epoch()
    # Two augmented views, and the photos as they are.
    assert worker.store_use.filled == 3 * photos


@pytest.mark.parametrize("config", [FOLDED, LINEAR], ids=["study", "probe"])
def test_folds_go_on_from_their_state(worker: Worker, config: TrialConfig) -> None:
    config = config.model_copy(update={"weight_average": "epochs"})
    whole = results(start_run(worker, config), 3)
    run = start_run(worker, config)
    first = results(run, 1)
    state = {name: value.copy() for name, value in run.state().items()}
    resumed = start_run(worker, config)
    resumed.load(state)
    assert first + results(resumed, 2) == whole
    assert whole[-1]["stop_kind"] == "max_epochs"


def test_a_holdout_of_the_trials_own_trains_on_all_other_photos(worker: Worker) -> None:
    photos = sum(len(worker.photos(split, SMALL.image_size)) for split in ("train", "validation"))
    judges = []
    for seed in (1, 2):
        config = RESHUFFLED.model_copy(update={"seed": seed})
        run = start_run(worker, config)
        assert isinstance(run, FineTuning)
        (parting,) = partings_of(worker.dataset, config.validation, config.sweep_seed, seed)
        assert run.counts.sum() + len(run.validation.labels) == photos
        assert len(run.validation.labels) == len(parting.judged)
        judges.append(parting.judged.tolist())
        run.run_epoch()
    assert judges[0] != judges[1]


def test_each_folds_head_begins_with_a_probe_that_did_not_see_what_judges_it(worker: Worker) -> None:
    probe = find_probe(worker, LINEAR)
    partings = folds_of(worker.dataset, LINEAR.validation, LINEAR.sweep_seed)
    starts: list[HeadStart] = [find_start(worker, LINEAR, parting)[1] for parting in partings]
    kernels = [start.head[0] for start in starts]
    assert all(np.abs(kernel - probe.solution.kernel).max() > 1e-6 for kernel in kernels)
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-6
    # With nothing learnt yet, the trial is the probe: both are judged alike.
    still = LINEAR.model_copy(update={"learning_rate": 1e-12, "dropout": 0.0})
    result = start_run(worker, still).run_epoch()
    assert result["val_macro_f1"] == pytest.approx(judged_as_trials(worker, LINEAR, probe).macro_f1, abs=0.02)
