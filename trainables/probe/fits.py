"""Fits of linear classifiers in the space of the photos, which are fewer than the features.

With G = X Xᵀ, [photos, photos], all that a linear classifier with an L2 penalty needs of its features X is G. Logistic
regression is invariant under rotation, so it is fitted on a triangular root of G instead of X (Hastie and Tibshirani
2004, "Efficient quadratic regularization for expression arrays"); discriminant analysis with a shrunk covariance is
solved in G by the Woodbury identity. G of several depths side by side is the sum of theirs.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

ABSENT = -20.0  # the logit of a family without a photo to fit on
MOST_STEPS = 300
# Added to G's diagonal, as a part of it: centred features make G singular, and rounding a little less than that.
_JITTERS = (1e-7, 1e-6, 1e-5, 1e-4)


class Linear(NamedTuple):
    """Logits = features @ `kernel` + `bias`: float32 [features, classes] and [classes]."""

    kernel: Floats
    bias: Floats

    def logits(self, features: Sequence[Floats]) -> Floats:
        """Logits [n, classes] of features in tables side by side."""
        found = np.tile(self.bias, (len(features[0]), 1))
        end = 0
        for table in features:
            begin, end = end, end + table.shape[1]
            found += table @ self.kernel[begin:end]
        return found

    def over(self, classes: int, present: Ints) -> "Linear":
        """The same for all of `classes`, of which only `present` were there to fit on."""
        kernel = np.zeros((len(self.kernel), classes), np.float32)
        bias = np.full(classes, ABSENT, np.float32)
        kernel[:, present], bias[present] = self.kernel, self.bias
        return Linear(kernel, bias)


def logistic_path(
    features: Sequence[Floats], labels: Ints, classes: int, balanced: bool, strengths: Sequence[float]
) -> Iterator[Linear]:
    """Multinomial logistic regression, scikit-learn's, at each C of `strengths`, each starting from the one before.

    Args:
        features: float32 [n, features], standardised, in tables side by side, which are not copied where `n` is less.
        balanced: weigh families as scikit-learn's class_weight="balanced" does.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    root = _root(features) if len(labels) < sum(table.shape[1] for table in features) else None
    # In float64: in float32 the steps end by chance where nearly all is separable, after six or eleven of them.
    rotated = np.concatenate(features, axis=1, dtype=np.float64) if root is None else root
    present = np.unique(labels)
    model = LogisticRegression(
        warm_start=True, max_iter=MOST_STEPS, class_weight="balanced" if balanced else None, random_state=0
    )
    for strength in strengths:
        model.C = strength
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # What it reaches in so many steps is judged as it is.
            model.fit(rotated, labels)
        weights, bias = model.coef_.T, model.intercept_
        if len(present) == 2:  # One column: the log odds of the second family.
            weights, bias = np.hstack([-weights, weights]) / 2, np.append(-bias, bias) / 2
        if root is not None:
            dual = solve_triangular(root, weights, lower=True, trans="T", check_finite=False).astype(np.float32)
            weights = np.concatenate([table.T @ dual for table in features])
        yield Linear(np.asarray(weights, np.float32), np.asarray(bias, np.float32)).over(classes, present)


def discriminant(gram: Floats, labels: Ints, classes: int, width: int, balanced: bool, shrinkage: float) -> Linear:
    """Linear discriminant analysis with a shrunk covariance: scikit-learn's with solver "lsqr" and this shrinkage.

    Args:
        gram: float32 [n, n], the inner products of the photos' standardised features, of which there are `width`.
        balanced: give all families the same prior, else their share of the photos.

    Returns:
        In the place of the kernel its coordinates over the photos, float32 [n, classes]: the kernel is features.T @
        these, and the logits of others are their inner products with the photos @ these, plus the bias.
    """
    present, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    priors = np.full(len(present), 1 / len(present)) if balanced else counts / len(labels)
    share = np.eye(len(present), dtype=np.float32)[place] / counts.astype(np.float32)  # [n, present]: means = shareᵀ X
    from_means = gram @ share
    weight = np.sqrt(priors / counts)[place].astype(np.float32)[:, None]
    means = share.T @ from_means
    # Z = weight (X - its family's mean): the covariance is Zᵀ Z, and Z Zᵀ follows from G.
    towards = weight * (from_means - means[place])  # Z · meansᵀ
    within = gram - from_means[:, place]  # Then in place: each of its terms is as large as G.
    within -= from_means.T[place]
    within += means[place][:, place]
    within *= weight
    within *= weight.T
    spread = float(np.trace(within)) or float(np.trace(gram)) / len(labels) or 1.0
    ridge = np.float32(shrinkage * spread / width)
    within *= 1 - shrinkage
    within[np.diag_indices_from(within)] += ridge
    solved = weight * cho_solve(cho_factor(within, lower=True, overwrite_a=True, check_finite=False), towards)
    # Back from Z to X: each row of Z holds its photo, less the mean of its family.
    solved -= share @ (np.eye(len(present), dtype=np.float32)[place].T @ solved)
    dual = (share - (1 - shrinkage) * solved) / ridge
    bias = np.log(priors) - 0.5 * np.einsum("ij,ij->j", from_means, dual)
    return Linear(np.asarray(dual, np.float32), np.asarray(bias, np.float32)).over(classes, present)


def _root(features: Sequence[Floats]) -> npt.NDArray[np.float64]:
    """A lower triangular root of G: the features, rotated, float64 [n, n]."""
    products = np.zeros((len(features[0]), len(features[0])), np.float32)
    for table in features:
        products += table @ table.T
    for jitter in _JITTERS:
        gram = products.astype(np.float64, order="F")  # In Fortran's order it becomes the root in place.
        gram[np.diag_indices_from(gram)] += jitter * (float(gram.diagonal().mean()) or 1.0)
        try:
            return np.asarray(cholesky(gram, lower=True, overwrite_a=True, check_finite=False))
        except LinAlgError:
            continue
    raise LinAlgError("the features' inner products are not finite")


def log_softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Log probabilities of logits [n, classes], row by row."""
    shifted: npt.NDArray[Any] = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
