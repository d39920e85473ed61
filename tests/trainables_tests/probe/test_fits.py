"""trainables/probe/fits.py against scikit-learn's own fits."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from trainables.probe.fits import ABSENT, discriminant, log_softmax, logistic_path


def drawn(photos: int, width: int, families: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.concatenate([np.arange(families), generator.integers(0, families, photos - families)])
    features = generator.standard_normal((photos, width)) + 0.5 * generator.standard_normal((families, width))[labels]
    return features.astype(np.float32), labels


@pytest.mark.parametrize("families", [2, 4])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("width", [20, 150])
def test_logistic_regression_is_scikit_learns_whether_photos_or_features_are_more(
    width: int, balanced: bool, families: int
) -> None:
    features, labels = drawn(60, width, families)
    weight = "balanced" if balanced else None
    theirs = LogisticRegression(C=0.1, class_weight=weight, tol=1e-8, max_iter=10_000).fit(features, labels)
    *_, ours = logistic_path([features], labels, families, balanced, [0.01, 0.1])
    given = np.exp(log_softmax(features @ ours.kernel + ours.bias))
    np.testing.assert_allclose(given, theirs.predict_proba(features), atol=2e-3)


@pytest.mark.parametrize("width", [20, 150])
def test_tables_side_by_side_are_fitted_as_one(width: int) -> None:
    features, labels = drawn(60, width, 4)
    tables = [features[:, :7], features[:, 7:]]
    [one], [several] = (logistic_path(given, labels, 4, True, [0.1]) for given in ([features], tables))
    np.testing.assert_allclose(several.kernel, one.kernel, atol=1e-4)
    np.testing.assert_allclose(several.logits(tables), features @ one.kernel + one.bias, atol=1e-3)


@pytest.mark.parametrize(("photos", "width", "families"), [(300, 900, 20), (800, 400, 40)])
def test_the_order_of_the_features_does_not_decide_where_the_steps_end(photos: int, width: int, families: int) -> None:
    features, labels = drawn(photos, width, families)
    turned = features[:, ::-1]
    pairs = [logistic_path([given], labels, families, True, [0.1, 1.0, 10.0]) for given in (features, turned)]
    for one, other in zip(*pairs, strict=True):
        np.testing.assert_allclose(one.logits([features]), other.logits([turned]), atol=5e-5)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("width", [20, 150])
def test_discriminant_analysis_is_scikit_learns(width: int, balanced: bool) -> None:
    features, labels = drawn(60, width, 4)
    priors = [0.25] * 4 if balanced else None
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3, priors=priors).fit(features.astype(float), labels)
    dual, bias = discriminant(features @ features.T, labels, 4, width, balanced, 0.3)
    given = features @ (features.T @ dual) + bias
    np.testing.assert_allclose(given, theirs.decision_function(features), atol=1e-3)


def test_a_family_without_photos_is_never_the_answer() -> None:
    features, labels = drawn(60, 150, 3)
    labels[labels == 1] = 2
    [logistic] = logistic_path([features], labels, 3, True, [1.0])
    dual, bias = discriminant(features @ features.T, labels, 3, 150, True, 0.9)
    for given in (features @ logistic.kernel + logistic.bias, features @ (features.T @ dual) + bias):
        assert set(given.argmax(axis=1)) == {0, 2}
        assert (given[:, 1] == ABSENT).all()


@pytest.mark.parametrize("photos_of", [[1, 1], [1, 30], [1, 1, 1, 20]], ids=str)
def test_families_of_one_photo_are_fitted(photos_of: list[int]) -> None:
    labels = np.repeat(np.arange(len(photos_of)), photos_of)
    features = (5 * np.eye(len(photos_of))[labels]).astype(np.float32)
    features = np.hstack([features, np.zeros_like(features)])  # Constant features among them.
    [logistic] = logistic_path([features], labels, len(photos_of), True, [1.0])
    dual, bias = discriminant(features @ features.T, labels, len(photos_of), features.shape[1], True, 0.9)
    for given in (features @ logistic.kernel + logistic.bias, features @ (features.T @ dual) + bias):
        assert given.argmax(axis=1).tolist() == labels.tolist()


def test_features_that_say_nothing_give_finite_logits() -> None:
    features, labels = np.zeros((12, 30), np.float32), np.arange(12) % 3
    [logistic] = logistic_path([features], labels, 3, True, [1.0])
    dual, bias = discriminant(features @ features.T, labels, 3, 30, True, 0.9)
    assert np.isfinite(logistic.kernel).all()
    assert np.isfinite(features.T @ dual).all() and np.isfinite(bias).all()
