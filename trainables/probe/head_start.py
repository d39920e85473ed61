"""Start of a trial's head: random, after epochs of its own, or the probe's solution."""

from collections.abc import Sequence

import numpy as np

from trainables.config import TrialConfig
from trainables.data.folds import PARTED, Parting, partings_of
from trainables.network.backbones import from_scratch
from trainables.network.head import head_depths
from trainables.network.tail import Array, HeadStart
from trainables.probe.probe import find_probe, fitted_on
from trainables.probe.solution import standardisation
from trainables.training.class_balance import balance
from trainables.training.fine_tune import FineTuning
from trainables.training.folds import FoldedTuning
from trainables.training.worker import Worker


def start_run(worker: Worker, config: TrialConfig, plan: Sequence[int] = ()) -> FineTuning | FoldedTuning:
    """Begin a trial's training, on folds or a holdout of its own where its `validation` says so.

    Every run's head begins with what its own training photos give; only which depths the probe chose comes from all.

    Args:
        plan: as in `Worker.start`.
    """
    partings = partings_of(worker.dataset, config.validation, config.sweep_seed, config.seed)
    if not partings:
        config, start = find_start(worker, config)
        return worker.start(config, plan, start=start)
    found = [find_start(worker, config, parting) for parting in partings]
    config = found[0][0]
    if len(partings) == 1:
        return worker.start(config, plan, start=found[0][1], parting=partings[0])
    return worker.start_folds(config, plan, partings, [start for _, start in found])


def find_start(worker: Worker, config: TrialConfig, parting: Parting | None = None) -> tuple[TrialConfig, HeadStart]:
    """Find what the head of a configuration begins with.

    A backbone that trains from scratch has no features to begin with: its head starts at random.

    Args:
        parting: which photos train it, where they are not the dataset's training photos.

    Returns:
        The configuration with its depths filled in, and the start.
    """
    if config.head == "study":
        return config, HeadStart(head=_warm_head(worker, config, (), parting))
    linear = not config.dense_units
    if config.head_start == "probe" and not from_scratch(config.backbone) and (linear or not config.depths):
        probe = find_probe(worker, config)
        solution = probe.solution if parting is None else fitted_on(worker, config, probe, parting.fit)
        config = config.model_copy(update={"depths": list(solution.depths)})
        standard = solution.mean, solution.deviation
        if linear:
            labels = _labels(worker, config, parting)
            offsets = balance(config.imbalance, np.bincount(labels, minlength=worker.classes)).logit_offsets
            # Training adds the offsets to the logits; what the probe has learnt holds for the sum.
            return config, HeadStart(standard, (solution.kernel, solution.bias - offsets))
    else:
        depths = head_depths(worker.base(config), config)
        config = config.model_copy(update={"depths": list(depths)})
        splits = ("train",) if parting is None else PARTED
        pooled = np.concatenate([worker.pooled(split, config, depths) for split in splits])
        standard = standardisation(pooled if parting is None else pooled[parting.fit])
    return config, HeadStart(standard, _warm_head(worker, config, standard, parting))


def _labels(worker: Worker, config: TrialConfig, parting: Parting | None) -> Array:
    """Labels of the photos that are trained on, int64."""
    if parting is None:
        return worker.photos("train", config.image_size).labels
    return np.concatenate([worker.photos(split, config.image_size).labels for split in PARTED])[parting.fit]


def _warm_head(
    worker: Worker, config: TrialConfig, standard: Sequence[Array], parting: Parting | None
) -> Sequence[Array]:
    """The head after epochs in which all of the backbone is frozen, on the photos as they are; nothing for random."""
    if config.head_start == "random" or from_scratch(config.backbone):
        return ()
    changes = {
        "unfrozen_layers": 0,
        "epochs": config.head_epochs,
        "patience": config.head_epochs,
        "learning_rate": config.head_learning_rate or config.learning_rate,
        "head_learning_rate": None,
    }
    head_only = config.model_copy(update=changes)
    run = worker.start(head_only, start=HeadStart(standard), augmented=False, parting=parting)
    while not run.run_epoch().get("done"):
        pass
    run.tail.load(run.best_weights)
    return [variable.numpy() for variable in run.tail.head]
