import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.trainables_tests.drawn_photos import write_photos
from trainables.errors import UserError
from trainables.network.backbones import Weights
from trainables.review import ranking as review_ranking
from trainables.review.kept import KeptFeatures
from trainables.review.ranking import NEIGHBOURS, Floats, Ranking, pooled_features, rank_photos

RANDOM = Weights("random", "drawn", "random")


def test_each_photo_gets_its_own_row_whatever_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_photos(tmp_path, {"a": 3, "b": 4})
    reported: list[int] = []
    monkeypatch.setattr(review_ranking, "_BATCH", 3)
    # Once for both: to build it takes seconds.
    monkeypatch.setattr(review_ranking, "build_backbone", functools.cache(review_ranking.build_backbone))
    rows = pooled_features(tmp_path, sources, 75, RANDOM, progress=reported.append)
    assert (rows.shape, rows.dtype) == ((7, 2048), np.float32)
    assert (rows >= 0).all()
    assert reported == [3, 6, 7]
    # Even random weights tell photos apart: their BatchNorm is calibrated on the photos.
    assert np.unique(rows.round(4), axis=0).shape == rows.shape
    monkeypatch.setattr(review_ranking, "_BATCH", 32)
    whole = pooled_features(tmp_path, sources, 75, RANDOM)
    np.testing.assert_allclose(rows, whole, rtol=1e-3, atol=1e-4)


def test_a_review_that_was_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_photos(tmp_path / "photos", {"a": 4, "b": 5})
    hashes = [hashlib.sha256((tmp_path / "photos" / source).read_bytes()).hexdigest() for source in sources]
    monkeypatch.setattr(review_ranking, "_BATCH", 2)
    monkeypatch.setattr(review_ranking, "_KEPT_AT_ONCE", 2)
    monkeypatch.setattr(review_ranking, "build_backbone", functools.cache(review_ranking.build_backbone))
    whole = pooled_features(tmp_path / "photos", sources, 75, RANDOM)

    def stop(done: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    kept = KeptFeatures(tmp_path / "out", hashes, ("random", 75))
    with pytest.raises(KeyboardInterrupt):
        pooled_features(tmp_path / "photos", sources, 75, RANDOM, progress=stop, kept=kept)
    again = KeptFeatures(tmp_path / "out", hashes, ("random", 75))
    assert again.done == 4
    reported: list[int] = []
    rows = pooled_features(tmp_path / "photos", sources, 75, RANDOM, progress=reported.append, kept=again)
    assert reported == [6, 8, 9]
    np.testing.assert_allclose(rows, whole, rtol=1e-3, atol=1e-4)
    # Other photos, or other weights, begin anew.
    assert KeptFeatures(tmp_path / "out", hashes[1:], ("random", 75)).done == 0
    assert KeptFeatures(tmp_path / "out", hashes, ("imagenet", 75)).done == 0
    again.remove()
    assert not again.folder.exists()


def test_no_more_than_two_batches_are_decoded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_photos(tmp_path, {"a": 12})
    decoded: list[int] = []
    small = review_ranking.decode_resized

    def counted(image: bytes, size: int) -> review_ranking.Pixels:
        decoded.append(size)
        return small(image, size)

    monkeypatch.setattr(review_ranking, "_BATCH", 2)
    monkeypatch.setattr(review_ranking, "decode_resized", counted)
    batches = review_ranking._batches(tmp_path, sources, 32)
    assert next(batches).shape == (2, 32, 32, 3)
    assert len(decoded) <= 4
    assert sum(len(batch) for batch in batches) == 10


def test_a_photo_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_ranking, "build_backbone", lambda *_: None)  # It takes seconds, and is not reached.
    sources = write_photos(tmp_path, {"a": 2})
    (tmp_path / sources[1]).unlink()
    with pytest.raises(UserError, match=r"001\.jpg changed while it was reviewed: .*; run again") as error:
        pooled_features(tmp_path, sources, 75, RANDOM)
    assert "\n" not in str(error.value)


FAMILIES = 12
EACH = 20


def in_place(seed: int = 0, dimensions: int = 64) -> tuple[Floats, list[str]]:
    """Families as clouds about a direction each, not negative, as features are."""
    draw = np.random.default_rng(seed)
    families = np.repeat(np.arange(FAMILIES), EACH)
    centres = draw.gamma(0.6, 1.0, (FAMILIES, dimensions))
    rows = centres[families] + draw.gamma(0.6, 0.5, (len(families), dimensions))
    return rows.astype(np.float32), [f"family {number}" for number in families]


def kind(number: int, count: int, dimensions: int = 64) -> Floats:
    """Photos of one thing that is no family."""
    draw = np.random.default_rng(100 + number)
    rows = draw.gamma(0.6, 1.0, dimensions) + draw.gamma(0.6, 0.3, (count, dimensions))
    return np.asarray(rows, dtype=np.float32)


def ranked(features: Floats, families: list[str], groups: list[str] | None = None) -> Ranking:
    return rank_photos(features, families, groups or [str(row) for row in range(len(families))])


def test_a_kind_scattered_over_the_families_stands_first() -> None:
    rows, families = in_place()
    scattered = [f"family {number}" for number in range(8)]
    ranking = ranked(np.concatenate([rows, kind(0, 8)]), families + scattered)
    assert set(ranking.order()[:8].tolist()) == set(range(len(rows), len(rows) + 8))


def test_a_single_strange_photo_stands_in_the_first_twentieth() -> None:
    rows, families = in_place()
    ranking = ranked(np.concatenate([rows, kind(1, 1)]), [*families, "family 3"])
    assert len(rows) in ranking.order()[: len(rows) // 20]


def test_copies_in_one_family_do_not_vouch_for_each_other() -> None:
    rows, families = in_place()
    copies = set(range(len(rows), len(rows) + 15))
    features = np.concatenate([rows, np.repeat(kind(2, 1), 15, axis=0)])
    labels = [*families, *["family 3"] * 15]
    grouped = ranked(features, labels, [*map(str, range(len(rows))), *["burst"] * 15])
    assert set(grouped.order()[:15].tolist()) == copies
    assert not set(grouped.neighbours[len(rows)].tolist()) & copies
    # Nearly half of the family, they look like the rule when they are judged by each other.
    assert not set(ranked(features, labels).order()[:15].tolist()) & copies


def test_the_most_similar_photos_come_first_and_never_the_photo_itself() -> None:
    rows, families = in_place()
    rows[7] = rows[3] * 1.01
    neighbours = ranked(rows, families).neighbours
    assert neighbours.shape == (len(rows), NEIGHBOURS)
    assert (neighbours[7, 0], neighbours[3, 0]) == (3, 7)
    assert not (neighbours == np.arange(len(rows))[:, None]).any()


def test_the_same_photos_in_another_order_get_the_same_places() -> None:
    rows, families = in_place()
    first = ranked(rows, families)
    again = ranked(rows, families)
    assert np.array_equal(first.score, again.score)
    mixed = np.random.default_rng(1).permutation(len(rows))
    turned = ranked(rows[mixed], [families[row] for row in mixed])
    # The folds differ, so the scores do a little.
    assert np.corrcoef(turned.score, first.score[mixed])[0, 1] > 0.9


@pytest.mark.parametrize("groups", [["a", "b", "c"], ["a", "a", "a"], ["a", "a", "b"]])
def test_a_handful_of_photos_can_be_ranked(groups: list[str]) -> None:
    ranking = ranked(kind(3, 3), ["one", "two", "two"], groups)
    assert np.isfinite(ranking.score).all()
    assert sorted(ranking.order().tolist()) == [0, 1, 2]


def test_photos_that_all_look_the_same_are_no_reason_to_fail() -> None:
    ranking = ranked(np.ones((30, 16), dtype=np.float32), ["one", "two"] * 15)
    assert np.isfinite(ranking.score).all()
