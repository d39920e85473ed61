"""trainables/probe/choice.py: which depths are looked at, and what decides."""

import numpy as np
import pytest

from trainables.probe import choice
from trainables.probe.choice import LOGISTIC, Features, Parting, choose, fit, rank


def drawn(telling: int, depths: int = 4, photos: int = 120) -> Features:
    """Noise at every depth, and at depth number `telling` features that tell three families apart."""
    generator = np.random.default_rng(0)
    labels = np.arange(photos) % 3
    noise = {f"depth{number}": generator.standard_normal((photos, 30)).astype(np.float32) for number in range(depths)}
    noise[f"depth{telling}"][:, :3] += 4 * np.eye(3, dtype=np.float32)[labels]
    return Features(noise, labels, 3)


PARTING = [Parting(np.arange(80), np.arange(80, 120))]


@pytest.mark.parametrize("telling", [0, 2])
def test_the_depth_that_tells_families_apart_is_found_wherever_it_lies(telling: int) -> None:
    (chosen, _), tried = choose(drawn(telling), PARTING, "balanced", lambda line: None)
    assert f"depth{telling}" in chosen.depths
    assert chosen.macro_f1 > 0.9
    assert chosen.classifier == LOGISTIC
    assert chosen.macro_f1 == max(row.macro_f1 for row in tried if row.classifier == LOGISTIC)
    singles = {row.depths for row in tried if len(row.depths) == 1}
    assert singles == {(f"depth{number}",) for number in range(4)}


def test_equal_macro_f1_is_decided_by_cross_entropy() -> None:
    (chosen, _), tried = choose(drawn(1), PARTING, "balanced", lambda line: None)
    equal = [row for row in tried if row.classifier == LOGISTIC and row.macro_f1 == chosen.macro_f1]
    assert len(equal) > 1
    assert chosen.cross_entropy == min(row.cross_entropy for row in equal)


def test_folds_judge_every_photo_once() -> None:
    features, every = drawn(1), np.arange(120)
    folds = [
        Parting(np.flatnonzero(every % 9 // 3 != fold), np.flatnonzero(every % 9 // 3 == fold)) for fold in range(3)
    ]
    [best, *_] = sorted(rank(features, folds, "none"), key=lambda row: -row.macro_f1)
    assert "depth1" in best.depths


def test_of_many_photos_some_rank_the_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_RANKED", 60)
    [best, *_] = sorted(rank(drawn(2), PARTING, "balanced"), key=lambda row: -row.macro_f1)
    assert "depth2" in best.depths


@pytest.mark.parametrize(("most", "judges"), [(90, 40), (60, 30)])
def test_of_many_photos_those_that_judge_are_kept(monkeypatch: pytest.MonkeyPatch, most: int, judges: int) -> None:
    monkeypatch.setattr(choice, "MOST_RANKED", most)
    some, [parting] = choice._thinned(120, PARTING)
    assert len(some) == len(set(some.tolist())) == most
    assert len(parting.judged) == judges
    assert {*some[parting.judged].tolist()} <= {*PARTING[0].judged.tolist()}
    assert {*some[parting.fit].tolist()} <= {*PARTING[0].fit.tolist()}
    assert len(parting.fit) == most - judges


def test_tables_are_copied_only_where_rows_do_not_follow_each_other() -> None:
    features = drawn(1)
    for rows, shared in ((np.arange(20, 50), True), (np.arange(50)[::2], False), (np.arange(0), False)):
        tables = features.at(("depth1", "depth3"), rows)
        assert [np.shares_memory(table, features.depths["depth1"]) for table in tables] == [shared, False]
        np.testing.assert_array_equal(tables[1], features.depths["depth3"][rows])


def test_the_choice_is_fitted_on_the_photos_that_are_named() -> None:
    features = drawn(1)
    (chosen, judged_by), _ = choose(features, PARTING, "none", lambda line: None)
    linear = fit(features, PARTING[0].fit, chosen)
    judged = PARTING[0].judged
    np.testing.assert_allclose(judged_by.kernel, linear.kernel, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(judged_by.bias, linear.bias, rtol=1e-5, atol=1e-7)
    given = choice.judge(features.labels[judged], linear.logits(features.at(chosen.depths, judged)))
    assert given.macro_f1 == pytest.approx(chosen.macro_f1)
