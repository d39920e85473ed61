"""How fast photos come from shards, against JPEG files read by Keras: photos per second at 299 px, and size on disk.

    python -m tests.benchmarks.bench_records ../shared/data/rare_families
    python -m tests.benchmarks.bench_records ../shared/data/rare_families --longest-side 1200 --limit 600

Each round reads all photos once by each way, in turn, so that a busy machine slows all of them. A way's figure is the
median of its rounds; "against Keras" is the ratio of medians; CPU time tells the cost when others use the machine.
The third way is the same shards through TensorFlow's decoder and its antialiased resize, which is like for like with
our decoder: Keras' reader resizes without antialiasing. The fourth is what training reads in all passes but the first.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from PIL import Image

from trainables.data.dataset import SPLITS, Dataset, open_dataset
from trainables.data.images import decode_resized
from trainables.data.prepare import PrepareOptions, prepare
from trainables.data.shards import read_split
from trainables.device import usable_cores

BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of class folders")
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=1500, help="photos to use, evenly taken from all classes")
    parser.add_argument("--longest-side", type=int, help="enlarge the photos first, to that many pixels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = copy_photos(arguments.photos, Path(folder, "photos"), arguments.limit, arguments.longest_side)
        prepare(Path(folder, "photos"), Path(folder, "dataset"), PrepareOptions(group=("none",)))
        dataset = open_dataset(Path(folder, "dataset"))
        ways: dict[str, Callable[[], int]] = {
            "Keras image_dataset_from_directory": lambda: keras_files(Path(folder, "photos"), arguments.size),
            "shards, our decoder": lambda: our_shards(dataset, arguments.size),
            "shards, TensorFlow's decoder": lambda: tensorflow_shards(dataset, arguments.size),
            "pixels stored by the first pass": stored_pixels(dataset, Path(folder, "store"), arguments.size),
        }
        seconds = timed(ways, arguments.rounds)
        print_table(seconds, len(files), arguments)
        print_sizes(files, sorted(dataset.folder.glob("*.tfrecord")))


def copy_photos(source: Path, target: Path, limit: int, longest_side: int | None) -> list[Path]:
    photos = sorted(source.glob("*/*.jpg"))
    photos = photos[:: max(1, len(photos) // limit)][:limit]
    copies = []
    for photo in photos:
        copy = target / photo.parent.name / photo.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if longest_side is None:
            copy.write_bytes(photo.read_bytes())
        else:
            with Image.open(photo) as picture:
                scale = longest_side / max(picture.size)
                size = (round(picture.width * scale), round(picture.height * scale))
                picture.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(copy, quality=90)
        copies.append(copy)
    return copies


def keras_files(folder: Path, size: int) -> int:
    import keras

    batches = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH, shuffle=False, verbose=False
    )
    return sum(len(images) for images, _ in batches.as_numpy_iterator())


def our_shards(dataset: Dataset, size: int) -> int:
    with ThreadPoolExecutor(usable_cores()) as pool:
        return sum(len(list(pool.map(lambda image: decode_resized(image, size), some))) for some in batches_of(dataset))


def batches_of(dataset: Dataset) -> Iterator[list[bytes]]:
    for split in SPLITS:
        some: list[bytes] = []
        for photo in read_split(dataset, split):
            some.append(photo.image)
            if len(some) == 8 * BATCH:
                yield some
                some = []
        yield some


def tensorflow_shards(dataset: Dataset, size: int) -> int:
    import tensorflow as tf

    def decoded(record: Any) -> Any:
        features = tf.io.parse_single_example(record, {"image": tf.io.FixedLenFeature([], tf.string)})
        image = tf.io.decode_jpeg(features["image"], channels=3)
        return tf.cast(tf.image.resize(image, (size, size), antialias=True), tf.uint8)

    files = [str(dataset.folder / shard.file) for shard in dataset.manifest.shards]
    records = tf.data.TFRecordDataset(files).map(decoded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return sum(len(images) for images in records.batch(BATCH).prefetch(2).as_numpy_iterator())


def stored_pixels(dataset: Dataset, store: Path, size: int) -> Callable[[], int]:
    from trainables.training.worker import Worker

    worker = Worker(dataset, store, None, threads=usable_cores())
    splits = [worker.photos(split, size) for split in SPLITS]

    def read() -> int:
        batches = (
            (photos, np.arange(len(photos))[at : at + BATCH])
            for photos in splits
            for at in range(0, len(photos), BATCH)
        )
        return sum(len(photos.read(rows)) for photos, rows in batches)

    return read


def timed(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall seconds and CPU seconds of each way in each round."""
    counts = {name: way() for name, way in ways.items()}  # warms the disk cache, imports and traces
    assert len(set(counts.values())) == 1, counts
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name in list(ways)[turn % len(ways) :] + list(ways)[: turn % len(ways)]:
            started = time.perf_counter(), time.process_time()
            ways[name]()
            seconds[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return seconds


def print_table(seconds: dict[str, list[tuple[float, float]]], photos: int, arguments: argparse.Namespace) -> None:
    side = f"longest side {arguments.longest_side} px" if arguments.longest_side else "as they are"
    print(f"{photos} photos ({side}) to {arguments.size} px, {arguments.rounds} rounds, {usable_cores()} cores")
    print(f"{'way':40} {'photos/s':>9} {'slowest':>9} {'fastest':>9} {'against Keras':>14} {'CPU ms/photo':>13}")
    keras_median = statistics.median(wall for wall, _ in next(iter(seconds.values())))
    for name, times in seconds.items():
        walls = [wall for wall, _ in times]
        median, cpu = statistics.median(walls), statistics.median(cpu for _, cpu in times)
        rates = f"{photos / median:9.0f} {photos / max(walls):9.0f} {photos / min(walls):9.0f}"
        print(f"{name:40} {rates} {keras_median / median:13.2f}× {1000 * cpu / photos:13.2f}")


def print_sizes(files: list[Path], shards: list[Path]) -> None:
    print(f"\n{'on disk':40} {'files':>9} {'MB':>9} {'MB in blocks':>14}")
    for name, paths in (("JPEG files", files), ("shards", shards)):
        size = sum(path.stat().st_size for path in paths) / 1e6
        blocks = sum(path.stat().st_blocks * 512 for path in paths) / 1e6
        print(f"{name:40} {len(paths):9} {size:9.1f} {blocks:14.1f}")


if __name__ == "__main__":
    main()
