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

from tests.benchmarks.curve_sets import KNOBS, CurveSet, read_sets

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
        rows = np.array([features(curve.knobs) for curve in curves.curves])
        values = logit(np.array([curve.values for curve in curves.curves]))
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(np.ones(rows.shape[1]), (0.3, 30.0))
        self._process = GaussianProcessRegressor(
            kernel + WhiteKernel(0.1, (1e-3, 1.0)), normalize_y=True, n_restarts_optimizer=2, random_state=0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # A length at its bound: the knob does not matter.
            self._process.fit(rows, values)
        self.probe = curves.probe
        self._noise = noise(curves)
        self._known: dict[tuple[float, ...], np.ndarray] = {}
        points = [dict(zip(KNOBS, point, strict=True)) for point in itertools.product(*FINE.values())]
        self.best = float(expit(self._process.predict(np.array([features(point) for point in points]))).max())
        # The standard deviation of one epoch of a run of the best configuration.
        self.spread = float(np.sqrt(np.mean(self._noise**2))) * self.best * (1 - self.best)

    def expected(self, knobs: dict[str, Any]) -> np.ndarray:
        """Return the expected values of epochs 1, 2, …, float64."""
        key = features(knobs)
        if key not in self._known:
            self._known[key] = expit(self._process.predict(np.array([key]))[0])
        return self._known[key]

    def run(self, knobs: dict[str, Any], seed: int) -> list[float]:
        """Return what a run with that seed reports by epoch."""
        random = np.random.default_rng(seed)
        off = self._noise[random.integers(len(self._noise))] * random.choice([-1.0, 1.0])
        return [float(value) for value in expit(logit(self.expected(knobs)) + off)]


def features(knobs: dict[str, Any]) -> tuple[float, ...]:
    """Return the knobs on scales of about one; without unfrozen layers there is no learning rate of the backbone's."""
    depth = float(knobs["unfrozen_layers"]) / 31
    rate = math.log10(float(knobs["learning_rate"]) / 2e-4) if depth else 0.0
    return (rate / 0.6, (float(knobs["dropout"]) - 0.3) / 0.2, 1.0 if knobs["dense_units"] else -1.0, depth - 1.0)


def noise(curves: CurveSet) -> np.ndarray:
    """Return what the logits of single runs are off by: float64 [repeated configurations, epochs]."""
    first = {features(curve.knobs): logit(np.array(curve.values)) for curve in curves.curves if curve.seed == 0}
    again = {features(curve.knobs): logit(np.array(curve.values)) for curve in curves.curves if curve.seed != 0}
    return np.array([(again[key] - first[key]) / math.sqrt(2) for key in again.keys() & first.keys()])


@cache
def surfaces() -> tuple[Surface, ...]:
    """Return those of all recorded sets."""
    return tuple(Surface(curves) for curves in read_sets())
