"""The samplers a sweep may use. One is made anew for every trial, so that suggestions follow from the record alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler

from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from search.config.space import grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState


def make_sampler(config: SweepConfig, trial: int, attempt: int = 0, driver: str | None = None) -> BaseSampler:
    """Make the sampler for the trial with this number, or for a further attempt to find something new for it.

    Its seed follows from the sweep's seed and the number. So a search that is taken up again neither replays its
    first suggestions (as one seeded sampler, made again, would) nor needs a pickled random state.

    Raises:
        UserError: a range without `points`, of which no grid can be made.
    """
    if config.sampler == "grid":
        # The grid is shuffled by the sweep's own seed: it must be the same grid for every trial.
        return _Grid(grid(config.space), seed=config.seed)
    # Drivers beside each other on one study may ask for the same number at once, and must not draw alike.
    purpose = "/".join(["sampler", *([str(attempt)] if attempt else []), *([driver] if driver else [])])
    seed = trial_seed(config.seed, trial, purpose)
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    if config.sampler == "gp":
        from search.sampling.gp import GaussianProcessSampler  # Not at the top: scikit-learn takes a second to import.

        return GaussianProcessSampler(seed=seed, n_startup_trials=config.startup_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=config.startup_trials, multivariate=True, constant_liar=True)


def check_sampler(config: SweepConfig) -> int:
    """Return how many trials there will be: `trials`, or fewer where the grid has fewer points.

    Raises:
        UserError: a range without `points`, of which no grid can be made.
    """
    if config.sampler != "grid":
        return config.trials
    points = 1
    for values in grid(config.space).values():
        points *= len(values)
    return min(config.trials, points)


class TrialSampler(BaseSampler):
    """The sampler of a whole sweep: hands each trial to one made for its number, whoever asks and in whatever order.

    Drivers beside each other on one study thus never draw alike, and a trial is suggested again as it was.
    """

    def __init__(self, config: SweepConfig) -> None:
        self._config = config
        self._number = -1
        self._sampler: BaseSampler | None = None

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._sampler is None or trial.number != self._number:
            self._number, self._sampler = trial.number, make_sampler(self._config, trial.number)
        return self._sampler

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let the trial's own sampler prepare it."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the knobs that are drawn together."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw the knobs that are drawn together."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one knob."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)


class _Grid(GridSampler):
    """Optuna's grid, without the call of `Study.stop` that raises when trials are asked for and told."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> Any:
        """Do nothing: the sweep counts its trials itself."""
