"""Cautions about a sweep's keys: each is allowed, and together they do not do what they seem to."""

from collections.abc import Iterator

from search.config.registry import STOP_RULES
from search.config.schema import SweepConfig
from trainables.config import TrialConfig

# What a loss contains besides the cross-entropy: with another value of these knobs, the same predictions have another.
_IN_LOSS = {"val_loss": ("l2",), "train_loss": ("l2", "label_smoothing", "imbalance")}
# Which weights L2 counts, and how large they are from the start on.
_IN_L2 = ("dense_units", "head", "head_start", "depths", "backbone")


def cautions(config: SweepConfig) -> list[str]:
    """Return a line for each: the keys, what comes of them, and what would be better."""
    return [*_of_early_stopping(config), *_of_the_search(config), *_of_the_metric(config)]


def _of_early_stopping(config: SweepConfig) -> Iterator[str]:
    rule, epochs = config.early_stopping, config.max_epochs
    if rule.kind == "none" or epochs == 1:
        return
    if rule.grace_epochs >= epochs:
        yield (
            f"early_stopping.grace_epochs: {rule.grace_epochs} of a trial's {epochs} epochs, "
            f"so {rule.kind} stops none; give fewer than {epochs}, or more trial.epochs"
        )
        return
    rungs = len(STOP_RULES[rule.kind].rungs(rule.grace_epochs, rule.reduction_factor, epochs))
    if rule.kind == "asha" and rule.brackets > rungs:
        yield f"early_stopping.brackets: {rule.brackets}, but {epochs} epochs have {rungs} rungs, so there are {rungs}"
    if rule.min_results >= config.trials and config.storage is None and "min_results" in rule.model_fields_set:
        yield (
            f"early_stopping.min_results: {rule.min_results} others must have been at a rung, and there are "
            f"{config.trials} trials, so {rule.kind} stops none"
        )


def _of_the_search(config: SweepConfig) -> Iterator[str]:
    own = config.startup_trials >= config.trials and not config.warm_start
    if own and config.learns and "startup_trials" in config.model_fields_set:
        yield (
            f"startup_trials: {config.startup_trials} of {config.trials} trials are drawn at random, so "
            f"{config.sampler} never learns; give fewer, or more trials"
        )
    plateau = config.budget.plateau
    if plateau is not None and plateau.trials >= config.trials:
        yield (
            f"budget.plateau.trials: {plateau.trials} trials in a row cannot come after the best one of "
            f"{config.trials}, so no plateau ends the sweep"
        )


def _of_the_metric(config: SweepConfig) -> Iterator[str]:
    names = _IN_LOSS.get(config.metric, ())
    if names and ("l2" in config.space or TrialConfig.model_validate(config.trial).l2 > 0):
        names = (*names, *_IN_L2)
    mixed = [name for name in names if name in config.space]
    if mixed:
        yield (
            f"metric: {config.metric} changes with {' and '.join(mixed)} (searched) where predictions are the same, "
            f"so its best trial may predict worse; {config.metric.replace('loss', 'cross_entropy')} does not"
        )
