"""The samplers a sweep may use. One is made anew for every trial, so that suggestions follow from the record alone."""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING, Any

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler

from search.config import SweepConfig
from search.space import grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState


def make_sampler(config: SweepConfig, trial: int, attempt: int = 0) -> BaseSampler:
    """Make the sampler for the trial with this number, or for a further attempt to find something new for it.

    Its seed follows from the sweep's seed and the number. So a search that is taken up again neither replays its
    first suggestions (as one seeded sampler, made again, would) nor needs a pickled random state.

    Raises:
        SweepError: a range without `points`, of which no grid can be made.
    """
    if config.sampler == "grid":
        # The grid is shuffled by the sweep's own seed: it must be the same grid for every trial.
        return _Grid(grid(config.space), seed=config.seed)
    seed = trial_seed(config.seed, trial, f"sampler/{attempt}" if attempt else "sampler")
    if config.sampler == "random":
        return RandomSampler(seed=seed)
    if config.sampler == "gp":
        from search.gp import GaussianProcessSampler  # Not at the top: scikit-learn takes a second to import.

        return GaussianProcessSampler(seed=seed, n_startup_trials=config.startup_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=config.startup_trials, multivariate=True, constant_liar=True)


def check_sampler(config: SweepConfig) -> int:
    """Return how many trials there will be: `trials`, or fewer where the grid has fewer points.

    Raises:
        SweepError: a range without `points`, of which no grid can be made.
    """
    if config.sampler != "grid":
        return config.trials
    points = 1
    for values in grid(config.space).values():
        points *= len(values)
    return min(config.trials, points)


def trial_seed(sweep_seed: int, trial: int, purpose: str) -> int:
    """Return a seed in 0..2**32-1 that follows from the sweep's seed, the trial's number and the purpose alone."""
    digest = hashlib.sha256(f"{sweep_seed}/{trial}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4])


class _Grid(GridSampler):
    """Optuna's grid, without the call of `Study.stop` that raises when trials are asked for and told."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> Any:
        """Do nothing: the sweep counts its trials itself."""
