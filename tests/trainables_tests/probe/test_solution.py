"""trainables/probe/solution.py: standardisation, logits, one file."""

from pathlib import Path

import numpy as np
from sklearn.preprocessing import StandardScaler

from trainables.probe.solution import Solution, standardisation


def test_features_are_standardised_as_scikit_learn_does_and_constant_ones_stay_finite() -> None:
    features = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    features[:, 2] = 0.1
    mean, deviation = standardisation(features)
    expected = StandardScaler().fit(features[:, [0, 1, 3]].astype(float))
    np.testing.assert_allclose(mean[[0, 1, 3]], expected.mean_, rtol=1e-6)
    np.testing.assert_allclose(deviation[[0, 1, 3]], expected.scale_, rtol=1e-6)
    assert deviation[2] == 1


def test_a_solution_is_saved_and_loaded_whole(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    shapes = ((5,), (5,), (5, 3), (3,))
    solution = Solution(("mixed0", "mixed1"), *(generator.random(shape, np.float32) for shape in shapes))
    solution.save(tmp_path / "solution.npz")
    loaded = Solution.load(tmp_path / "solution.npz")
    assert loaded.depths == solution.depths
    features = generator.random((7, 5), np.float32)
    np.testing.assert_array_equal(loaded.logits(features), solution.logits(features))
    expected = (features - solution.mean) / solution.deviation @ solution.kernel + solution.bias
    np.testing.assert_allclose(solution.logits(features), expected, rtol=1e-5)
    assert [file.name for file in tmp_path.iterdir()] == ["solution.npz"]
