"""Suggested trials: the points to try first, then the sampler's, none twice.

Two suggestions are equivalent when all that differs has no effect: counts of unfrozen layers with the same trainable
layers (31 to 40 of InceptionV3), any count for a backbone that trains whole, weights for other backbones than the
chosen one, a patience or a number of augmented views beyond the last epoch. The trial's seed is not looked at.
"""

import copy
import itertools
import json
import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS
from search.config.schema import SweepConfig
from search.config.space import Scalar, distributions, values_of
from search.config.trial_plan import Plan
from search.sampling.ask import suggest
from search.sampling.samplers import make_sampler
from trainables.config import TrialConfig
from trainables.network.backbones import from_scratch
from trainables.network.trainable_layers import fewest_unfrozen

# A sampler that suggests nothing new so often has found its best points; the untried rest is then taken in turn.
_ATTEMPTS = 10
# A space with more points is never tried to its end.
_MOST_POINTS = 100_000
REPEAT = "repeat:"


class Suggester:
    """Suggests trials for a study, each of which trains something that no trial before it did.

    A repeated suggestion takes the known result: the sampler learns it and is asked again, and the study's user
    attribute `repeat:NUMBER:ATTEMPT` keeps what it was and why it was not run. It never counts as a trial.
    """

    def __init__(self, plan: Plan, study: optuna.Study, earlier: Sequence[FrozenTrial] = ()) -> None:
        """Args: `earlier` are trials of other studies that the sampler is to learn from; see warm_start."""
        self._plan = plan
        self._study = study
        self._space = distributions(plan.config.space)
        self._earlier = list(earlier)
        self._tried: dict[str, int] = {}  # What a trial with a result, or about to have one, trains: its number.
        self._seen: set[int] = set()
        self._rest = points_of(plan.config)

    def next(self) -> tuple[FrozenTrial, TrialConfig] | str:
        """Return the next trial, which is not yet in the study, with its configuration; or why there is none."""
        trials = self._study.get_trials(deepcopy=False)
        number, config = len(trials), self._plan.config
        self._take_in(trials)
        repeats: list[FrozenTrial] = []
        for attempt in range(_ATTEMPTS):
            sampler = make_sampler(config, number, attempt, self._plan.owner)
            known = [*self._earlier, *repeats, *trials]
            reads_stopped = SAMPLERS[config.sampler].reads_stopped
            trial = suggest(self._study, sampler, known, self._space, number, reads_stopped=reads_stopped)
            if attempt == 0 and number < len(config.points):
                trial.params.update(config.points[number])
            whole = self._plan.trial_config(number, trial.params)
            same = self._tried.get(identity(whole.model_dump()))
            if same is None:
                return trial, whole
            before = trials[same].params
            unlike = {name: value for name, value in trial.params.items() if before.get(name) != value}
            reason = f"trial {same} has the same values"
            if unlike:
                pairs = ", ".join(f"{name} {value} for {before.get(name)}" for name, value in unlike.items())
                reason = f"trial {same} trains the same: {pairs} makes no difference"
            note = {"params": trial.params, "of": same, "reason": reason}
            self._study.set_user_attr(f"{REPEAT}{number}:{attempt}", note)
            if any(trial.params == repeat.params for repeat in repeats):
                break  # It would say so for ever.
            # The known result under the values that were suggested, for the sampler to learn from.
            repeat = copy.copy(trials[same])
            repeat.params, repeat.number = dict(trial.params), -1
            repeats.append(repeat)
        return self._untried(trial)

    def _take_in(self, trials: Sequence[FrozenTrial]) -> None:
        """Note what trials train. One that failed has no result: its configuration may be tried again."""
        for trial in trials:
            if trial.number not in self._seen and "config" in trial.user_attrs:
                self._tried.setdefault(identity(trial.user_attrs["config"]), trial.number)
                self._seen.add(trial.number)
        failed = {trial.number for trial in trials if trial.state == TrialState.FAIL}
        self._tried = {key: number for key, number in self._tried.items() if number not in failed}

    def _untried(self, trial: FrozenTrial) -> tuple[FrozenTrial, TrialConfig] | str:
        if self._rest is None:
            return f"the sampler suggested nothing new in {_ATTEMPTS} attempts"
        for params in self._rest:
            config = self._plan.trial_config(trial.number, params)
            if identity(config.model_dump()) not in self._tried:
                trial.params = dict(params)
                return trial, config
        return f"the space is exhausted: all of its {len(self._tried)} different configurations were tried"


def identity(config: dict[str, Any]) -> str:
    """Return what a trial's configuration (all fields of TrialConfig) trains, as text: equal where that is equal."""
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


def points_of(config: SweepConfig) -> Iterator[dict[str, Scalar]] | None:
    """Yield every point of the space in a seeded order; None where it has no end, or none that would be reached."""
    values = {name: values_of(name, knob, grid=SAMPLERS[config.sampler].grid) for name, knob in config.space.items()}
    if math.prod(_MOST_POINTS + 1 if choices is None else len(choices) for choices in values.values()) > _MOST_POINTS:
        return None
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]  # type: ignore[arg-type]
    random.Random(config.seed).shuffle(points)
    return iter(points)


def count_repeats(study: optuna.Study) -> int:
    """Return how many suggestions were not run because a trial before them trains the same."""
    return sum(key.startswith(REPEAT) for key in study.user_attrs)
