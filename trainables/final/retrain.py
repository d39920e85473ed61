"""The final stage: train the best configuration, oversample the families it is weak on, retrain, test once.

Follows the reference study's last steps; the test split is read once, after the splits were proved disjoint.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.data.leaks import LeakProof, prove_disjoint
from trainables.data.remote import open_dataset_at
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.experiment import CONFUSION_FILE, METRICS_FILE, PICTURES_FOLDER, TENSORBOARD_FOLDER
from trainables.files.output import check_free, whole_or_nothing, write_json
from trainables.final.mistakes import write_examples, write_mistakes
from trainables.final.model_card import write_model_card
from trainables.final.outcome import Outcome, Stage
from trainables.final.pictures import draw_confusion, write_pictures
from trainables.final.tables import write_tables
from trainables.final.tensorboard import write_final_board
from trainables.handoff import Handoff
from trainables.inference.keras_model import check_same, save_model, whole_model
from trainables.training.double_correction import double_corrections
from trainables.training.fine_tune import Result, TrainingSet
from trainables.training.metrics import family_f1
from trainables.training.worker import Worker
from trainables.versions import git_commit, versions

Say = Callable[[str], None]

ALARM_MARGIN = 0.1
"""A test score this far above the sweep's own validation score is not luck but, most likely, a leak."""


class FinalOptions(BaseModel):
    """How to retrain.

    Families with a validation F1 below `threshold` get `copies` augmented copies of each training photo. Training stops
    when the validation loss has not fallen for `patience` epochs. `epochs` None means the sweep's own; `views` None
    means a new augmented picture in every epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(default=0.3, ge=0, le=1)
    copies: int = Field(default=2, ge=1, le=20)
    patience: int = Field(default=5, ge=1)
    epochs: int | None = Field(default=None, ge=1)
    views: int | None = Field(default=None, ge=1)
    store: Path | None = None
    store_bytes: int | None = None
    threads: int | None = Field(default=None, ge=1)


def retrain(handoff: Handoff, out: Path, options: FinalOptions, say: Say) -> dict[str, Any]:
    """Run the final stage and write its folder; see README, "The final stage".

    Returns:
        What metrics.json holds.

    Raises:
        UserError: the dataset is gone, changed or leaks; the weights are not the sweep's; `out` holds something.
    """
    started = time.monotonic()
    check_free(out)
    store = options.store or out.parent.parent / "store"  # Where the sweep's own lies, next to the experiment.
    dataset = _same_dataset(handoff, store)
    worker = Worker(dataset, store, options.store_bytes, options.threads or usable_cores())
    config = _final_config(handoff.config, options)
    weights = worker.weights(config)
    expected = handoff.weights.get("fingerprint")
    if expected not in (None, weights.fingerprint):
        raise UserError(
            f"weights: the sweep used {handoff.weights['kind']}, here {config.weights!r} means {weights.kind}"
        )
    proof = _proved(dataset, say)
    before = _train("before", worker, config, options, say)
    weak = _weak_families(before, worker, options.threshold)
    after = None
    if weak:
        families = "1 family has" if len(weak) == 1 else f"{len(weak)} families have"
        say(f"{families} a validation F1 below {options.threshold:.0%}: training again with copies of their photos")
        after = _train("after", worker, config, options, say, weak)
    say("reading test now, once")
    outcome = _test_once(worker, config, before, after, weak)
    with whole_or_nothing(out) as folder:
        model = _export(worker, config, outcome, folder)
        write_tables(outcome, dataset, folder)
        _write_pictures(model, worker, config, outcome, folder / PICTURES_FOLDER)
        metrics = _metrics(handoff, config, options, outcome, dataset, proof)
        metrics |= {"weights": asdict(weights), "seconds": round(time.monotonic() - started, 1)}
        write_model_card(handoff.study, metrics, dataset.manifest, folder)
        write_json(metrics, folder / METRICS_FILE)
    if (out.parent / TENSORBOARD_FOLDER).is_dir():  # Beside the sweep, its trials' runs.
        write_final_board(out, out.parent / TENSORBOARD_FOLDER / out.name)
    return metrics


def _same_dataset(handoff: Handoff, store: Path) -> Dataset:
    dataset = open_dataset_at(handoff.dataset, store)
    if dataset.fingerprint != handoff.dataset_fingerprint:
        raise UserError(
            f"{handoff.dataset} is not the dataset of the sweep: its fingerprint is {dataset.fingerprint[:12]}…, "
            f"the sweep's {handoff.dataset_fingerprint[:12]}…"
        )
    return dataset


def _final_config(config: TrialConfig, options: FinalOptions) -> TrialConfig:
    epochs = options.epochs or config.epochs
    return config.model_copy(
        update={
            "epochs": epochs,
            "augment_views": options.views or epochs,
            "patience": epochs,  # The final stage has its own rule, on the validation loss.
            # What is tested and exported is a float32 network, however the search computed.
            "precision": "float32",
            "store_dtype": "float32",
        }
    )


def _train(
    name: str, worker: Worker, config: TrialConfig, options: FinalOptions, say: Say, oversampled: Sequence[int] = ()
) -> Stage:
    """Train until the validation loss stops falling; go back to the epoch with the best validation macro F1."""
    run = worker.start(config, oversampled=oversampled, copies=options.copies)
    history: list[Result] = []
    lowest, since = math.inf, 0
    while not (history and history[-1].get("done")) and since < options.patience:
        result = run.run_epoch()
        history.append(result)
        if result.get("stop_kind") == "failed":
            raise UserError(f"the final stage cannot train this configuration: {result['stop_reason']}")
        since = 0 if result["val_loss"] < lowest else since + 1
        lowest = min(lowest, result["val_loss"])
        say(
            f"{name} oversampling, epoch {run.epoch}/{config.epochs}: "
            f"validation loss {result['val_loss']:.3f}, macro F1 {result['val_macro_f1']:.1%}"
        )
    run.restore_best()
    train, validation = run.evaluate(worker.part("train", config)), run.evaluate(worker.part("validation", config))
    return Stage(name, run, history, dict(run.best_weights), train, validation)


def _weak_families(stage: Stage, worker: Worker, threshold: float) -> list[int]:
    """Families with photos in validation whose F1 there is below the threshold."""
    labels = worker.photos("validation", stage.run.config.image_size).labels
    scores = family_f1(labels, stage.validation.probabilities.argmax(axis=1), worker.classes)
    return [int(family) for family in np.flatnonzero(scores < threshold)]


def _proved(dataset: Dataset, say: Say) -> LeakProof:
    proof = prove_disjoint(dataset)
    if not proof.passed:
        more = f" (and {len(proof.leaks) - 1} more)" if len(proof.leaks) > 1 else ""
        raise UserError(
            f"the splits of {dataset.url or dataset.folder} are not disjoint: {proof.leaks[0]}{more}; prepare it again"
        )
    say("the splits are disjoint by photo id, content and group")
    return proof


def _test_once(worker: Worker, config: TrialConfig, before: Stage, after: Stage | None, weak: list[int]) -> Outcome:
    """Evaluate both models on test; which of them is kept was decided on validation alone."""
    chosen, because = _choose(before, after)
    part: TrainingSet = worker.part("test", config)
    test = {}
    for stage in (before, after):
        if stage is not None:
            stage.run.load_weights(stage.state)
            test[stage.name] = stage.run.evaluate(part)
    return Outcome(before, after, test, weak, chosen, because)


def _choose(before: Stage, after: Stage | None) -> tuple[str, str]:
    if after is None:
        return "before", "no family's validation F1 was below the threshold, so nothing was oversampled"
    first, second = before.validation.metrics.macro_f1, after.validation.metrics.macro_f1
    if second >= first:
        return "after", f"oversampling took validation macro F1 from {first:.1%} to {second:.1%}"
    return "before", f"oversampling took validation macro F1 from {first:.1%} down to {second:.1%}"


def _export(worker: Worker, config: TrialConfig, outcome: Outcome, folder: Path) -> Any:
    """Write the chosen stage's model and return it."""
    stage = next(stage for stage in outcome.stages if stage.name == outcome.chosen)
    stage.run.load_weights(stage.state)
    model = whole_model(worker.base(config), stage.run.tail, config)
    some = np.arange(min(8, len(stage.validation.probabilities)))
    check_same(model, worker.photos("validation", config.image_size).read(some), stage.validation.probabilities[some])
    save_model(model, worker.dataset.class_names, config, folder)
    return model


def _write_pictures(model: Any, worker: Worker, config: TrialConfig, outcome: Outcome, folder: Path) -> None:
    names, size = worker.dataset.class_names, config.image_size
    train, test = worker.photos("train", size), worker.photos("test", size)
    probabilities = outcome.test[outcome.chosen].probabilities
    write_pictures(train, names, config, folder)
    write_examples(test, train, names, probabilities, folder / "examples")
    draw_confusion(test.labels, probabilities.argmax(axis=1), names, folder / CONFUSION_FILE)
    write_mistakes(model, test, probabilities, worker.dataset, folder)


def _metrics(
    handoff: Handoff, config: TrialConfig, options: FinalOptions, outcome: Outcome, dataset: Dataset, proof: LeakProof
) -> dict[str, Any]:
    stages = {
        stage.name: {
            "train": stage.train.metrics._asdict(),
            "validation": stage.validation.metrics._asdict(),
            "test": outcome.test[stage.name].metrics._asdict(),
        }
        for stage in outcome.stages
    }
    return {
        "format": 1,
        "stages": {"before": stages["before"], "after": stages.get("after")},
        "chosen": outcome.chosen,
        "chosen_because": outcome.chosen_because,
        "oversampled_families": [dataset.class_names[family] for family in outcome.oversampled],
        "threshold": options.threshold,
        "copies": options.copies,
        "sweep_metric": handoff.metric,
        "sweep_score": handoff.score,
        "alarm": _alarm(handoff, outcome),
        "warnings": _warnings(outcome, dataset),
        "dataset": {"folder": str(dataset.folder), "url": dataset.url, "fingerprint": dataset.fingerprint},
        "config": config.model_dump(),
        "leaks": {**proof.model_dump(), "passed": proof.passed},
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _alarm(handoff: Handoff, outcome: Outcome) -> str | None:
    """A sentence when the final score is too good to be true against the sweep's own, None otherwise."""
    score = outcome.test[outcome.chosen].metrics.macro_f1
    if handoff.metric != "val_macro_f1" or score <= handoff.score + ALARM_MARGIN:
        return None
    return (
        f"test macro F1 {score:.1%} is far above the sweep's own validation score {handoff.score:.1%}: "
        "look for photos that are in both before you believe it"
    )


def _warnings(outcome: Outcome, dataset: Dataset) -> list[str]:
    """What a reader should know of the last training: does it correct the imbalance twice?"""
    run = outcome.stages[-1].run
    return double_corrections(dataset, run.config.imbalance, run.balance, run.counts, outcome.oversampled)
