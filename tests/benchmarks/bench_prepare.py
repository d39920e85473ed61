"""How fast `prepare` is, and how much memory it takes, at a quarter, half and all of the real set's 11,983 paths.

    python -m tests.benchmarks.bench_prepare ../shared/data/eol_rare_species_metadata.csv

The photos are drawn: small JPEGs, all different, under the real paths, beside the real metadata. Memory is the peak of
the resident set of the process and of what its workers have of their own, sampled every 20 ms. (The whole sets of both
would count twice what they share: a program that is just being started has all of its parent's pages for a moment.)
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from tests.checkout import ROOT

SHARES = (0.25, 0.5, 1.0)
_PROGRAM = """
import sys
from pathlib import Path
from trainables.data.prepare import PrepareOptions, prepare
if __name__ == "__main__":
    prepare(Path(sys.argv[1]), Path(sys.argv[2]), PrepareOptions.model_validate_json(sys.argv[3]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metadata", type=Path, help="the real set's metadata.csv")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=64, help="longest side of the drawn photos, pixels")
    arguments = parser.parse_args()
    with arguments.metadata.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header, rows = list(reader.fieldnames or []), list(reader)
    peaks: list[tuple[int, int]] = []
    print(f"{'photos':>8} {'seconds':>9} {'photos/s':>9} {'peak MB':>9} {'splits'}")
    for share in SHARES:
        with tempfile.TemporaryDirectory() as folder:
            some = rows[: round(share * len(rows))]
            draw_photos(Path(folder, "photos"), header, some, arguments.side)
            seconds, peak = measured(Path(folder), workers=arguments.workers)
            peaks.append((len(some), peak))
            splits = [path.name.split("-")[0] for path in sorted(Path(folder, "out").glob("*.tfrecord"))]
            print(f"{len(some):8} {seconds:9.1f} {len(some) / seconds:9.0f} {peak / 1e6:9.0f} {len(splits)} shards")
    (few, low), (many, high) = peaks[0], peaks[-1]
    pixels, growth = arguments.side * (arguments.side * 3 // 4) * 3, (high - low) / (many - few)
    print(f"growth: {growth / 1e3:.1f} KB a photo; a drawn photo has {pixels / 1e3:.1f} KB of pixels")


def draw_photos(root: Path, header: list[str], rows: list[dict[str, str]], side: int) -> None:
    """Write different clouds of colour under the rows' paths, and the rows as metadata.csv."""
    for number, row in enumerate(rows):
        clouds = np.random.default_rng(number).integers(0, 256, (7, 9, 3)).astype(np.uint8)
        file = root / row["file_path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(clouds).resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(file, quality=85)
    with (root / "metadata.csv").open("w", encoding="utf-8", newline="") as file_:
        writer = csv.DictWriter(file_, header)
        writer.writeheader()
        writer.writerows(rows)


def measured(folder: Path, **options: object) -> tuple[float, int]:
    """Seconds, and peak bytes of memory, of one `prepare` in a process of its own."""
    program = folder / "program.py"
    program.write_text(_PROGRAM)
    command = [sys.executable, str(program), str(folder / "photos"), str(folder / "out"), json.dumps(options)]
    root = str(ROOT)
    started = time.perf_counter()
    process = psutil.Popen(command, env={"PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"}, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident(process))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"prepare ended with status {process.returncode}")
    return time.perf_counter() - started, peak


def resident(process: psutil.Process) -> int:
    total = 0
    try:
        total = process.memory_info().rss
        for worker in process.children(recursive=True):
            total += worker.memory_full_info().uss
    except psutil.NoSuchProcess:
        pass  # it ended between listing and asking; the next sample is 20 ms away
    return total


if __name__ == "__main__":
    main()
