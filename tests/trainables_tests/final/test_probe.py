"""trainables/final/probe.py: the probe judged beside the trial, and handed over."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.probe_example import probe_record
from tests.trainables_tests.conftest import Command
from tests.trainables_tests.final.test_retrain import table
from tests.trainables_tests.training_example import SMALL, handoff
from trainables.data.dataset import Dataset
from trainables.errors import UserError
from trainables.files.experiment import PROBE_FOLDER, SOLUTION_FILE
from trainables.final.options import FinalOptions
from trainables.final.probe import evaluate, open_probe
from trainables.final.retrain import retrain
from trainables.handoff import ProbeRecord, write_handoff
from trainables.inference.keras_model import load_classifier
from trainables.probe.probe import find_probe
from trainables.training.worker import Worker

CONFIG = SMALL.model_copy(update={"precision": "bfloat16"})  # As a search may compute; the final stage does not.


@pytest.fixture(scope="module")
def record(worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> tuple[ProbeRecord, Path]:
    """The probe of a sweep over the small dataset, and the sweep's folder with its solution."""
    found = find_probe(worker, SMALL)
    experiment = tmp_path_factory.mktemp("swept") / "experiment"
    (experiment / PROBE_FOLDER).mkdir(parents=True)
    found.solution.save(experiment / PROBE_FOLDER / SOLUTION_FILE)
    figures = found.validation
    kept = probe_record(
        classifier=found.classifier,
        depths=tuple(found.solution.depths),
        strength=found.strength,
        class_weight=found.class_weight,
        val_macro_f1=figures.macro_f1,
        val_accuracy=figures.accuracy,
        val_cross_entropy=figures.cross_entropy,
        config=CONFIG,
    )
    return kept, experiment


@pytest.fixture(scope="module")
def handed_over(record: tuple[ProbeRecord, Path], small_dataset: Dataset, run: Command) -> tuple[Path, str]:
    """The folder and the output of a final stage that was asked for the probe."""
    kept, experiment = record
    config = SMALL.model_copy(update={"backbone": "simple_cnn"})
    write_handoff(handoff(small_dataset, config=config, probe=kept), experiment / "best.json")
    done = run("retrain", experiment / "best.json", "--epochs", "1", "--threshold", "0", "--hand-over", "probe")
    assert done.returncode == 0, done.stderr
    return experiment / "final", done.stdout


def test_it_has_the_sweeps_own_figures_in_float32(
    record: tuple[ProbeRecord, Path], worker: Worker, small_dataset: Dataset
) -> None:
    kept, experiment = record
    said: list[str] = []
    stage = open_probe(handoff(small_dataset, probe=kept), experiment, worker, said.append)
    assert stage is not None and stage.config == SMALL
    assert stage.validation.metrics.macro_f1 == pytest.approx(kept.val_macro_f1)
    assert stage.validation.metrics.cross_entropy == pytest.approx(kept.val_cross_entropy, rel=1e-3)
    assert stage.validation.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert said == [f"the probe, {kept.words()}: validation macro F1 {kept.val_macro_f1:.1%}"]


def test_without_its_solution_it_is_found_again(
    record: tuple[ProbeRecord, Path], worker: Worker, small_dataset: Dataset, tmp_path: Path
) -> None:
    kept, said = record[0], list[str]()
    stage = open_probe(handoff(small_dataset, probe=kept), tmp_path, worker, said.append)
    assert stage is not None and stage.validation.metrics.macro_f1 == pytest.approx(kept.val_macro_f1)
    assert said[0] == f"{tmp_path / 'probe' / 'solution.npz'} is not there: the probe is found again"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"weights": {"kind": "imagenet", "fingerprint": "imagenet-X"}}, "weights: it was found with imagenet, here"),
        ({"config": SMALL.model_copy(update={"weights": "/gone.h5"})}, "weights: there is no file '/gone.h5'"),
    ],
)
def test_where_it_cannot_be_computed_that_is_said_and_the_trial_goes_on(
    record: tuple[ProbeRecord, Path], worker: Worker, small_dataset: Dataset, changes: dict[str, object], why: str
) -> None:
    kept, experiment = record
    said: list[str] = []
    given = handoff(small_dataset, probe=kept.model_copy(update=changes))
    assert open_probe(given, experiment, worker, said.append) is None
    (line,) = said
    assert line.startswith(f"the probe cannot be computed here, so only the trial counts: {why}")


def test_a_probe_that_is_asked_for_must_be_there(small_dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--hand-over probe: there is no probe that could be handed over"):
        retrain(handoff(small_dataset), tmp_path / "e" / "final", FinalOptions(hand_over="probe"), print)
    assert not (tmp_path / "e" / "final").exists()


def test_the_figures_of_both_stand_in_metrics_and_tables(handed_over: tuple[Path, str], small_dataset: Dataset) -> None:
    final, said = handed_over
    metrics = json.loads((final / "metrics.json").read_text())
    assert (metrics["chosen"], metrics["trial_chosen"]) == ("probe", "before")
    assert metrics["chosen_because"].startswith("it was asked for; the trained model's validation macro F1, ")
    assert metrics["probe"]["fitted_on"] == ["train", "validation"] and 0 < metrics["hand_over_margin"] < 1
    assert metrics["probe"]["config"]["backbone"] == "mobilenet_v2" and metrics["config"]["backbone"] == "simple_cnn"
    rows = table(final, "predictions.csv")
    for split in ("validation", "test"):
        own = [row for row in rows if (row["stage"], row["split"]) == ("probe", split)]
        assert len(own) == len(small_dataset.photos(split))
        right = np.mean([row["family"] == row["predicted"] for row in own])
        assert metrics["stages"]["probe"][split]["accuracy"] == pytest.approx(right)
    family = table(final, "families.csv")[0]
    assert family["test_f1_probe"] and family["test_f1_before"] and not family["test_f1_after"]
    assert "handed over the probe, fitted again on training and validation photos: it was asked for" in said


def test_the_model_that_is_handed_over_is_the_probe_fitted_on_validation_photos_too(
    handed_over: tuple[Path, str], record: tuple[ProbeRecord, Path], worker: Worker, small_dataset: Dataset
) -> None:
    final, _ = handed_over
    rows = [row for row in table(final, "predictions.csv") if (row["stage"], row["split"]) == ("probe", "test")]
    source = Path(small_dataset.manifest.source)
    classifier = load_classifier(final)
    assert (classifier.labels.backbone, classifier.labels.image_size) == ("mobilenet_v2", 32)
    answers = list(classifier.answers([source / row["source"] for row in rows], top=1))
    for answer, row in zip(answers, rows, strict=True):
        assert answer.guesses[0].probability == pytest.approx(float(row["probability"]), abs=1e-3)
    stage = open_probe(handoff(small_dataset, probe=record[0]), record[1], worker, lambda line: None)
    assert stage is not None
    solution = stage.fitted(worker, ("train", "validation"))
    again = evaluate(worker, stage.config, solution, "test").probabilities.max(axis=1)
    alone = evaluate(worker, stage.config, stage.probe.solution, "test").probabilities.max(axis=1)
    told = np.array([float(row["probability"]) for row in rows])
    assert told == pytest.approx(again, abs=2e-5) and told != pytest.approx(alone, abs=2e-5)


def test_its_card_says_what_it_is_and_what_it_is_not(handed_over: tuple[Path, str]) -> None:
    card = (handed_over[0] / "model_card.md").read_text()
    assert "mobilenet_v2 without top, with random weights, none of it trained" in card
    assert "**Handed over** is the search's probe, not its best trial" in card
    assert "| the probe (kept) | test |" in card and "| the training | test |" in card
    for untrue in ("dense units", "Augmented by", "were oversampled", "the best of a search by"):
        assert untrue not in card
