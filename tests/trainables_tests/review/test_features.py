import functools
from pathlib import Path

import numpy as np
import pytest

from tests.trainables_tests.drawn_photos import write_photos
from trainables.errors import UserError
from trainables.network.backbones import Weights
from trainables.review import features as review_features
from trainables.review.features import pooled_features

RANDOM = Weights("random", "drawn", "random")


def test_each_photo_gets_its_own_row_whatever_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_photos(tmp_path, {"a": 3, "b": 4})
    reported: list[int] = []
    monkeypatch.setattr(review_features, "_BATCH", 3)
    # Once for both: to build it takes seconds.
    monkeypatch.setattr(review_features, "build_backbone", functools.cache(review_features.build_backbone))
    rows = pooled_features(tmp_path, sources, 75, RANDOM, progress=reported.append)
    assert (rows.shape, rows.dtype) == ((7, 2048), np.float32)
    assert (rows >= 0).all()
    assert reported == [3, 6, 7]
    # Even random weights tell photos apart: their BatchNorm is calibrated on the photos.
    assert np.unique(rows.round(4), axis=0).shape == rows.shape
    monkeypatch.setattr(review_features, "_BATCH", 32)
    whole = pooled_features(tmp_path, sources, 75, RANDOM)
    np.testing.assert_allclose(rows, whole, rtol=1e-3, atol=1e-4)


def test_no_more_than_two_batches_are_decoded_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = write_photos(tmp_path, {"a": 12})
    decoded: list[int] = []
    small = review_features.decode_resized

    def counted(image: bytes, size: int) -> review_features.Pixels:
        decoded.append(size)
        return small(image, size)

    monkeypatch.setattr(review_features, "_BATCH", 2)
    monkeypatch.setattr(review_features, "decode_resized", counted)
    batches = review_features._batches(tmp_path, sources, 32)
    assert next(batches).shape == (2, 32, 32, 3)
    assert len(decoded) <= 4
    assert sum(len(batch) for batch in batches) == 10


def test_a_photo_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_features, "build_backbone", lambda *_: None)  # It takes seconds, and is not reached.
    sources = write_photos(tmp_path, {"a": 2})
    (tmp_path / sources[1]).unlink()
    with pytest.raises(UserError, match=r"001\.jpg changed while it was reviewed: .*; run again") as error:
        pooled_features(tmp_path, sources, 75, RANDOM)
    assert "\n" not in str(error.value)
