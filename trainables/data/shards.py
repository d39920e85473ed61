"""TFRecord shards of photos, checked as they are written and read."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainables.data.dataset import PHOTOS, Dataset, EncodedPhoto, Photo, Shard
from trainables.device import import_tensorflow
from trainables.errors import UserError

SHARD_BYTES = 64 * 2**20
"""A shard is closed when its photos pass this many bytes."""

_FRAME_BYTES = 16  # of each record: length, its CRC, and the CRC of the data


def write_split(
    folder: Path, split: str, photos: Sequence[Photo], read: Callable[[Photo], bytes], sizes: Sequence[int]
) -> tuple[list[Photo], list[Shard]]:
    """Write one split's photos in the order given; `sizes` are their bytes, `read` fetches one.

    Returns the photos with their shard's name filled in, and the shards. One photo is in memory at a time.

    Raises:
        UserError: the disk is full or the file cannot be written.
    """
    tf = import_tensorflow()
    cuts = _cuts(sizes)
    placed: list[Photo] = []
    shards: list[Shard] = []
    for number, (start, end) in enumerate(cuts):
        name = f"{split}-{number:05d}-of-{len(cuts):05d}.tfrecord"
        expected = 0
        try:
            with tf.io.TFRecordWriter(str(folder / name)) as writer:
                for photo in photos[start:end]:
                    record = encode_example(EncodedPhoto(photo.photo_id, photo.label, read(photo)))
                    writer.write(record)
                    expected += len(record) + _FRAME_BYTES
        except tf.errors.OpError as error:
            detail = " ".join(str(error.message).rsplit(";", 1)[-1].split())  # the part before names the temporary file
            raise UserError(f"{name} cannot be written: {detail}; nothing was kept") from None
        size, digest = file_digest(folder / name)
        # The writer buffers, and a disk that fills up while it closes does not always make it raise.
        if size != expected:
            raise UserError(f"{name} could not be written whole ({size} of {expected} bytes): is the disk full?")
        placed += [photo._replace(shard=name) for photo in photos[start:end]]
        shards.append(Shard(file=name, split=split, photos=end - start, bytes=size, sha256=digest))
    return placed, shards


def read_split(dataset: Dataset, split: str) -> Iterator[EncodedPhoto]:
    """The photos of one split in shard order; each is held against photos.csv, so a swapped shard is seen too.

    Raises:
        UserError: a shard is missing, truncated or altered; the line names it.
    """
    tf = import_tensorflow()
    expected = iter(dataset.photos(split))
    for shard in (shard for shard in dataset.manifest.shards if shard.split == split):
        file, seen = dataset.folder / shard.file, 0
        # Several at a time: each step of TensorFlow's iterator costs as much as a tenth of decoding a small photo.
        batches = tf.data.TFRecordDataset(str(file), buffer_size=2**20).batch(8).as_numpy_iterator()
        try:
            for record in (record for records in batches for record in records.tolist()):
                row, photo = next(expected, None), decode_example(record)
                if row is None or (row.photo_id, row.label, row.shard) != (photo.photo_id, photo.label, shard.file):
                    raise UserError(f"{file} does not hold the photos that {PHOTOS} lists for it: it was changed")
                yield photo
                seen += 1
        except tf.errors.NotFoundError:
            raise UserError(f"{file} is missing: the dataset is damaged; prepare it again") from None
        except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
            detail = " ".join(str(error.message).split())
            raise UserError(f"{file} is truncated or has flipped bits ({detail}); prepare it again") from None
        if seen != shard.photos:
            raise UserError(f"{file} is truncated: {seen} of its {shard.photos} photos are there; prepare again")
    if next(expected, None) is not None:
        raise UserError(f"{dataset.folder} lists {split} photos that are in no shard: it was changed; prepare it again")


def damaged_shards(dataset: Dataset) -> list[str]:
    """A line for each shard whose bytes are not those that were written; empty when all are whole."""
    problems = []
    for shard in dataset.manifest.shards:
        file = dataset.folder / shard.file
        if not file.is_file():
            problems.append(f"{file} is missing")
            continue
        size, digest = file_digest(file)
        if size != shard.bytes:
            problems.append(f"{file} has {size} bytes, not the {shard.bytes} written: it is truncated or was changed")
        elif digest != shard.sha256:
            problems.append(f"{file} is not what was written: its SHA-256 differs from the manifest's")
    return problems


def file_digest(file: Path) -> tuple[int, str]:
    """Bytes and SHA-256 (hex) of a file."""
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return file.stat().st_size, digest


def encode_example(photo: EncodedPhoto) -> bytes:
    """A photo as a serialised tf.train.Example: photo_id (UTF-8), label (int64), image (the original bytes)."""
    tf = import_tensorflow()
    features = {
        "photo_id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo.photo_id.encode()])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[photo.label])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[photo.image])),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True))


def decode_example(record: bytes) -> EncodedPhoto:
    """The inverse of `encode_example`."""
    tf = import_tensorflow()
    features = tf.train.Example.FromString(record).features.feature
    return EncodedPhoto(
        features["photo_id"].bytes_list.value[0].decode(),
        int(features["label"].int64_list.value[0]),
        features["image"].bytes_list.value[0],
    )


def _cuts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of photos per shard, of about equal bytes; one empty range for an empty split."""
    count = max(1, -(-sum(sizes) // SHARD_BYTES))
    share = sum(sizes) / count
    ends: list[int] = []
    passed = 0.0
    for index, size in enumerate(sizes):
        passed += size
        if passed >= share * (len(ends) + 1) and len(ends) < count - 1:
            ends.append(index + 1)
    ends.append(len(sizes))
    return list(zip([0, *ends[:-1]], ends, strict=True))
