"""Trainings of the final stage: until validation stops falling, with other seeds, and once more on more photos."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from trainables.config import TrialConfig
from trainables.errors import UserError
from trainables.final.ensemble import choose, joined
from trainables.final.options import FinalOptions
from trainables.final.outcome import PROBE, Ensemble, LastFit, Outcome, Stage, join_splits
from trainables.network.tail import HeadStart, State
from trainables.probe.head_start import find_start
from trainables.training.fine_tune import Result, family_f1
from trainables.training.worker import Worker

Say = Callable[[str], None]

SPLITS = {"none": ("train",), "train+validation": ("train", "validation"), "all": ("train", "validation", "test")}
_SEEDS = 2**31


def train(
    name: str,
    worker: Worker,
    config: TrialConfig,
    start: HeadStart,
    options: FinalOptions,
    say: Say,
    oversampled: Sequence[int] = (),
) -> Stage:
    """Train until the validation loss stops falling; go back to the epoch with the best validation macro F1."""
    run = worker.start(config, oversampled=oversampled, copies=options.copies, start=start)
    history: list[Result] = []
    lowest, since = math.inf, 0
    words = f"{name} oversampling" if name in ("before", "after") else name.replace("_", " ")
    while not (history and history[-1].get("done")) and since < options.patience:
        result = run.run_epoch()
        history.append(result)
        if result.get("stop_kind") == "failed":
            raise UserError(f"the final stage cannot train this configuration: {result['stop_reason']}")
        since = 0 if result["val_loss"] < lowest else since + 1
        lowest = min(lowest, result["val_loss"])
        say(
            f"{words}, epoch {run.epoch}/{config.epochs}: "
            f"validation loss {result['val_loss']:.3f}, macro F1 {result['val_macro_f1']:.1%}"
        )
    run.tail.load(run.best_weights)
    trained, validation = (run.evaluate(worker.part(split, config)) for split in ("train", "validation"))
    return Stage(name, run, history, dict(run.best_weights), trained, validation, start)


def train_twice(
    worker: Worker, config: TrialConfig, start: HeadStart, options: FinalOptions, say: Say
) -> tuple[list[Stage], list[int]]:
    """The training before oversampling, the one after it where a family is weak, and those families."""
    stages = [train("before", worker, config, start, options, say)]
    labels = worker.photos("validation", config.image_size).labels
    scores = family_f1(labels, stages[0].validation.probabilities.argmax(axis=1), worker.classes)
    weak = [int(family) for family in np.flatnonzero(scores < options.threshold)]
    if weak:
        families = "1 family has" if len(weak) == 1 else f"{len(weak)} families have"
        say(f"{families} a validation F1 below {options.threshold:.0%}: training again with copies of their photos")
        stages.append(train("after", worker, config, start, options, say, weak))
    return stages, weak


def train_ensemble(worker: Worker, config: TrialConfig, outcome: Outcome, options: FinalOptions, say: Say) -> Ensemble:
    """The chosen training and as many more as `--ensemble` says, with other seeds; validation chooses who answers.

    All read what the first has stored.

    Args:
        config: as `find_start` takes it.
    """
    first, _ = outcome.choice
    members = [first]
    for number in range(2, options.ensemble + 1):
        other = config.model_copy(update={"seed": (config.seed + number - 1) % _SEEDS})
        own, start = find_start(worker, other)
        members.append(train(f"member_{number}", worker, own, start, options, say, outcome.copied))
    labels = {split: worker.photos(split, config.image_size).labels for split in ("train", "validation")}
    picks = choose(labels["validation"], [member.validation.probabilities for member in members])
    trained = joined(labels["train"], [member.train for member in members], picks)
    return Ensemble(members, picks, trained, joined(labels["validation"], [each.validation for each in members], picks))


def fit_again(worker: Worker, outcome: Outcome, options: FinalOptions, say: Say) -> LastFit | None:
    """Fit the chosen model once more, as `--refit` says: each training for the epochs that validation chose."""
    probe = outcome.handed_over[0] == PROBE
    splits = SPLITS[options.refit or ("train+validation" if probe else "none")]
    if not worker.dataset.tested:
        splits = tuple(split for split in splits if split != "test")
    if splits == ("train",):
        return None
    words = join_splits(splits)
    if probe:
        say(f"fitting the probe again on {words} photos")
        return LastFit(splits)
    stages = [stage for stage, _ in outcome.handed_over_stages]
    epochs = tuple(stage.run.best_epoch for stage in stages)
    told = ", ".join(str(count) for count in epochs)
    say(f"training once more on {words} photos, for the {told} epochs that validation chose")
    states = tuple(_fit(worker, outcome, stage, splits, options, say) for stage in stages)
    return LastFit(splits, epochs, states)


def _fit(
    worker: Worker, outcome: Outcome, stage: Stage, splits: Sequence[str], options: FinalOptions, say: Say
) -> State:
    """The weights of a training after its best epoch, on the photos of all `splits`."""
    config, epochs = stage.run.config, stage.run.best_epoch
    run = worker.start(config, oversampled=outcome.copied, copies=options.copies, start=stage.start, splits=splits)
    words = "last fit" if stage.name in ("before", "after") else f"last fit of {stage.name.replace('_', ' ')}"
    for epoch in range(1, epochs + 1):
        figures = run.train_epoch()
        if not math.isfinite(figures.loss):
            raise UserError(f"--refit {options.refit}: train_loss became {figures.loss} in epoch {epoch}; leave it out")
        say(f"{words}, epoch {epoch}/{epochs}: training loss {figures.loss:.3f}")
    return run.kept_weights()
