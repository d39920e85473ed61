"""The sub-commands of the data stage: prepare, check, demo-photos."""

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from trainables.command_line import command, options_from
from trainables.files.bucket import folder_or_url
from trainables.files.output import check_free, whole_or_nothing

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_PREPARE = """\
examples:
  python -m trainables prepare ../shared/data/rare_families runs/dataset --min-photos 20
  python -m trainables prepare rare-species runs/dataset --label-level genus --group near-duplicates bursts
  python -m trainables prepare demo/photos demo/dataset --exclude demo/exclude.txt
  python -m trainables prepare rare-species s3://bucket/dataset
  python -m trainables prepare snapshot runs/dataset --label-level species --group near-duplicates station
  python -m trainables prepare photos runs/dataset --crop megadetector.json --taxonomy families.csv

PHOTOS is a folder of class folders; metadata.csv (the study's columns) or metadata/rarespecies-catalog.csv (the
hub's) is used when it is there. So are a Camtrap DP package, a COCO Camera Traps file, an unpacked Darwin Core Archive
and Parquet tables with pictures inside. OUT gets TFRecord shards with the original bytes, photos.csv, excluded.csv
(what was left out, and why) and, last, manifest.json. Exact copies of a photo always stay in one split. A class with
fewer groups of photos than there are splits is kept in training only. A TEST of 0 keeps no photo for test.
"""

_CHECK = """\
examples:
  python -m trainables check runs/dataset
  python -m trainables check s3://bucket/dataset

Reads every shard, computes hashes and descriptors of all photos anew, and proves that no photo, no copy and no
near-duplicate is in two splits. Exit status 0: proven. 2: a shard is damaged, or one line per leak.
"""

_DEMO = """\
example:
  python -m trainables demo-photos demo/photos

Ten classes of scikit-learn's handwritten digits, from 150 images down to 20, as JPEG and PNG files. Nothing is
downloaded.
"""


def add_commands(subparsers: Any) -> None:
    """Add the sub-commands to what `ArgumentParser.add_subparsers` returned; each sets `run`, Namespace to status."""
    help_line = "photos to a dataset: split, shards, manifest"
    parser = command(subparsers, "prepare", help_line, _PREPARE, "trainables.data.options:PrepareOptions")
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="folder of class folders, or of a format below")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=folder_or_url,
        help="new or empty folder for the dataset, or a URL such as s3://bucket/dataset",
    )
    parser.set_defaults(run=run_prepare)
    check = command(subparsers, "check", "prove that a dataset's splits share no photo", _CHECK)
    check.add_argument("dataset", metavar="DATASET", type=folder_or_url, help="folder or URL that `prepare` wrote")
    check.set_defaults(run=run_check)
    demo = command(subparsers, "demo-photos", "write a small set of real images to try things with", _DEMO)
    demo.add_argument("out", metavar="OUT", type=Path, help="new folder")
    demo.set_defaults(run=run_demo_photos)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Prepare, and say what came out."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.data.dataset import EXCLUDED, sent_to
    from trainables.data.options import PrepareOptions
    from trainables.data.prepare import prepare

    out: Path | str = arguments.out
    options = options_from(arguments, PrepareOptions)
    with nullcontext(out) if isinstance(out, Path) else sent_to(out) as folder:
        manifest = prepare(arguments.photos, folder, options, say=lambda line: print(line, flush=True))
    for line in manifest.warnings:
        print(f"warning: {line}", file=sys.stderr)
    if manifest.excluded:
        reasons = ", ".join(f"{count} {reason}" for reason, count in manifest.excluded.items())
        print(f"left out: {reasons}; each is listed in {out}/{EXCLUDED}")
    counts = ", ".join(f"{sum(families.values())} {split}" for split, families in manifest.counts.items())
    print(f"{len(manifest.class_names)} classes, {counts} photos in {out}; fingerprint {manifest.fingerprint[:12]}")
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Check the shards' bytes, then the splits; one line per damage or leak on stderr."""
    from trainables.data.dataset import open_dataset_at
    from trainables.device import prepare_tensorflow

    # What lies at a URL is read from there, whatever copies this machine has.
    with tempfile.TemporaryDirectory(prefix="raretune-") as store:
        dataset = open_dataset_at(arguments.dataset, Path(store))
        prepare_tensorflow()
        from trainables.data.leaks import prove_disjoint
        from trainables.data.shards import damaged_shards

        problems = damaged_shards(dataset)
        if not problems:
            print(f"{len(dataset.manifest.shards)} shards are as they were written")
            proof = prove_disjoint(dataset)
            print(*proof.lines(), sep="\n")
            problems = proof.leaks
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 2 if problems else 0


def run_demo_photos(arguments: argparse.Namespace) -> int:
    """Write the digits."""
    counts = write_digits(arguments.out)
    print(f"{sum(counts.values())} images of {len(counts)} classes in {arguments.out}")
    return 0


def write_digits(out: Path, most: int = 150, fewest: int = 20) -> dict[str, int]:
    """Write class folders digits_zero … digits_nine to `out`, from `most` down to `fewest` images; returns the counts.

    The images are scikit-learn's scans of 8 × 8 pixels (UCI, 1998), enlarged to 96 × 96; odd classes are PNG, even
    ones JPEG.

    Raises:
        UserError: `out` holds anything.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    out = out.resolve()
    check_free(out)
    digits = load_digits()
    counts = np.geomspace(most, fewest, len(_DIGITS)).round().astype(int)
    with whole_or_nothing(out) as folder:
        for digit, (name, count) in enumerate(zip(_DIGITS, counts, strict=True)):
            (folder / f"digits_{name}").mkdir()
            for number, scan in enumerate(digits.images[digits.target == digit][:count]):
                # 16 grey levels, ink high; on paper ink is dark.
                picture = Image.fromarray((255 - scan * (255 / 16)).astype(np.uint8))
                large = picture.resize((96, 96), Image.Resampling.BICUBIC).convert("RGB")
                kind = "png" if digit % 2 else "jpg"
                large.save(folder / f"digits_{name}" / f"{name}_{number:03d}.{kind}", quality=90)  # The JPEG's.
    return {f"digits_{name}": int(count) for name, count in zip(_DIGITS, counts, strict=True)}
