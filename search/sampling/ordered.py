"""Lists of numbers as a sampler sees them: by their places from the smallest on, so that it knows their order."""

import copy
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial


class Ordered:
    """The space with each list of three numbers or more as whole numbers 0, 1, 2 …; the record keeps the numbers."""

    def __init__(self, space: dict[str, BaseDistribution], *, known: bool = True) -> None:
        """Args: `known` says whether the sampler makes use of an order; else it sees the space as it is."""
        self._recorded = space
        self._lists = {
            name: sorted(knob.choices, key=float)  # type: ignore[arg-type]
            for name, knob in space.items()
            if known and isinstance(knob, CategoricalDistribution) and _has_order(knob.choices)
        }
        places = {name: IntDistribution(0, len(values) - 1) for name, values in self._lists.items()}
        self.space: dict[str, BaseDistribution] = {**space, **places}

    def seen(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return recorded trials with places for numbers."""
        if not self._lists:
            return list(trials)
        found = []
        for trial in trials:
            places = {name: values.index(trial.params[name]) for name, values in self._lists.items()}
            seen = copy.copy(trial)
            seen.params, seen.distributions = {**trial.params, **places}, self.space
            found.append(seen)
        return found

    def record(self, drawn: FrozenTrial) -> None:
        """Give a drawn trial the numbers for its places."""
        numbers = {name: values[drawn.params[name]] for name, values in self._lists.items()}
        drawn.params, drawn.distributions = {**drawn.params, **numbers}, dict(self._recorded)


def _has_order(choices: Sequence[Any]) -> bool:
    return len(choices) > 2 and all(type(choice) in (int, float) for choice in choices)
