"""Equivalence of configurations: which train the same, so that none runs twice.

Two suggestions are equivalent when all that differs has no effect: counts of unfrozen layers with the same trainable
layers (31 to 40 of InceptionV3), any count for a backbone that trains whole, weights for other backbones than the
chosen one, a patience or a number of augmented views beyond the last epoch. The trial's seed is not looked at.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS
from search.config.schema import SweepConfig
from search.config.space import Scalar, values_of
from trainables.network.backbones import from_scratch
from trainables.network.trainable_layers import fewest_unfrozen

# A space with more points is never tried to its end.
_MOST_POINTS = 100_000


def identity(config: dict[str, Any]) -> str:
    """Return what a trial's configuration trains, as text: equal for configurations that train the same.

    Args:
        config: all fields of TrialConfig.
    """
    same = {name: value for name, value in config.items() if name not in ("seed", "sweep_seed")}
    backbone, epochs = same["backbone"], same["epochs"]
    same["unfrozen_layers"] = fewest_unfrozen(backbone, same["unfrozen_layers"])
    if isinstance(same["weights"], dict):
        same["weights"] = same["weights"].get(backbone, "auto")
    if from_scratch(backbone):
        same["weights"] = "random"
    same["patience"] = min(same["patience"], epochs)
    same["augment_views"] = min(same["augment_views"], epochs)
    return json.dumps(same, sort_keys=True)


class Tried:
    """The configurations of a study that have a result or are about to have one, by what they train."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._seen: set[int] = set()

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in a study's trials. One that failed has no result: its configuration may be tried again."""
        for trial in trials:
            if trial.number not in self._seen and "config" in trial.user_attrs:
                self._numbers.setdefault(identity(trial.user_attrs["config"]), trial.number)
                self._seen.add(trial.number)
        self._numbers = {
            key: number
            for key, number in self._numbers.items()
            if number >= len(trials) or trials[number].state != TrialState.FAIL
        }

    def count(self) -> int:
        """Return how many different configurations there are."""
        return len(self._numbers)

    def number(self, config: dict[str, Any]) -> int | None:
        """Return the trial that trains, or trained, the same; None for a new configuration."""
        return self._numbers.get(identity(config))


def points_of(config: SweepConfig) -> Iterator[dict[str, Scalar]] | None:
    """Yield every point of the space in a seeded order; None where it has no end, or none that would be reached."""
    values = {name: values_of(name, knob, grid=SAMPLERS[config.sampler].grid) for name, knob in config.space.items()}
    if math.prod(_MOST_POINTS + 1 if choices is None else len(choices) for choices in values.values()) > _MOST_POINTS:
        return None
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]  # type: ignore[arg-type]
    random.Random(config.seed).shuffle(points)
    return iter(points)


def say_repeat(params: dict[str, Any], known: FrozenTrial) -> str:
    """Say why a suggestion is not run."""
    differing = [name for name, value in params.items() if known.params.get(name) != value]
    if not differing:
        return f"trial {known.number} has the same values"
    unlike = ", ".join(f"{name} {params[name]} for {known.params.get(name)}" for name in differing)
    return f"trial {known.number} trains the same: {unlike} makes no difference"
