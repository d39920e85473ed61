"""search/sampling/gp.py: the Gaussian-process sampler learns, respects the space, and keeps beside-trials apart."""

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.gaussian_process import GaussianProcessRegressor

from search.sampling.gp import GaussianProcessSampler, expected_improvement

SPACE = {
    "rate": FloatDistribution(1e-5, 1e-1, log=True),
    "drop": FloatDistribution(0.0, 0.6, step=0.1),
    "layers": IntDistribution(0, 60, step=20),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}


def score(params: dict[str, float]) -> float:
    """Best, 1, at rate 1e-3, drop 0.3 and kind b."""
    return 1 - 0.1 * (math.log10(params["rate"]) + 3) ** 2 - (params["drop"] - 0.3) ** 2 - 0.2 * (params["kind"] != "b")


def search(sampler: str, seed: int, trials: int = 25) -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    for number in range(trials):
        gp = GaussianProcessSampler(seed * 1000 + number, n_startup_trials=8)
        study.sampler = gp if sampler == "gp" else optuna.samplers.RandomSampler(seed=seed * 1000 + number)
        trial = study.ask(fixed_distributions=SPACE)
        study.tell(trial, score(trial.params))
    return study


def test_it_finds_better_points_than_chance_and_stays_in_the_space() -> None:
    learned, chance = ([search(sampler, seed).best_value for seed in range(2)] for sampler in ("gp", "random"))
    assert np.mean(learned) > np.mean(chance) + 0.01
    for trial in search("gp", 7).trials:
        assert all(knob._contains(knob.to_internal_repr(trial.params[name])) for name, knob in SPACE.items())


def test_a_minimised_objective_is_minimised() -> None:
    study = optuna.create_study(direction="minimize")
    for number in range(20):
        study.sampler = GaussianProcessSampler(number, n_startup_trials=6)
        trial = study.ask(fixed_distributions={"rate": SPACE["rate"]})
        study.tell(trial, (math.log10(trial.params["rate"]) + 3) ** 2)
    late = [abs(math.log10(trial.params["rate"]) + 3) for trial in study.trials[-6:]]
    assert np.median(late) < 0.5


def test_trials_beside_each_other_differ() -> None:
    study = search("gp", 1, trials=12)
    study.sampler = GaussianProcessSampler(99, n_startup_trials=8)
    first = study.ask(fixed_distributions=SPACE)
    second = study.ask(fixed_distributions=SPACE)
    assert first.params != second.params


def test_expected_improvement_is_the_textbooks() -> None:
    process = GaussianProcessRegressor().fit(np.array([[0.0], [1.0]]), np.array([0.0, 1.0]))
    at = np.array([[0.5], [1.0]])
    mean, deviation = process.predict(at, return_std=True)
    draws = np.random.default_rng(0).normal(mean[0], deviation[0], 200_000)
    gains = expected_improvement(process, at, best=0.8)
    assert gains[0] == pytest.approx(np.maximum(draws - 0.8, 0).mean(), abs=2e-3)
    assert gains[1] == pytest.approx(0.2, abs=1e-3)
