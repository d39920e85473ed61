"""trainables/guarantee.py: what is promised holds on average over a thousand repeats."""

import numpy as np
import pytest

from trainables.guarantee import (
    FALSE_ALARMS,
    Guarantee,
    calibration_error,
    fit_guarantee,
    fit_temperature,
    measure,
)

FAMILIES, HELD_OUT, NEW = 12, 60, 200
COUNTS = np.array([200, 120, 80, 50, 30, 20, 15, 10, 8, 6, 4, 3])


def photos(
    random: np.random.Generator, count: int, sharpness: float = 2.0, overconfidence: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits [count, FAMILIES] and labels of photos of a long tail; honest ones where `overconfidence` is 1."""
    labels = random.choice(FAMILIES, count, p=COUNTS / COUNTS.sum())
    seen = random.normal(size=(count, FAMILIES)) + sharpness * np.eye(FAMILIES)[labels]
    # The posterior of this Gaussian model.
    return overconfidence * (sharpness * seen + np.log(COUNTS / COUNTS.sum())), labels


def test_a_set_holds_the_family_as_often_as_is_asked_over_a_thousand_repeats() -> None:
    random, alarms = np.random.default_rng(0), []
    covered: dict[float, list[float]] = {0.8: [], 0.9: [], 0.97: []}
    for _ in range(1000):
        held_out, (logits, labels) = photos(random, HELD_OUT, 2.0, 2.5), photos(random, NEW, 2.0, 2.5)
        guarantee = fit_guarantee(*held_out, COUNTS)
        for coverage, found in covered.items():
            sets = guarantee.sets(guarantee.probabilities(logits), coverage)
            found.append(sets[np.arange(NEW), labels].mean())
        alarms.append(guarantee.unknown(logits, None).mean())
    # Standard error of the mean of a thousand: below 0.002. The likeliest family, always in, adds some points at 0.8.
    for coverage, found in covered.items():
        assert coverage - 0.004 < np.mean(found) < coverage + 0.05
    assert FALSE_ALARMS - 1 / (HELD_OUT + 1) - 0.004 < np.mean(alarms) <= FALSE_ALARMS + 0.002


def test_rare_families_are_covered_as_well_as_common_ones() -> None:
    """With the probability itself as the score, the rare half is covered 20 points less often than the others."""
    random, rare, common, plain = np.random.default_rng(1), [], [], []
    for _ in range(100):
        held_out, (logits, labels) = photos(random, 300), photos(random, 600)
        guarantee = fit_guarantee(*held_out, COUNTS)
        as_usual = guarantee.model_copy(update={"shares": (1 / FAMILIES,) * FAMILIES})
        own = as_usual.probabilities(held_out[0])[np.arange(300), held_out[1]]
        as_usual = as_usual.model_copy(update={"scores": tuple(np.sort(np.log(1 / FAMILIES) - np.log(own)))})
        for one, found in ((guarantee, rare), (as_usual, plain)):
            covered = one.sets(one.probabilities(logits), 0.9)[np.arange(600), labels]
            found.append(covered[labels >= 6].mean())
            if one is guarantee:
                common.append(covered[labels < 6].mean())
    assert np.mean(common) > 0.88 and np.mean(rare) > np.mean(common) - 0.02
    assert np.mean(plain) < np.mean(rare) - 0.1


def test_no_set_is_empty_and_too_few_photos_give_full_ones() -> None:
    logits, labels = photos(np.random.default_rng(2), 400, 6.0)
    guarantee = fit_guarantee(logits, labels, COUNTS)
    for coverage in (0.01, 0.5):  # A model that is nearly always right would give empty sets.
        sets = guarantee.sets(guarantee.probabilities(logits), coverage)
        assert sets.sum(axis=1).min() == 1
        assert (sets.argmax(axis=1) == logits.argmax(axis=1))[sets.sum(axis=1) == 1].all()
    few = fit_guarantee(logits[:8], labels[:8], COUNTS)
    assert few.sets(few.probabilities(logits), 0.9).all()
    assert few.evidence_below is None and not few.unknown(logits, None).any()


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_was_done_to_honest_logits(factor: float) -> None:
    logits, labels = photos(np.random.default_rng(3), 20_000, overconfidence=factor)
    assert fit_temperature(logits.astype(np.float32), labels) == pytest.approx(factor, rel=0.03)
    guarantee = fit_guarantee(logits, labels, COUNTS)
    probabilities = guarantee.probabilities(logits)
    assert calibration_error(probabilities.max(axis=1), logits.argmax(axis=1) == labels) < 0.01
    # The same from the network's own probabilities, which are all that an exported model gives.
    again = guarantee.probabilities(np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)))
    np.testing.assert_allclose(again, probabilities, atol=1e-9)


def test_ten_photos_all_right_make_no_model_certain() -> None:
    logits = 3.0 * np.eye(4)[np.arange(10) % 4]
    assert 0.4 < fit_temperature(logits, np.arange(10) % 4) < 1


def test_what_speaks_for_no_family_is_unknown() -> None:
    random = np.random.default_rng(4)
    guarantee = fit_guarantee(*photos(random, 300, 6.0), COUNTS)
    strange = 6.0 * random.normal(size=(200, FAMILIES)) + np.log(COUNTS / COUNTS.sum())
    assert guarantee.unknown(strange, None).mean() > 0.95


def test_long_features_that_speak_for_little_are_unknown() -> None:
    random = np.random.default_rng(7)
    logits, labels = photos(random, 600, 4.0)
    lengths = random.normal(10, 1, 600)
    guarantee = fit_guarantee(logits[:300], labels[:300], COUNTS, lengths[:300])
    assert guarantee.unknown(logits[300:], lengths[300:]).mean() < 0.1
    # The same logits of features ten times as long: what is seen is strong, and little of it is of these families.
    assert guarantee.unknown(logits[300:], 10 * lengths[300:]).mean() > 0.2
    # A number added to all logits of a photo says nothing.
    shifted = logits + random.normal(size=(600, 1))
    assert (guarantee.unknown(shifted, lengths) == guarantee.unknown(logits, lengths)).all()


def test_the_figures_are_those_of_the_sets() -> None:
    random = np.random.default_rng(5)
    guarantee = fit_guarantee(*photos(random, 300, overconfidence=2.0), COUNTS)
    logits, labels = photos(random, 500, overconfidence=2.0)
    found = measure(guarantee, logits, labels, COUNTS < 40)
    sets = guarantee.sets(guarantee.probabilities(logits), 0.9)
    covered = sets[np.arange(500), labels]
    assert found.coverage.value == covered.mean() and found.size == sets.sum() / 500
    assert found.rare.value == covered[labels >= 4].mean() and found.rare_photos == (labels >= 4).sum()
    assert found.error < found.error_before / 2
    assert found.as_json()["coverage"]["low"] == found.coverage.low


def test_it_is_kept_as_json_to_the_last_bit() -> None:
    guarantee = fit_guarantee(*photos(np.random.default_rng(6), 50), COUNTS)
    assert Guarantee.model_validate_json(guarantee.model_dump_json()) == guarantee
