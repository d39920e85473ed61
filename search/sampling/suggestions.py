"""Suggested trials: the points to try first, then the sampler's, none twice."""

import copy
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial

from search.config.registry import SAMPLERS
from search.config.space import distributions
from search.config.trial_plan import Plan
from search.sampling.ask import suggest
from search.sampling.equivalence import Tried, points_of, say_repeat
from search.sampling.samplers import make_sampler
from trainables.config import TrialConfig

# A sampler that suggests nothing new so often has found its best points; the untried rest is then taken in turn.
_ATTEMPTS = 10
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
        self._tried = Tried()
        self._rest = points_of(plan.config)

    def next(self) -> tuple[FrozenTrial, TrialConfig] | str:
        """Return the next trial, which is not yet in the study, with its configuration; or why there is none."""
        trials = self._study.get_trials(deepcopy=False)
        number, config = len(trials), self._plan.config
        self._tried.update(trials)
        repeats: list[FrozenTrial] = []
        for attempt in range(_ATTEMPTS):
            sampler = make_sampler(config, number, attempt, self._plan.owner)
            known = [*self._earlier, *repeats, *trials]
            reads_stopped = SAMPLERS[config.sampler].reads_stopped
            trial = suggest(self._study, sampler, known, self._space, number, reads_stopped=reads_stopped)
            if attempt == 0 and number < len(config.points):
                trial.params.update(config.points[number])
            whole = self._plan.trial_config(number, trial.params)
            same = self._tried.number(whole.model_dump())
            if same is None:
                return trial, whole
            note = {"params": trial.params, "of": same, "reason": say_repeat(trial.params, trials[same])}
            self._study.set_user_attr(f"{REPEAT}{number}:{attempt}", note)
            if any(trial.params == repeat.params for repeat in repeats):
                break  # It would say so for ever.
            # The known result under the values that were suggested, for the sampler to learn from.
            repeat = copy.copy(trials[same])
            repeat.params, repeat.number = dict(trial.params), -1
            repeats.append(repeat)
        return self._untried(trial)

    def _untried(self, trial: FrozenTrial) -> tuple[FrozenTrial, TrialConfig] | str:
        if self._rest is None:
            return f"the sampler suggested nothing new in {_ATTEMPTS} attempts"
        for params in self._rest:
            config = self._plan.trial_config(trial.number, params)
            if self._tried.number(config.model_dump()) is None:
                trial.params = dict(params)
                return trial, config
        return f"the space is exhausted: all of its {self._tried.count()} different configurations were tried"


def count_repeats(study: optuna.Study) -> int:
    """Return how many suggestions were not run because a trial before them trains the same."""
    return sum(key.startswith(REPEAT) for key in study.user_attrs)
