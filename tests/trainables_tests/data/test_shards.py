from pathlib import Path

import pytest

from trainables.data import shards
from trainables.data.dataset import Dataset, EncodedPhoto, Manifest, Photo
from trainables.data.shards import damaged_shards, decode_example, encode_example, read_split, write_split
from trainables.errors import UserError

IMAGES = {f"p{number}": bytes([number]) * (50 + number) for number in range(20)}


def rows(count: int = 20) -> list[Photo]:
    return [Photo(f"p{n}", "train", "f", n % 3, "", f"p{n}", "", 1, 1, "") for n in range(count)]


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Twenty photos in four training shards; the other splits are empty."""
    monkeypatch.setattr(shards, "SHARD_BYTES", sum(map(len, IMAGES.values())) / 3.5)
    photos, files = write_split(tmp_path, "train", rows(), read, [len(IMAGES[row.photo_id]) for row in rows()])
    manifest = Manifest.model_construct(shards=files)
    dataset = Dataset(tmp_path, manifest)
    dataset.__dict__["_all_photos"] = photos
    return dataset


def read(photo: Photo) -> bytes:
    return IMAGES[photo.photo_id]


def whole(dataset: Dataset) -> list[EncodedPhoto]:
    return list(read_split(dataset, "train"))


def test_photos_come_back_byte_for_byte_in_order_from_several_shards(dataset: Dataset) -> None:
    assert whole(dataset) == [EncodedPhoto(row.photo_id, row.label, read(row)) for row in rows()]
    assert [shard.file for shard in dataset.manifest.shards] == [f"train-0000{n}-of-00004.tfrecord" for n in range(4)]
    assert all(shard.photos >= 3 for shard in dataset.manifest.shards)
    assert damaged_shards(dataset) == []


def test_the_same_photos_make_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    _, files = write_split(tmp_path / "again", "train", rows(), read, [len(IMAGES[row.photo_id]) for row in rows()])
    assert files == dataset.manifest.shards


def test_an_example_is_what_tensorflow_parses() -> None:
    import tensorflow as tf

    photo = EncodedPhoto("été", 7, b"\xff\xd8\0")
    features = {name: tf.io.FixedLenFeature([], kind) for name, kind in
                (("photo_id", tf.string), ("label", tf.int64), ("image", tf.string))}  # fmt: skip
    parsed = tf.io.parse_single_example(encode_example(photo), features)
    assert (parsed["photo_id"].numpy().decode(), int(parsed["label"]), parsed["image"].numpy()) == photo
    assert decode_example(encode_example(photo)) == photo


def damage(dataset: Dataset, change: str) -> Path:
    file = dataset.folder / dataset.manifest.shards[1].file
    content = file.read_bytes()
    if change == "truncated":
        file.write_bytes(content[:-7])
    elif change == "cut between photos":
        length = int.from_bytes(content[:8], "little") + 16
        file.write_bytes(content[:length])
    elif change == "flipped":
        file.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    elif change == "replaced":
        file.write_bytes((dataset.folder / dataset.manifest.shards[2].file).read_bytes())
    else:
        file.unlink()
    return file


@pytest.mark.parametrize("change", ["truncated", "cut between photos", "flipped", "replaced", "missing"])
def test_a_damaged_shard_is_named_in_one_line(change: str, dataset: Dataset) -> None:
    file = damage(dataset, change)
    with pytest.raises(UserError) as caught:
        whole(dataset)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [str(file) in line for line in damaged_shards(dataset)] == [True]


def test_a_failing_source_stops_the_writing(tmp_path: Path) -> None:
    def gone(photo: Photo) -> bytes:
        raise UserError("gone")

    with pytest.raises(UserError, match="gone"):
        write_split(tmp_path, "train", rows(), gone, [1] * 20)


def test_an_empty_split_is_one_empty_shard(tmp_path: Path) -> None:
    photos, files = write_split(tmp_path, "test", [], read, [])
    assert (photos, [(shard.photos, shard.bytes) for shard in files]) == ([], [(0, 0)])


def test_photos_that_are_listed_and_in_no_shard_are_noticed(dataset: Dataset) -> None:
    """As where a manifest lost one of its shards."""
    fewer = Dataset(dataset.folder, Manifest.model_construct(shards=dataset.manifest.shards[:-1]))
    fewer.__dict__["_all_photos"] = dataset.photos("train")
    with pytest.raises(UserError, match="lists train photos that are in no shard: it was changed; prepare it again"):
        whole(fewer)
