"""How fast `prepare` is, and how much memory it takes, for camera-trap photos that a COCO Camera Traps file lists.

    python -m tests.benchmarks.bench_coco_ct --photos 100000

The photos are drawn: small JPEGs, all different, of 40 species at 200 stations in sequences of three. A third of them
is empty, which becomes a class too. Memory is measured as by `bench_prepare`. The processor's time says what a busy
machine's clock does not.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.bench_prepare import measured

SPECIES, STATIONS, FRAMES, EMPTY = 40, 200, 3, 1 / 3
WANTED_A_SECOND, MOST_BYTES = 200, 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=64, help="longer side of the drawn photos, pixels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        draw_listed(Path(folder, "photos"), arguments.photos, arguments.side)
        print(f"drawn in {time.perf_counter() - started:.0f} s", flush=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds, peak = measured(Path(folder), workers=arguments.workers, also=["blank"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        counts = json.loads(Path(folder, "out/manifest.json").read_text())["counts"]
    assert sum(sum(families.values()) for families in counts.values()) == arguments.photos
    kept = {split: sum(families.values()) for split, families in counts.items()}
    speed = arguments.photos / seconds
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{arguments.photos} photos in {seconds:.0f} s: {speed:.0f} photos/s, peak {peak / 1e6:.0f} MB; kept {kept}")
    print(f"{busy:.0f} s of processor time: {arguments.photos / busy:.0f} photos/s on each core")
    return 0 if speed >= WANTED_A_SECOND and peak < MOST_BYTES else 1


def draw_listed(root: Path, photos: int, side: int) -> None:
    """Write photos in a folder for each station, and cct.json."""
    rng = np.random.default_rng(0)
    names = ["empty", *(f"species_{number:02d}" for number in range(SPECIES))]
    chances = 1 / np.arange(1, SPECIES + 1)  # A long tail, as in every real set.
    chances = np.concatenate([[EMPTY], (1 - EMPTY) * chances / chances.sum()])
    images, annotations = [], []
    for number in range(photos):
        sequence = number // FRAMES
        station = sequence % STATIONS
        path = f"station_{station:03d}/{number:06d}.jpg"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        clouds = rng.integers(0, 256, (7, 9, 3)).astype(np.uint8)
        Image.fromarray(clouds).resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(root / path, quality=85)
        if number % FRAMES == 0:
            label = int(rng.choice(len(names), p=chances))
        taken = f"2020-{1 + number % 12:02d}-{1 + number % 28:02d} {number % 24:02d}:00:00"
        images.append({"id": f"i{number}", "file_name": path, "location": str(station), "seq_id": f"s{sequence}",
                       "frame_num": number % FRAMES, "seq_num_frames": FRAMES, "datetime": taken})  # fmt: skip
        annotations.append({"id": f"a{number}", "image_id": f"i{number}", "category_id": label})
    listed = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {"info": {"version": "1"}, "images": images, "annotations": annotations, "categories": listed}
    (root / "cct.json").write_text(json.dumps(content))


if __name__ == "__main__":
    raise SystemExit(main())
