"""Results of the final stage: the choice, metrics.json, tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.config import TrialConfig
from trainables.data.dataset import SPLITS, Dataset
from trainables.data.leaks import LeakProof
from trainables.data.ledger import Reading, times_read
from trainables.files.experiment import FAMILIES_FILE, HISTORY_FILE, PREDICTIONS_FILE
from trainables.files.output import write_rows
from trainables.final.held_out import COLUMNS, columns, guarantee_of, told
from trainables.final.options import FinalOptions
from trainables.final.probe import ProbeStage
from trainables.guarantee import Guarantee
from trainables.handoff import Handoff
from trainables.intervals import share
from trainables.network.tail import State
from trainables.training.class_balance import double_corrections
from trainables.training.fine_tune import Evaluation, FineTuning, Result, family_scores
from trainables.versions import git_commit, versions

ALARM_MARGIN = 0.1  # a test score this far above the sweep's own validation score is, most likely, a leak


HISTORY = (
    *("epoch", "learning_rate", "train_loss", "train_cross_entropy", "train_accuracy", "train_macro_f1"),
    *("val_loss", "val_cross_entropy", "val_accuracy", "val_macro_f1", "epoch_seconds"),
)
# A stage is "before" or "after" oversampling, "refit" (the last fit, where it was tested) or "probe".
PREDICTIONS = (
    *("stage", "split", "photo_id", "source", "group", "family", "predicted", "probability", "probability_true"),
    *COLUMNS,  # Only of the test photos, and of the model that they are quoted for.
)
FAMILIES = (
    *("family", "train_photos", "validation_photos", "test_photos", "oversampled"),
    *("val_f1_before", "val_f1_after", "val_f1_probe"),
    *("test_f1_before", "test_f1_after", "test_f1_refit", "test_f1_probe"),
    *("test_precision", "test_recall"),
)

PROBE, REFIT = "probe", "refit"


def join_splits(splits: Sequence[str]) -> str:
    """Say whose photos, such as "training and validation"."""
    *most, last = ["training" if split == "train" else split for split in splits]
    return f"{', '.join(most)} and {last}" if most else last


class Stage(NamedTuple):
    """One training of the final stage: `history` holds a result per epoch, `state` the best epoch's weights."""

    name: str
    run: FineTuning
    history: list[Result]
    state: State
    train: Evaluation
    validation: Evaluation


class LastFit(NamedTuple):
    """The chosen model fitted once more, on the photos of all `splits`; no choice follows it.

    `epochs` and `state` (the weights after them) are a training's, None of the probe.
    """

    splits: tuple[str, ...]
    epochs: int | None = None
    state: State | None = None

    @property
    def tested(self) -> bool:
        """Whether test photos can judge it: it has not seen them."""
        return "test" not in self.splits


@dataclass(frozen=True)
class Outcome:
    """The training before oversampling, the one after it where a family was weak, and the probe where there is one.

    `test` are their test figures by name ("before", "after", "refit", "probe"), empty without test photos: of the probe
    that is handed over, those of the one fitted on validation photos too, if it was. `hand_over` is the option,
    `last_fit` what was fitted after the choice; `read_before` are the earlier readings of the same test photos.
    """

    stages: list[Stage]
    test: dict[str, Evaluation]
    oversampled: list[int]
    probe: ProbeStage | None = None
    hand_over: str = "better"
    last_fit: LastFit | None = None
    read_before: Sequence[Reading] = ()

    @property
    def tested(self) -> str:
        """The name of the model whose test figures are quoted: the handed-over one, or the one it was before."""
        return REFIT if REFIT in self.test else self.handed_over[0]

    def guarantee(self, dataset: Dataset) -> Guarantee:
        """That of the handed-over model, from its validation logits before any last fit."""
        name, _ = self.handed_over
        return guarantee_of(dataset, self.evaluations[name]["validation"].logits)

    @property
    def evaluations(self) -> dict[str, dict[str, Evaluation]]:
        """Every model's figures on train, validation and test, by its name; only those that it was evaluated on."""
        models: list[tuple[str, Stage | ProbeStage]] = [(stage.name, stage) for stage in self.stages]
        if self.probe is not None:
            models.append((PROBE, self.probe))
        found = {name: {"train": model.train, "validation": model.validation} for name, model in models}
        for name, tested in self.test.items():
            found.setdefault(name, {})["test"] = tested
        return found

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
        last, refit = self.stages[-1].run, self.last_fit
        fitted_on = refit.splits if refit else ("train",)
        stages = {
            name: {split: part.metrics._asdict() for split, part in parts.items()}
            for name, parts in self.evaluations.items()
        }
        return {
            "format": 1,
            "stages": {"before": stages["before"], "after": stages.get("after")}
            | {name: stages[name] for name in (REFIT, PROBE) if name in stages},
            "chosen": chosen,
            "chosen_because": because,
            "trial_chosen": self.choice[0].name,
            "refit": refit and {"splits": refit.splits, "epochs": refit.epochs, "tested": refit.tested},
            "probe": None if self.probe is None else self.probe.as_json(fitted_on if chosen == PROBE else ("train",)),
            "oversampled_families": [dataset.class_names[family] for family in self.oversampled],
            "threshold": options.threshold,
            "copies": options.copies,
            "sweep_metric": handoff.metric,
            "sweep_score": handoff.score,
            "guarantee": told(dataset, self.guarantee(dataset), self.test[self.tested].logits if self.test else None),
            "alarm": self._alarm(handoff),
            "test_read_before": [reading.model_dump() for reading in self.read_before],
            "warnings": [
                *self._cautions(dataset),
                *double_corrections(dataset, last.config.imbalance, last.balance, last.counts, self.oversampled),
            ],
            "dataset": {"folder": str(dataset.folder), "url": dataset.url, "fingerprint": dataset.fingerprint},
            "config": config.model_dump(),
            "leaks": {**proof.model_dump(), "passed": proof.passed},
            "versions": versions(),
            "git_commit": git_commit(),
        }

    def _cautions(self, dataset: Dataset) -> list[str]:
        """Sentences on test figures that say little, or that are of another model."""
        said = []
        if not self.test:
            said.append(
                "no photo was kept for test, so nothing says how good the model is on new ones: the validation score "
                "flatters; `python -m trainables evaluate` tests it on photos of your own"
            )
        elif self.last_fit is not None and not self.last_fit.tested:
            said.append(
                "the handed-over model was trained on the test photos too: the test figures are of the model before "
                "the last fit, and the handed-over one must not be judged by these photos"
            )
        if self.read_before:
            said.append(times_read(self.read_before))
        if self.test:
            photos = len(dataset.photos("test"))
            accuracy = share(round(self.test[self.tested].metrics.accuracy * photos), photos)
            if accuracy.wide:
                said.append(
                    f"{photos} test photos say little: accuracy {accuracy.value:.1%} means {accuracy.low:.1%} to "
                    f"{accuracy.high:.1%} (95% interval)"
                )
        return said

    def _alarm(self, handoff: Handoff) -> str | None:
        """A sentence where the test score is too good to be true."""
        chosen, _ = self.handed_over
        if not self.test:
            return None
        score, whose, expected = self.test[self.tested].metrics.macro_f1, "the sweep's own", handoff.score
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
    guarantee = outcome.guarantee(dataset)
    for name, parts in outcome.evaluations.items():
        for split in (split for split in ("validation", "test") if split in parts):
            photos, more = dataset.photos(split), [[""] * len(COLUMNS)] * len(parts[split].logits)
            if (name, split) == (outcome.tested, "test"):
                more = columns(guarantee, parts[split].logits, np.array([photo.label for photo in photos]))
            for photo, row, cells in zip(photos, parts[split].probabilities, more, strict=True):
                guess = int(row.argmax())
                names = (photo.photo_id, photo.source, photo.group, photo.family, dataset.class_names[guess])
                chances = f"{row[guess]:.6f}", f"{row[photo.label]:.6f}"
                predictions.append([name, split, *names, *chances, *cells])
    write_rows(folder / HISTORY_FILE, ("stage", *HISTORY), history)
    write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, predictions)
    write_rows(folder / FAMILIES_FILE, FAMILIES, _families(outcome, dataset))


def _families(outcome: Outcome, dataset: Dataset) -> Iterator[list[object]]:
    classes, models = len(dataset.class_names), outcome.evaluations
    unknown = np.full((3, classes), np.nan)
    scores: dict[tuple[str, str], npt.NDArray[np.float64]] = {}  # Precision, recall and F1 by model and split.
    for name, parts in models.items():
        for split in (split for split in ("validation", "test") if split in parts):
            labels = np.array([photo.label for photo in dataset.photos(split)])
            scores[name, split] = family_scores(labels, parts[split].probabilities.argmax(axis=1), classes)
    columns = [scores.get((name, "validation"), unknown)[2] for name in ("before", "after", PROBE)]
    columns += [scores.get((name, "test"), unknown)[2] for name in ("before", "after", REFIT, PROBE)]
    columns += [*scores.get((outcome.tested, "test"), unknown)[:2]]
    for label, family in enumerate(dataset.class_names):
        counts = [dataset.manifest.counts[split].get(family, 0) for split in SPLITS]
        numbers = ["" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in columns]
        yield [family, *counts, str(label in outcome.oversampled).lower(), *numbers]
