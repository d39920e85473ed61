"""Results of the final stage: the choice, metrics.json, tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from trainables.final.held_out import COLUMNS, by_rank, columns, guarantee_of, told
from trainables.final.options import FinalOptions
from trainables.final.probe import ProbeStage
from trainables.guarantee import Guarantee
from trainables.handoff import Handoff
from trainables.intervals import error_of_difference, share
from trainables.network.tail import HeadStart, State
from trainables.training.class_balance import double_corrections
from trainables.training.fine_tune import Evaluation, FineTuning, Result, family_scores
from trainables.versions import git_commit, versions

ALARM_MARGIN = 0.1  # a test score this far above the sweep's own validation score is, most likely, a leak


HISTORY = (
    *("epoch", "learning_rate", "train_loss", "train_cross_entropy", "train_accuracy", "train_macro_f1"),
    *("val_loss", "val_cross_entropy", "val_accuracy", "val_macro_f1", "epoch_seconds"),
)
# A stage is "before" or "after" oversampling, "ensemble", "refit" (the last fit, where it was tested) or "probe"; the
# further trainings of an ensemble, "member_2" and so on, stand in the history alone.
PREDICTIONS = (
    *("stage", "split", "photo_id", "source", "group", "family", "predicted", "probability", "probability_true"),
    *COLUMNS,  # Only of the test photos, and of the model that they are quoted for.
)
FAMILIES = (
    *("family", "train_photos", "validation_photos", "test_photos", "oversampled"),
    *("val_f1_before", "val_f1_after", "val_f1_ensemble", "val_f1_probe"),
    *("test_f1_before", "test_f1_after", "test_f1_ensemble", "test_f1_refit", "test_f1_probe"),
    *("test_precision", "test_recall"),
)

ENSEMBLE, PROBE, REFIT = "ensemble", "probe", "refit"


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
    start: HeadStart = HeadStart()


class Ensemble(NamedTuple):
    """Trainings that differ in their seeds alone, the trial's chosen one first, and the mean of their probabilities.

    `picks` are how often selection took each; `train` and `validation` are the mean's figures.
    """

    members: list[Stage]
    picks: tuple[int, ...]
    train: Evaluation
    validation: Evaluation

    @property
    def taken(self) -> list[tuple[Stage, float]]:
        """The members that selection took, with their shares in the mean."""
        pairs = zip(self.members, self.picks, strict=True)
        return [(stage, count / sum(self.picks)) for stage, count in pairs if count]

    def words(self) -> str:
        """Say what it is, such as "the mean of 3 of 5 trainings"."""
        taken = len(self.taken)
        return f"{'one' if taken == 1 else f'the mean of {taken}'} of {len(self.members)} trainings"

    def as_json(self) -> list[dict[str, Any]]:
        """What metrics.json says of each member; the figures of their mean stand there among the stages."""
        return [
            {
                "seed": stage.run.config.seed,
                "epoch": stage.run.best_epoch,
                "picks": picks,
                "val_macro_f1": stage.validation.metrics.macro_f1,
            }
            for stage, picks in zip(self.members, self.picks, strict=True)
        ]


class LastFit(NamedTuple):
    """The chosen model fitted once more, on the photos of all `splits`; no choice follows it.

    `epochs` and `states` (the weights after them) are those of each training in it, none of the probe.
    """

    splits: tuple[str, ...]
    epochs: tuple[int, ...] = ()
    states: tuple[State, ...] = ()

    @property
    def tested(self) -> bool:
        """Whether test photos can judge it: it has not seen them."""
        return "test" not in self.splits

    def as_json(self) -> dict[str, Any]:
        """What metrics.json says of it; `epochs` is a number of one training, a list of several, None of the probe."""
        epochs = self.epochs[0] if len(self.epochs) == 1 else [*self.epochs] or None
        return {"splits": self.splits, "epochs": epochs, "tested": self.tested}


@dataclass(frozen=True)
class Outcome:
    """The training before oversampling, the one after it where a family was weak, and the probe where there is one.

    `test` are their test figures by name ("before", "after", "ensemble", "refit", "probe"), empty without test photos:
    of the probe that is handed over, those of the one fitted on validation photos too, if it was. `hand_over` is the
    option, `last_fit` what was fitted after the choice; `read_before` are the earlier readings of the same test
    photos; `margin` is how much better than the probe's the trial's validation macro F1 has to be, a share of 1.
    """

    stages: list[Stage]
    test: dict[str, Evaluation]
    oversampled: list[int]
    probe: ProbeStage | None = None
    hand_over: str = "better"
    last_fit: LastFit | None = None
    ensemble: Ensemble | None = None
    read_before: Sequence[Reading] = ()
    margin: float = 0.0

    @property
    def tested(self) -> str:
        """The name of the model whose test figures are quoted: the handed-over one, or the one it was before."""
        return REFIT if REFIT in self.test else self.handed_over[0]

    def guarantee(self, dataset: Dataset) -> Guarantee:
        """That of the handed-over model, from its validation logits before any last fit."""
        name, _ = self.handed_over
        return guarantee_of(dataset, self.evaluations[name]["validation"])

    def kept(self, dataset: Dataset) -> dict[str, Any]:
        """What metrics.json says of the guarantee and the ranks."""
        tested = self.test[self.tested] if self.test else None
        return {"guarantee": told(dataset, self.guarantee(dataset), tested), "taxonomy": by_rank(dataset, tested)}

    @property
    def evaluations(self) -> dict[str, dict[str, Evaluation]]:
        """Every model's figures on train, validation and test, by its name; only those that it was evaluated on."""
        models: list[tuple[str, Stage | Ensemble | ProbeStage]] = [(stage.name, stage) for stage in self.stages]
        if self.ensemble is not None:
            models.append((ENSEMBLE, self.ensemble))
        if self.probe is not None:
            models.append((PROBE, self.probe))
        found = {name: {"train": model.train, "validation": model.validation} for name, model in models}
        for name, tested in self.test.items():
            found.setdefault(name, {})["test"] = tested
        return found

    @property
    def handed_over(self) -> tuple[str, str]:
        """Which model is handed over, "before", "after", "ensemble" or "probe", and why; test has no say."""
        trained, because = self.trained
        if self.probe is None or self.hand_over == "trial":
            return trained, because
        if self.hand_over == PROBE:
            return PROBE, f"it was asked for; {self.verdict}"
        gain = self._macro_f1(trained) - self._macro_f1(PROBE)
        return (trained, because) if gain > self.margin else (PROBE, self.verdict)

    def with_margin(self, dataset: Dataset) -> "Outcome":
        """The same, where only a trial that is better by more than the standard error of the difference is handed over.

        Validation chose the trial among many and the probe among few, and the probe is the simpler one: the rule of one
        standard error (Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984, section 3.4.3).
        """
        if self.probe is None:
            return self
        photos, models = dataset.photos("validation"), self.evaluations
        trial, probe = (models[name]["validation"].probabilities.argmax(axis=1) for name in (self.trained[0], PROBE))
        labels, groups = (np.array([getattr(photo, key) for photo in photos]) for key in ("label", "group"))
        return replace(self, margin=error_of_difference(labels, probe, trial, groups))

    @property
    def handed_over_stages(self) -> list[tuple[Stage, float]]:
        """The trainings in the handed-over model, with their shares in its answer; of the probe none."""
        name, _ = self.handed_over
        if name == ENSEMBLE and self.ensemble is not None:
            return self.ensemble.taken
        return [(stage, 1.0) for stage in self.stages if stage.name == name]

    @property
    def verdict(self) -> str:
        """Whether the trained model beats the probe on validation, and clearly; "" where there is no probe."""
        if self.probe is None:
            return ""
        name, _ = self.trained
        trial, probe = self._macro_f1(name), self._macro_f1(PROBE)
        model = "the ensemble" if name == ENSEMBLE else "the trained model"
        beats = "beats" if trial > probe else "does not beat"
        told = f"{model}'s validation macro F1, {trial:.1%}, {beats} the probe's, {probe:.1%}"
        if 0 < trial - probe <= self.margin:
            told += f", but by no more than the standard error of the difference, {100 * self.margin:.1f} points"
        return told

    @property
    def trained(self) -> tuple[str, str]:
        """The trial's model, which is the ensemble where that beats the one training on validation, and why."""
        stage, because = self.choice
        if self.ensemble is None:
            return stage.name, because
        alone, together = self._macro_f1(stage.name), self._macro_f1(ENSEMBLE)
        words = f"{self.ensemble.words()} has a validation macro F1 of {together:.1%}, the first alone {alone:.1%}"
        return (ENSEMBLE, words) if together > alone else (stage.name, f"{because}; {words}")

    def _macro_f1(self, name: str) -> float:
        """A model's macro F1 on validation."""
        return self.evaluations[name]["validation"].metrics.macro_f1

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

    @property
    def copied(self) -> Sequence[int]:
        """The families of whose photos the trial's model saw copies."""
        return self.oversampled if self.choice[0].name == "after" else ()

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
            | {name: stages[name] for name in (ENSEMBLE, REFIT, PROBE) if name in stages},
            "chosen": chosen,
            "chosen_because": because,
            "hand_over_margin": None if self.probe is None else self.margin,
            "trial_chosen": self.choice[0].name,
            "ensemble": None if self.ensemble is None else self.ensemble.as_json(),
            "refit": refit and refit.as_json(),
            "probe": None if self.probe is None else self.probe.as_json(fitted_on if chosen == PROBE else ("train",)),
            "oversampled_families": [dataset.class_names[family] for family in self.oversampled],
            "threshold": options.threshold,
            "copies": options.copies,
            "sweep_metric": handoff.metric,
            "sweep_score": handoff.score,
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
    stages = [*outcome.stages, *(outcome.ensemble.members[1:] if outcome.ensemble else ())]
    history = [[stage.name, *(result[key] for key in HISTORY)] for stage in stages for result in stage.history]
    predictions: list[list[object]] = []
    guarantee = outcome.guarantee(dataset)
    for name, parts in outcome.evaluations.items():
        for split in (split for split in ("validation", "test") if split in parts):
            photos = dataset.photos(split)
            more: list[list[object]] = [[""] * len(COLUMNS)] * len(photos)
            if (name, split) == (outcome.tested, "test"):
                more = columns(guarantee, parts[split], np.array([photo.label for photo in photos]))
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
    columns = [scores.get((name, "validation"), unknown)[2] for name in ("before", "after", ENSEMBLE, PROBE)]
    tested = ("before", "after", ENSEMBLE, REFIT, PROBE)
    columns += [scores.get((name, "test"), unknown)[2] for name in tested]
    columns += [*scores.get((outcome.tested, "test"), unknown)[:2]]
    for label, family in enumerate(dataset.class_names):
        counts = [dataset.manifest.counts[split].get(family, 0) for split in SPLITS]
        numbers = ["" if np.isnan(column[label]) else f"{column[label]:.6f}" for column in columns]
        yield [family, *counts, str(label in outcome.oversampled).lower(), *numbers]
