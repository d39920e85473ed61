"""Start of a trial's head: random, after epochs of its own, or the probe's solution."""

from collections.abc import Sequence

import numpy as np

from trainables.config import TrialConfig
from trainables.network.backbones import from_scratch
from trainables.network.head import head_depths
from trainables.network.tail import Array, HeadStart
from trainables.probe.probe import find_probe
from trainables.probe.solution import standardisation
from trainables.training.class_balance import balance
from trainables.training.worker import Worker


def find_start(worker: Worker, config: TrialConfig) -> tuple[TrialConfig, HeadStart]:
    """Find what the head of a configuration begins with.

    A backbone that trains from scratch has no features to begin with: its head starts at random.

    Returns:
        The configuration with its depths filled in, and the start.
    """
    if config.head == "study":
        return config, HeadStart(head=_warm_head(worker, config, ()))
    linear = not config.dense_units
    if config.head_start == "probe" and not from_scratch(config.backbone) and (linear or not config.depths):
        solution = find_probe(worker, config).solution
        config = config.model_copy(update={"depths": list(solution.depths)})
        standard = solution.mean, solution.deviation
        if linear:
            photos = worker.photos("train", config.image_size)
            offsets = balance(config.imbalance, np.bincount(photos.labels, minlength=worker.classes)).logit_offsets
            # Training adds the offsets to the logits; what the probe has learnt holds for the sum.
            return config, HeadStart(standard, (solution.kernel, solution.bias - offsets))
    else:
        depths = head_depths(worker.base(config), config)
        config = config.model_copy(update={"depths": list(depths)})
        standard = standardisation(worker.pooled("train", config, depths))
    return config, HeadStart(standard, _warm_head(worker, config, standard))


def _warm_head(worker: Worker, config: TrialConfig, standard: Sequence[Array]) -> Sequence[Array]:
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
    run = worker.start(config.model_copy(update=changes), start=HeadStart(standard), augmented=False)
    while not run.run_epoch().get("done"):
        pass
    run.tail.load(run.best_weights)
    return [variable.numpy() for variable in run.tail.head]
