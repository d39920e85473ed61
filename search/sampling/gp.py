"""A Gaussian-process sampler on scikit-learn: Optuna's own needs torch, which Raretune does not install."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.study import StudyDirection
from optuna.trial import TrialState
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

Points = npt.NDArray[np.float64]
Space = dict[str, BaseDistribution]

# Fitting costs the cube of the number of trials; beyond this many, only the latest are used.
_MOST_TRIALS = 300
_CANDIDATES = 512
_NEAR_THE_BEST = 128


class GaussianProcessSampler(BaseSampler):
    """Suggests the candidate with the greatest expected improvement (Jones et al. 1998) under a Matérn-5/2 process.

    Ranges are scaled to 0..1 (logarithmically where the range is), choices are one-hot. A trial that was stopped
    early counts with its last value; one that is running counts as average, so that trials beside each other differ.
    The first `n_startup_trials` are random.
    """

    def __init__(self, seed: int, n_startup_trials: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self._n_startup_trials = n_startup_trials
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """Return the knobs that all trials so far share."""
        space = intersection_search_space(study.get_trials(deepcopy=False), include_pruned=True)
        return {name: knob for name, knob in space.items() if not knob.single()}

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> dict[str, Any]:
        """Suggest all knobs together; nothing during the start-up, when each is drawn at random."""
        known = [
            t for t in study.get_trials(deepcopy=False) if _has_value(t) and search_space.keys() <= t.params.keys()
        ]
        if len(known) < self._n_startup_trials or not search_space:
            return {}
        known = known[-_MOST_TRIALS:]
        sign = 1.0 if study.direction == StudyDirection.MAXIMIZE else -1.0
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        beside = [t.params for t in running if t.number != trial.number and search_space.keys() <= t.params.keys()]
        scores = np.array([sign * float(t.value or 0.0) for t in known])
        points = _encode([*(t.params for t in known), *beside], search_space)
        scores = np.concatenate([scores, np.full(len(beside), scores.mean())])
        candidates = self._candidates(known[int(np.argmax(scores[: len(known)]))].params, search_space)
        # One thread: the matrices are small, and the cores belong to the trials.
        with threadpool_limits(1):
            process = _fit(points, scores, self._seed)
            gains = expected_improvement(process, _encode(candidates, search_space), scores.max())
        return candidates[int(np.argmax(gains))]

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one knob at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _candidates(self, best: dict[str, Any], space: Space) -> list[dict[str, Any]]:
        """Random points everywhere, and points near the best one."""
        everywhere = [{name: self._draw(knob) for name, knob in space.items()} for _ in range(_CANDIDATES)]
        near = [{name: self._nudge(knob, best[name]) for name, knob in space.items()} for _ in range(_NEAR_THE_BEST)]
        return everywhere + near

    def _draw(self, knob: BaseDistribution) -> Any:
        if isinstance(knob, CategoricalDistribution):
            return knob.choices[int(self._rng.integers(len(knob.choices)))]
        return _from_unit(knob, float(self._rng.random()))

    def _nudge(self, knob: BaseDistribution, value: Any) -> Any:
        if isinstance(knob, CategoricalDistribution):
            return self._draw(knob) if self._rng.random() < 0.2 else value
        return _from_unit(knob, float(np.clip(_to_unit(knob, value) + self._rng.normal(0, 0.1), 0, 1)))


def expected_improvement(process: GaussianProcessRegressor, candidates: Points, best: float) -> Points:
    """Return how much better than `best` each candidate [n, d] is expected to be, float64 [n], never negative."""
    mean, deviation = process.predict(candidates, return_std=True)
    deviation = np.maximum(deviation, 1e-12)
    z = (mean - best) / deviation
    gains: Points = (mean - best) * norm.cdf(z) + deviation * norm.pdf(z)
    return np.maximum(gains, 0.0)


def _fit(points: Points, scores: Points, seed: int) -> GaussianProcessRegressor:
    lengths = np.full(points.shape[1], 0.5)
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern(lengths, (0.05, 10.0), nu=2.5) + WhiteKernel(1e-2, (1e-5, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=1, random_state=seed)
    with warnings.catch_warnings():
        # Few points often put a length at its bound, which is what the bound is for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return process.fit(points, scores)


def _has_value(trial: FrozenTrial) -> bool:
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    return ended and bool(trial.values) and math.isfinite(trial.values[0])


def _encode(params: list[dict[str, Any]], space: Space) -> Points:
    """Return a row per point: one column per range, one per choice."""
    return np.array([[part for name, knob in space.items() for part in _parts(knob, row[name])] for row in params])


def _parts(knob: BaseDistribution, value: Any) -> list[float]:
    if isinstance(knob, CategoricalDistribution):
        return [float(choice == value and type(choice) is type(value)) for choice in knob.choices]
    return [_to_unit(knob, value)]


def _to_unit(knob: BaseDistribution, value: float) -> float:
    assert isinstance(knob, FloatDistribution | IntDistribution)
    if knob.log:
        return (math.log(value) - math.log(knob.low)) / (math.log(knob.high) - math.log(knob.low))
    return (value - knob.low) / (knob.high - knob.low)


def _from_unit(knob: BaseDistribution, unit: float) -> float | int:
    assert isinstance(knob, FloatDistribution | IntDistribution)
    if knob.log:
        value = math.exp(math.log(knob.low) + unit * (math.log(knob.high) - math.log(knob.low)))
    else:
        value = knob.low + unit * (knob.high - knob.low)
    if knob.step and not knob.log:
        value = knob.low + round((value - knob.low) / knob.step) * knob.step
    value = min(max(value, knob.low), knob.high)
    return round(value) if isinstance(knob, IntDistribution) else value
