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
    if config.head_start == "probe" and not from_scratch(config.backbone):
        probe = find_probe(worker, config)
        solution = probe.solution if parting is None else fitted_on(worker, config, probe, parting.fit)
        config = config.model_copy(update={"depths": list(solution.depths)})
        standard = solution.mean, solution.deviation
        offsets = balance(config.imbalance, np.bincount(_labels(worker, config, parting), minlength=worker.classes))
        # Training adds the offsets to the logits; what the probe has learnt holds for the sum.
        head = solution.kernel, solution.bias - offsets.logit_offsets
        if not config.dense_units:
            return config, HeadStart(standard, head)
        if deep := through_dense_layer(*head, config.dense_units, config.seed):
            return config, HeadStart(standard, deep)
    else:
        depths = head_depths(worker.base(config), config)
        config = config.model_copy(update={"depths": list(depths)})
        splits = ("train",) if parting is None else PARTED
        pooled = np.concatenate([worker.pooled(split, config, depths) for split in splits])
        standard = standardisation(pooled if parting is None else pooled[parting.fit])
    return config, HeadStart(standard, _warm_head(worker, config, standard, parting))


def through_dense_layer(kernel: Array, bias: Array, units: int, seed: int) -> Sequence[Array]:
    """A head with a dense layer and ReLU that answers exactly as a linear classifier does.

    The kernel's singular vectors are what the dense layer's first units compute, one unit for each and one for its
    negative: of the two, ReLU lets through what is positive, and their difference is the vector's value. The other
    units are drawn (Glorot), with nothing behind them yet.

    Args:
        kernel: float32 [channels, classes].
        bias: float32 [classes].

    Returns:
        Kernel and bias of the dense layer, float32 [channels, units] and [units], and of the last, [units, classes] and
        [classes]; nothing where there are fewer units than twice the kernel's rank.
    """
    left, values, right = np.linalg.svd(kernel.astype(np.float64), full_matrices=False)
    rank = int((values > values[0] * 1e-6).sum())
    if 2 * rank > units:
        return ()
    shared = np.sqrt(values[:rank])  # In equal parts before and behind the ReLU.
    first, last = left[:, :rank] * shared, shared[:, None] * right[:rank]
    spare = units - 2 * rank
    limit = np.sqrt(6 / (kernel.shape[0] + units))
    drawn = np.random.default_rng(seed).uniform(-limit, limit, (kernel.shape[0], spare))
    dense = np.concatenate([first, -first, drawn], axis=1)
    behind = np.concatenate([last, -last, np.zeros((spare, kernel.shape[1]))])
    return [each.astype(np.float32) for each in (dense, np.zeros(units), behind, bias)]


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
