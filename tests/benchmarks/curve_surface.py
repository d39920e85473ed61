"""What any configuration of the space would have reached on a recorded set: its smoothed curve, and runs' noise.

A Gaussian process over the four knobs, one kernel for all epochs, with as much noise as it finds, on the logits of
val_macro_f1, so that no curve passes 1. What runs of one configuration are off by is taken as it was seen: the
difference of two recorded runs over root two (of logits), of either sign, so that the epochs of a run are off together
as they were.
"""

import itertools
import math
import warnings
from functools import cache
from typing import Any

import numpy as np
from scipy.special import expit, logit
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from tests.benchmarks.curve_sets import EPOCHS, KNOBS, CurveSet, read_sets

# The whole space of default.yaml, finely: where its best is looked for.
FINE = {
    "learning_rate": [float(rate) for rate in np.geomspace(3e-5, 1e-3, 16)],
    "dropout": [float(rate) for rate in np.linspace(0, 0.6, 7)],
    "dense_units": [0, 256],
    "unfrozen_layers": [0, 31, 62],
}


class Surface:
    """One set's expected val_macro_f1 by epoch, and its noise."""

    def __init__(self, curves: CurveSet) -> None:
        self.name = curves.name
        self._processes = {}
        for dense in sorted({curve.knobs["dense_units"] for curve in curves.curves}):
            # Apart, because a dense layer costs so much that all else would pass for noise beside it.
            chosen = [curve for curve in curves.curves if curve.knobs["dense_units"] == dense]
            self._processes[dense] = fitted(
                np.array([features(curve.knobs) for curve in chosen]), logit([curve.values for curve in chosen])
            )
        self.probe = curves.probe
        self._noise = noise(curves)
        self._known: dict[tuple[float, ...], np.ndarray] = {}
        points = [dict(zip(KNOBS, point, strict=True)) for point in itertools.product(*FINE.values())]
        self.best = float(max(self.expected(point).max() for point in points))
        # The standard deviation of one epoch of a run of the best configuration; NaN where nothing was run twice.
        squares = float(np.mean(self._noise**2)) if len(self._noise) else math.nan
        self.spread = math.sqrt(squares) * self.best * (1 - self.best)
        self.whole = bool(len(self._noise)) and len(curves.curves[0].values) == EPOCHS

    def expected(self, knobs: dict[str, Any]) -> np.ndarray:
        """Return the expected values of epochs 1, 2, …, float64."""
        key = identity(knobs)
        if key not in self._known:
            logits = self._processes[knobs["dense_units"]].predict(np.array([key[1:]]))[0]
            self._known[key] = np.atleast_1d(expit(logits))
        return self._known[key]

    def run(self, knobs: dict[str, Any], seed: int) -> list[float]:
        """Return what a run with that seed reports by epoch."""
        random = np.random.default_rng(seed)
        off = self._noise[random.integers(len(self._noise))] * random.choice([-1.0, 1.0])
        return [float(value) for value in expit(logit(self.expected(knobs)) + off)]


def fitted(rows: np.ndarray, values: np.ndarray) -> GaussianProcessRegressor:
    """Fit the process to values, float64 [runs, epochs], of features, float64 [runs, 3]."""
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(np.ones(rows.shape[1]), (0.5, 20.0)) + WhiteKernel(0.1, (1e-2, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True, n_restarts_optimizer=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # A length at its bound: the knob does not matter.
        return process.fit(rows, values)


def features(knobs: dict[str, Any]) -> tuple[float, ...]:
    """Return the knobs on scales of about one; without unfrozen layers there is no learning rate of the backbone's."""
    depth = float(knobs["unfrozen_layers"]) / 31
    rate = math.log10(float(knobs["learning_rate"]) / 2e-4) if depth else 0.0
    return (rate / 0.6, (float(knobs["dropout"]) - 0.3) / 0.2, depth - 1.0)


def noise(curves: CurveSet) -> np.ndarray:
    """Return what the logits of single runs are off by: float64 [repeated configurations, epochs]."""
    first = {identity(curve.knobs): logit(np.array(curve.values)) for curve in curves.curves if curve.seed == 0}
    again = {identity(curve.knobs): logit(np.array(curve.values)) for curve in curves.curves if curve.seed != 0}
    return np.array([(again[key] - first[key]) / math.sqrt(2) for key in again.keys() & first.keys()])


def identity(knobs: dict[str, Any]) -> tuple[float, ...]:
    return (float(knobs["dense_units"]), *features(knobs))


@cache
def surfaces() -> tuple[Surface, ...]:
    """Return those of all recorded sets."""
    return tuple(Surface(curves) for curves in read_sets())
