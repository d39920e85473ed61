"""trainables/final/outcome.py: the choice between the trainings, and the warnings."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.trainables_tests.training_example import LEARNS, handoff
from trainables.data.dataset import Dataset
from trainables.data.leaks import LeakProof
from trainables.final.commands import summary
from trainables.final.options import FinalOptions
from trainables.final.outcome import Outcome, Stage
from trainables.training.class_balance import Balance, balance
from trainables.training.fine_tune import Evaluation, Metrics


def evaluation(macro_f1: float) -> Evaluation:
    return Evaluation(Metrics(1.0, 0.9, 0.6, macro_f1), np.zeros((0, 4), np.float32))


def stage(name: str, validation: float, correction: Balance | None = None, counts: Any = None) -> Stage:
    run: Any = SimpleNamespace(config=LEARNS, balance=correction, counts=counts)
    return Stage(name, run, [], {}, evaluation(0.9), evaluation(validation))


@pytest.mark.parametrize(("after", "chosen"), [(0.4, "before"), (0.5, "after"), (0.6, "after")])
def test_the_training_with_the_better_validation_is_kept_the_later_one_where_both_are_equal(
    after: float, chosen: str
) -> None:
    # Test says the contrary, and is not asked.
    test = {"before": evaluation(after), "after": evaluation(0.5)}
    kept, because = Outcome([stage("before", 0.5), stage("after", after)], test, [0]).choice
    assert kept.name == chosen
    assert because == f"oversampling took validation macro F1 from 50.0% {'down ' * (after < 0.5)}to {after:.1%}"


@pytest.mark.parametrize(
    ("test", "metric", "alarmed"),
    [(0.61, "val_macro_f1", True), (0.59, "val_macro_f1", False), (0.61, "val_accuracy", False)],
)
def test_only_a_test_score_far_above_the_sweeps_own_macro_f1_is_an_alarm(
    small_dataset: Dataset, test: float, metric: str, alarmed: bool
) -> None:
    photos = np.bincount([row.label for row in small_dataset.photos("train")])
    outcome = Outcome([stage("before", 0.5, balance("none", photos), photos)], {"before": evaluation(test)}, [])
    assert (metrics(outcome, small_dataset, score=0.5, metric=metric)["alarm"] is not None) == alarmed


def test_correcting_the_imbalance_twice_is_a_warning_that_the_command_prints(small_dataset: Dataset) -> None:
    photos = np.bincount([row.label for row in small_dataset.photos("train")])
    before_the_copies = balance("class_weights", photos)
    stages = [stage("before", 0.5), stage("after", 0.6, before_the_copies, photos * [1, 1, 3, 3])]
    outcome = Outcome(stages, {"before": evaluation(0.5), "after": evaluation(0.5)}, [2, 3])
    written = metrics(outcome, small_dataset)
    (warning,) = written["warnings"]
    assert "grey_noise, red_square, which count up to 3.00 times" in warning
    assert f"warning: {warning}" in summary({**written, "weights": {"warning": None}})


def metrics(outcome: Outcome, dataset: Dataset, **changes: Any) -> dict[str, Any]:
    proof = LeakProof(fingerprint="f", photos={}, pairs=[], leaks=[], notes=[])
    return outcome.metrics(handoff(dataset, **changes), LEARNS, FinalOptions(), dataset, proof)
