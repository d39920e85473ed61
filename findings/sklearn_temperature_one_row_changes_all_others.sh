#!/usr/bin/env bash
# scikit-learn's temperature scaling: one row of probabilities that does not sum to 1 changes the result of every row.
#
# Version        scikit-learn 1.9.1 with numpy 2.4.6 and scipy 1.17.1, Python 3.11 on Linux. Needs a package index.
# Expected guess CalibratedClassifierCV(method="temperature") calls `predict_proba` of the classifier, so it knows that
#                it reads probabilities. What it predicts for a row follows from that row alone. Probabilities rounded
#                to four decimals (a CSV file) give nearly the same temperature as exact ones.
# Behaviour      It decides from the values, once per call: only if all rows of the call lie in [0, 1] and sum to 1
#                (relative tolerance 1e-5), it takes their logarithm; otherwise it scales the probabilities themselves
#                as if they were logits, without a warning. The temperature fitted on rounded probabilities is a fifth
#                of the right one, and at prediction one rounded row makes all other rows of the call nearly uniform.
# Remedy         Fit and predict on logits: the logarithm of the probabilities, in float64.
#
# Output seen:
#   temperature: 0.489 from exact probabilities, 0.092 from the same rounded to 4 decimals
#   highest probability of the first row: 0.527 alone with exact rows, 0.150 beside one rounded row
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install -q --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 || exit 2

cat > check.py <<'PYTHON'
import sys

import numpy as np
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator


class StoredPredictions(ClassifierMixin, BaseEstimator):
    """A network that was trained elsewhere: each row of X is what it predicted for a photo."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]


rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 1000)
logits = rng.normal(size=(1000, 10))
logits[np.arange(1000), labels] += 2
exact = softmax(logits, axis=1)
rounded = exact.round(4)


def calibrated(probabilities):
    network = FrozenEstimator(StoredPredictions().fit(probabilities, labels))
    return CalibratedClassifierCV(network, method="temperature").fit(probabilities, labels)


def temperature(model):
    return 1 / model.calibrated_classifiers_[0].calibrators[0].beta_


model = calibrated(exact)
right, wrong = temperature(model), temperature(calibrated(rounded))
print(f"temperature: {right:.3f} from exact probabilities, {wrong:.3f} from the same rounded to 4 decimals")

off = rounded[np.abs(rounded.sum(axis=1) - 1) > 5e-5][:1]  # a row that rounding leaves at 0.9999 or 1.0001
alone = model.predict_proba(exact[:20])
beside = model.predict_proba(np.vstack([exact[:20], off]))[:20]
print(
    f"highest probability of the first row: {alone[0].max():.3f} alone with exact rows, "
    f"{beside[0].max():.3f} beside one rounded row"
)
sys.exit(0 if wrong < right / 3 and np.abs(alone - beside).max(axis=1).min() > 0.01 else 1)
PYTHON
environment/bin/python check.py
