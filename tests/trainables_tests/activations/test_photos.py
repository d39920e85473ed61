from pathlib import Path

import numpy as np
import pytest

from trainables.activations import store as store_module
from trainables.activations.photos import decode_photos
from trainables.activations.store import Store
from trainables.data.dataset import Dataset
from trainables.data.images import decode_resized
from trainables.data.shards import read_split
from trainables.errors import UserError


def test_decoded_photos_are_those_of_the_shards_in_their_order(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CHUNK_ROWS", 8)
    photos = decode_photos(small_dataset, "train", 24, Store(tmp_path, 10**9), threads=2)
    encoded = list(read_split(small_dataset, "train"))
    rows = np.array([len(photos) - 1, 0, 17])
    expected = np.stack([decode_resized(encoded[row].image, 24) for row in rows])
    np.testing.assert_array_equal(photos.read(rows), expected)
    assert len(photos) == len(encoded)
    assert list(photos.labels) == [row.label for row in small_dataset.photos("train")]
    chosen = photos.select(rows)
    np.testing.assert_array_equal(chosen.read(np.array([2, 0])), expected[[2, 0]])
    assert chosen.photo_ids == [photos.photo_ids[row] for row in rows]
    assert chosen.fingerprint != photos.fingerprint


def test_photos_that_do_not_fit_in_the_store_are_refused_with_the_key_to_change(
    small_dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"decoded photos must fit in the store.*give it more with store_gb"):
        decode_photos(small_dataset, "train", 24, Store(tmp_path, 1000), threads=1)
