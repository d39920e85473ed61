"""The samplers, made anew for every trial, from its seed alone.

An entry in search/config/registry.py names the function here that builds a sampler.
"""

import math
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pkgutil import resolve_name

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from search.config import space
from search.config.registry import SAMPLERS
from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from trainables.errors import UserError


def make_sampler(config: SweepConfig, trial: int, attempt: int = 0, driver: str | None = None) -> BaseSampler:
    """Make the sampler for the trial with this number, or for a further attempt to find something new for it.

    Its seed follows from the sweep's seed and the number. So a resumed search neither replays its first suggestions (as
    one seeded sampler, made again, would) nor needs a pickled random state.
    """
    # Drivers beside each other on one study may ask for the same number at once, and must not draw alike.
    purpose = "/".join(["sampler", *([str(attempt)] if attempt else []), *([driver] if driver else [])])
    sampler: BaseSampler = resolve_name(SAMPLERS[config.sampler].build)(config, trial_seed(config.seed, trial, purpose))
    return sampler


def check_sampler(config: SweepConfig) -> int:
    """Return how many trials there will be: `trials`, or fewer where the grid has fewer points.

    Raises:
        UserError: a range without `points` makes no grid, or a package that the sampler needs is not installed.
    """
    kind = SAMPLERS[config.sampler]
    if kind.needs is not None and find_spec(kind.needs[0]) is None:
        package, file = kind.needs
        raise UserError(f"sampler: {config.sampler} needs {package}, which is not installed: pip install -r {file}")
    if not kind.grid:
        return config.trials
    return min(config.trials, math.prod(map(len, space.grid(config.space).values())))


def tpe(config: SweepConfig, seed: int) -> BaseSampler:
    """Multivariate TPE, which takes running trials for bad ones, so that those beside each other differ.

    Multivariate with two objectives too: Optuna's default for them found no more (tests/benchmarks/LOG.md).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(seed=seed, n_startup_trials=config.startup_trials, multivariate=True, constant_liar=True)


def random(config: SweepConfig, seed: int) -> BaseSampler:
    """Every knob by itself."""
    return RandomSampler(seed=seed)


def grid(config: SweepConfig, seed: int) -> BaseSampler:
    """Every point once, shuffled by the sweep's own seed: it must be the same grid for every trial."""
    return _Grid(space.grid(config.space), seed=config.seed)


def gp(config: SweepConfig, seed: int) -> BaseSampler:
    """A Gaussian process with log expected improvement, which counts on trials that run beside."""
    return GPSampler(seed=seed, n_startup_trials=config.startup_trials)


class _Grid(GridSampler):
    """Optuna's grid, without the call of `Study.stop` that raises when trials are asked for and told."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do nothing: the sweep counts its trials itself."""
