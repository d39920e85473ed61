"""Results of the final stage: the choice, metrics.json, tables, model card.

The card has the sections of Mitchell et al., "Model Cards for Model Reporting", 2019, https://arxiv.org/abs/1810.03993,
and the head that the Hugging Face hub reads. Its words stand in model_card.md.j2, its figures are chosen here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from trainables.config import Augmentation, TrialConfig
from trainables.data.dataset import SPLITS, Dataset, Manifest
from trainables.data.leaks import LeakProof
from trainables.files.experiment import FAMILIES_FILE, HISTORY_FILE, PREDICTIONS_FILE
from trainables.files.output import write_rows
from trainables.final.options import FinalOptions
from trainables.final.probe import ProbeStage
from trainables.handoff import Handoff
from trainables.network.backbones import from_scratch
from trainables.network.tail import State
from trainables.training.class_balance import double_corrections
from trainables.training.fine_tune import Evaluation, FineTuning, Result, family_f1
from trainables.versions import git_commit, versions

ALARM_MARGIN = 0.1  # a test score this far above the sweep's own validation score is, most likely, a leak


HISTORY = (
    *("epoch", "learning_rate", "train_loss", "train_cross_entropy", "train_accuracy", "train_macro_f1"),
    *("val_loss", "val_cross_entropy", "val_accuracy", "val_macro_f1", "epoch_seconds"),
)
# A stage is "before" or "after" oversampling, or "probe".
PREDICTIONS = ("stage", "split", "photo_id", "source", "family", "predicted", "probability", "probability_true")
FAMILIES = (
    *("family", "train_photos", "validation_photos", "test_photos", "oversampled"),
    *("val_f1_before", "val_f1_after", "val_f1_probe", "test_f1_before", "test_f1_after", "test_f1_probe"),
    *("test_precision", "test_recall"),
)

PROBE = "probe"
WEAKEST = 10
FEW_TEST_PHOTOS = 5


class Stage(NamedTuple):
    """One training of the final stage: `history` holds a result per epoch, `state` the best epoch's weights."""

    name: str
    run: FineTuning
    history: list[Result]
    state: State
    train: Evaluation
    validation: Evaluation


@dataclass(frozen=True)
class Outcome:
    """The training before oversampling, the one after it where a family was weak, and the probe where there is one.

    `test` are their test figures by name ("before", "after", "probe"): of the probe that is handed over, those of the
    one fitted on validation photos too. `hand_over` is the option.
    """

    stages: list[Stage]
    test: dict[str, Evaluation]
    oversampled: list[int]
    probe: ProbeStage | None = None
    hand_over: str = "better"

    @property
    def evaluations(self) -> dict[str, dict[str, Evaluation]]:
        """Every model's figures on train, validation and test, by its name."""
        models: list[tuple[str, Stage | ProbeStage]] = [(stage.name, stage) for stage in self.stages]
        if self.probe is not None:
            models.append((PROBE, self.probe))
        return {
            name: {"train": model.train, "validation": model.validation, "test": self.test[name]}
            for name, model in models
        }

    @property
    def handed_over(self) -> tuple[str, str]:
        """Which model is handed over, "before", "after" or "probe", and why; test has no say."""
        stage, because = self.choice
        if self.probe is None or self.hand_over == "trial":
            return stage.name, because
        if self.hand_over == PROBE:
            return PROBE, f"it was asked for; {self.verdict}"
        beaten = stage.validation.metrics.macro_f1 > self.probe.validation.metrics.macro_f1
        return (stage.name, because) if beaten else (PROBE, self.verdict)

    @property
    def verdict(self) -> str:
        """Whether the trained model beats the probe on validation; "" where there is no probe."""
        if self.probe is None:
            return ""
        trial, probe = (one.validation.metrics.macro_f1 for one in (self.choice[0], self.probe))
        beats = "beats" if trial > probe else "does not beat"
        return f"the trained model's validation macro F1, {trial:.1%}, {beats} the probe's, {probe:.1%}"

    @property
    def choice(self) -> tuple[Stage, str]:
        """The training whose model counts as the trial's, and why; test has no say."""
        before, last = self.stages[0], self.stages[-1]
        if last is before:
            return before, "no family's validation F1 was below the threshold, so nothing was oversampled"
        first, second = before.validation.metrics.macro_f1, last.validation.metrics.macro_f1
        if second >= first:
            return last, f"oversampling took validation macro F1 from {first:.1%} to {second:.1%}"
        return before, f"oversampling took validation macro F1 from {first:.1%} down to {second:.1%}"

    def metrics(
        self, handoff: Handoff, config: TrialConfig, options: FinalOptions, dataset: Dataset, proof: LeakProof
    ) -> dict[str, Any]:
        """The content of metrics.json; `alarm` is a sentence where the test score is too good to be true, else None."""
        chosen, because = self.handed_over
        last = self.stages[-1].run
        stages = {
            name: {split: part.metrics._asdict() for split, part in parts.items()}
            for name, parts in self.evaluations.items()
        }
        return {
            "format": 1,
            "stages": {"before": stages["before"], "after": stages.get("after")}
            | ({PROBE: stages[PROBE]} if PROBE in stages else {}),
            "chosen": chosen,
            "chosen_because": because,
            "trial_chosen": self.choice[0].name,
            "probe": None if self.probe is None else self.probe.as_json(chosen == PROBE),
            "oversampled_families": [dataset.class_names[family] for family in self.oversampled],
            "threshold": options.threshold,
            "copies": options.copies,
            "sweep_metric": handoff.metric,
            "sweep_score": handoff.score,
            "alarm": self._alarm(handoff),
            "warnings": double_corrections(dataset, last.config.imbalance, last.balance, last.counts, self.oversampled),
            "dataset": {"folder": str(dataset.folder), "url": dataset.url, "fingerprint": dataset.fingerprint},
            "config": config.model_dump(),
            "leaks": {**proof.model_dump(), "passed": proof.passed},
            "versions": versions(),
            "git_commit": git_commit(),
        }

    def _alarm(self, handoff: Handoff) -> str | None:
        """A sentence where the test score is too good to be true."""
        chosen, _ = self.handed_over
        score, whose, expected = self.test[chosen].metrics.macro_f1, "the sweep's own", handoff.score
        if chosen == PROBE and self.probe is not None:
            whose, expected = "the probe's own", self.probe.validation.metrics.macro_f1
        elif handoff.metric != "val_macro_f1":
            return None
        if score <= expected + ALARM_MARGIN:
            return None
        return (
            f"test macro F1 {score:.1%} is far above {whose} validation score {expected:.1%}: "
            "look for photos that are in both before you believe it"
        )


def write_tables(outcome: Outcome, dataset: Dataset, folder: Path) -> None:
    """Write history.csv, predictions.csv and families.csv; scores are 0..1, empty where a split lacks the family."""
    history = [[stage.name, *(result[key] for key in HISTORY)] for stage in outcome.stages for result in stage.history]
    predictions: list[list[object]] = []
    for name, parts in outcome.evaluations.items():
        for split in ("validation", "test"):
            for photo, row in zip(dataset.photos(split), parts[split].probabilities, strict=True):
                guess = int(row.argmax())
                names = (photo.photo_id, photo.source, photo.family, dataset.class_names[guess])
                predictions.append([name, split, *names, f"{row[guess]:.6f}", f"{row[photo.label]:.6f}"])
    write_rows(folder / HISTORY_FILE, ("stage", *HISTORY), history)
    write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, predictions)
    write_rows(folder / FAMILIES_FILE, FAMILIES, _families(outcome, dataset))


def _families(outcome: Outcome, dataset: Dataset) -> Iterator[list[object]]:
    classes, kept = len(dataset.class_names), outcome.handed_over[0]
    models = outcome.evaluations
    scores: dict[tuple[str, str], npt.NDArray[np.float64]] = {}
    for split in ("validation", "test"):
        labels = np.array([photo.label for photo in dataset.photos(split)])
        for name in ("before", "after", PROBE):
            scores[split, name] = np.full(classes, np.nan)
            if name in models:
                predicted = models[name][split].probabilities.argmax(axis=1)
                scores[split, name] = family_f1(labels, predicted, classes)
    # `labels` are now those of test.
    predicted = models[kept]["test"].probabilities.argmax(axis=1)
    precision, recall, _, photos = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(classes), average=None, zero_division=0.0
    )
    columns = [*scores.values(), *(np.where(photos > 0, column, np.nan) for column in (precision, recall))]
    for label, family in enumerate(dataset.class_names):
        counts = [dataset.manifest.counts[split].get(family, 0) for split in SPLITS]
        numbers = ["" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in columns]
        yield [family, *counts, str(label in outcome.oversampled).lower(), *numbers]


def model_card(study: str, metrics: dict[str, Any], manifest: Manifest, families: Sequence[dict[str, str]]) -> str:
    """The card as Markdown, from a sweep's name, the content of metrics.json and the rows of families.csv."""
    from scipy.stats import binomtest

    probe = metrics["probe"] if metrics["chosen"] == PROBE else None
    config, weights = (probe or metrics)["config"], metrics["weights"]
    photos = {split: sum(manifest.counts[split].values()) for split in SPLITS}
    accuracy = metrics["stages"][metrics["chosen"]]["test"]["accuracy"]
    column = f"test_f1_{metrics['chosen']}"
    tested = sorted(((row, float(row[column])) for row in families if row[column]), key=lambda pair: pair[1])
    trained = f"its last {config['unfrozen_layers']} layers fine-tuned, BatchNorm frozen"
    text = Path(__file__).with_name("model_card.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(text).render(
        study=study,
        metrics=metrics,
        probe=probe,
        config=config,
        manifest=manifest,
        classes=len(manifest.class_names),
        photos=photos,
        # A file is named without its folders: the card leaves this machine.
        start=f"the file {Path(weights['detail']).name}" if weights["kind"] == "file" else f"{weights['kind']} weights",
        trained="all of it trained" if from_scratch(config["backbone"]) else trained,
        augmentation=Augmentation.model_validate(config["augmentation"]).words(),
        today=date.today().isoformat(),
        train_photos=[int(family["train_photos"]) for family in families],
        scores=[score for _, score in tested],
        weakest=tested[:WEAKEST],
        accuracy=accuracy,
        interval=binomtest(round(accuracy * photos["test"]), photos["test"]).proportion_ci(method="wilson"),
        few=sum(0 < int(family["test_photos"]) < FEW_TEST_PHOTOS for family in families),
        few_photos=FEW_TEST_PHOTOS,
    )
