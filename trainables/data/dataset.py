"""The prepared dataset: its manifest, its photos, its copies at URLs.

A node's copy of a dataset at a URL lies beside the activation store, in a folder named by the dataset's fingerprint,
so that every process of a node shares it, and a dataset that was prepared anew at the same URL is another folder. It
appears whole: the first process to ask brings it under a lock while the others wait, and checks every shard against
the manifest on the way.
"""

import csv
import glob
import hashlib
import json
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from trainables.errors import UserError, one_line
from trainables.files.bucket import Bucket, is_url, open_bucket
from trainables.files.output import read_rows, whole_or_nothing
from trainables.taxonomy import Taxonomy

SPLITS = ("train", "validation", "test")
MANIFEST = "manifest.json"
PHOTOS = "photos.csv"
EXCLUDED = "excluded.csv"
COPIES = "datasets"  # the copies' folder in the store's


class Shard(BaseModel, extra="forbid", frozen=True):
    """One TFRecord file: how many photos and bytes it holds, and the SHA-256 of the whole file."""

    file: str
    split: str
    photos: int
    bytes: int
    sha256: str


class ExclusionList(BaseModel, extra="forbid", frozen=True):
    """The exclusion list that was honoured: its file, its SHA-256, its entries, and how many named a photo."""

    file: str
    sha256: str
    entries: int
    matched: int


class Crops(BaseModel, extra="forbid", frozen=True):
    """How photos were cropped: by which boxes, from which confidence on, and how much wider (share of the longer side).

    `file` and its SHA-256 are the detector's results; None where the boxes are those of the data.
    """

    file: str | None
    sha256: str | None
    min_confidence: float
    padding: float


class Manifest(BaseModel, extra="forbid", frozen=True):
    """What a prepared dataset is and how it was made; written last, so that its presence means the rest is whole.

    `counts` is {split: {class name: photos}}; `excluded` is {reason: files}; `grouping` names what was kept together;
    `created` is UTC, ISO 8601; `source` is the absolute path of the photos; `two_labels` counts the training photos of
    pictures that carry different labels; `missing_families` is {family without a usable photo: {reason: files}};
    `taxonomy` is None where the metadata has no ranks above the labels.
    """

    format: Literal[1] = 1
    fingerprint: str
    class_names: list[str]
    counts: dict[str, dict[str, int]]
    excluded: dict[str, int]
    exclusion_list: ExclusionList | None
    seed: int
    fractions: tuple[float, float, float]
    splits: Literal["new", "given"] = "new"
    grouping: list[str]
    groups: int
    label_level: str
    layout: str
    min_photos: int
    train_only_families: list[str]
    missing_families: dict[str, dict[str, int]] = {}
    two_labels: int = 0
    crops: Crops | None = None
    split_by_time: bool = False
    warnings: list[str]
    shards: list[Shard]
    source: str
    created: str
    versions: dict[str, str]
    taxonomy: Taxonomy | None = None


class Photo(NamedTuple):
    """A row of photos.csv: one photo that is used.

    `group` is shared by photos that must not be parted; `source` is the path below the folder of photos; `sha256` is
    of the file's bytes; `width` and `height` are pixels as shown. Of a crop they are the crop's, and `box` is what was
    cropped before it was widened: left, top, width and height as shares of the photo's sides, apart by blanks.
    """

    photo_id: str
    split: str
    family: str
    label: int
    sha256: str
    group: str
    source: str
    width: int
    height: int
    shard: str
    box: str = ""


class EncodedPhoto(NamedTuple):
    """A photo as stored: `image` is the original file, byte for byte."""

    photo_id: str
    label: int
    image: bytes


@dataclass(frozen=True)
class Dataset:
    """A prepared folder whose manifest is there and valid; of a copy, `url` is the original's place."""

    folder: Path
    manifest: Manifest
    url: str | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of each label, by label."""
        return tuple(self.manifest.class_names)

    @property
    def fingerprint(self) -> str:
        """What is in the dataset: equal for equal photos, splits, labels and class names, wherever they lie."""
        return self.manifest.fingerprint

    @property
    def tested(self) -> bool:
        """Whether any photo was kept for test."""
        return any(self.manifest.counts.get("test", {}).values())

    def photos(self, split: str) -> list[Photo]:
        """The photos of one split, in the order in which `shards.read_split` gives them.

        Raises:
            UserError: no such split, or photos.csv is missing or damaged.
        """
        if split not in SPLITS:
            raise UserError(f"no split is called {split!r}; the splits are {', '.join(SPLITS)}")
        return [photo for photo in self._all_photos if photo.split == split]

    @cached_property
    def _all_photos(self) -> list[Photo]:
        file, numbers = self.folder / PHOTOS, ("label", "width", "height")
        try:
            rows: list[dict[str, Any]] = [row | {name: int(row[name]) for name in numbers} for row in read_rows(file)]
            photos = [Photo(**row) for row in rows]
            same = fingerprint_of(photos, self.class_names) == self.fingerprint
        except FileNotFoundError:
            raise UserError(f"{file} is missing: the dataset is damaged; prepare it again") from None
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise UserError(f"{file} is damaged: {type(error).__name__} {error}; prepare the dataset again") from None
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}") from None
        if not same:
            raise UserError(f"{file} is damaged: it is not the list that {MANIFEST} was written for")
        return photos


def open_dataset(folder: Path | str) -> Dataset:
    """Open what `python -m trainables prepare` wrote.

    Raises:
        UserError: there is no folder, no manifest in it (never finished, or something else), or it is not valid.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; `python -m trainables prepare PHOTOS OUT` makes a dataset")
    file = folder / MANIFEST
    try:
        return Dataset(folder, parse_manifest(file.read_bytes(), file))
    except FileNotFoundError:
        raise UserError(
            f"{folder} holds no {MANIFEST}: it is no prepared dataset, or not a finished one; "
            f"`python -m trainables prepare PHOTOS OUT` makes one"
        ) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from None


def parse_manifest(content: bytes, where: Path | str) -> Manifest:
    """Read a manifest; `where` names it in an error.

    Raises:
        UserError: it is not valid.
    """
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise UserError(f"{where} is damaged: {one_line(error, Manifest)}; prepare it again") from None


def fingerprint_of(photos: Iterable[Photo], class_names: Iterable[str]) -> str:
    """SHA-256 (hex) over the class names and the sorted (photo id, split, label, content hash) of all photos."""
    rows = sorted((photo.photo_id, photo.split, photo.label, photo.sha256) for photo in photos)
    return hashlib.sha256(json.dumps([list(class_names), rows]).encode()).hexdigest()


def open_dataset_at(place: Path | str, store: Path, *, lists_only: bool = False) -> Dataset:
    """Open the dataset in a folder, or this node's copy of one at a URL, made now where it is missing.

    Args:
        store: the activation store's folder, on the node's own disk.
        lists_only: bring the manifest and the lists of photos only: enough where nothing is trained.

    Raises:
        UserError: nothing is there, it cannot be reached, a shard is not what the manifest says, or the disk is full.
    """
    if not is_url(place):
        return open_dataset(place)
    bucket = open_bucket(place)
    manifest, text = read_manifest(bucket)
    folder, shards = store / COPIES / manifest.fingerprint, manifest.shards
    if lists_only and not (folder / MANIFEST).is_file():
        folder, shards = folder.with_name(f"{folder.name}.lists"), []
    _once(folder, bucket, text, shards)
    return replace(open_dataset(folder), url=place)


@contextmanager
def sent_to(url: str) -> Iterator[Path]:
    """A path for a new dataset that goes to `url` when the body ends well, its manifest last.

    Raises:
        UserError: something is there already, or it cannot be written there.
    """
    bucket = open_bucket(url)
    there = bucket.names()
    if there:
        raise UserError(f"{url} is not empty ({', '.join(there[:4])}); name a new place, or delete this one first")
    bucket.check_writable()  # Now, and not when all photos are read.
    with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
        folder = Path(temporary) / "dataset"
        yield folder
        names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
        for name in sorted(names, key=lambda name: (name == MANIFEST, name)):  # The ledger's readings too.
            bucket.send(folder / name, name)


def read_manifest(bucket: Bucket) -> tuple[Manifest, bytes]:
    """The manifest of the dataset at a URL, and its text.

    Raises:
        UserError: there is none, it is damaged, or the place cannot be reached.
    """
    text = bucket.read(MANIFEST)
    if text is None:
        raise UserError(
            f"{bucket.url} holds no {MANIFEST}, or there is no such bucket; "
            f"`python -m trainables prepare PHOTOS {shlex.quote(bucket.url)}` makes a dataset there"
        )
    manifest = parse_manifest(text, f"{bucket.url}/{MANIFEST}")
    named = [manifest.fingerprint, *(shard.file for shard in manifest.shards)]
    strange = next((name for name in named if Path(name).name != name or name in ("", "..")), None)
    if strange is not None:  # It would be written outside of the copy's folder.
        raise UserError(f"{bucket.url}/{MANIFEST} is damaged: {strange!r} is no file's name; prepare it again")
    return manifest, text


def _once(folder: Path, bucket: Bucket, manifest: bytes, shards: list[Shard]) -> None:
    """Bring the lists and `shards` into `folder`, unless they are there; one process of the node at a time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (folder / MANIFEST).is_file():
                return
            # What a process that was killed has left; no other is writing there, because the lock is held.
            for rest in folder.parent.glob(f".{glob.escape(folder.name)}.partial-*"):
                shutil.rmtree(rest, ignore_errors=True)
            with whole_or_nothing(folder, needed_bytes=sum(shard.bytes for shard in shards)) as partial:
                for name in (PHOTOS, EXCLUDED):
                    _bring(bucket, name, partial)
                for shard in shards:
                    if _bring(bucket, shard.file, partial) != shard.sha256:
                        problem = f"is not what was prepared: its SHA-256 differs from {MANIFEST}'s"
                        raise UserError(f"{bucket.url}/{shard.file} {problem}; prepare it again")
                (partial / MANIFEST).write_bytes(manifest)
    except PermissionError as error:
        raise UserError(f"{folder.parent} cannot be written: {error.strerror}; `store` names another folder") from None


def _bring(bucket: Bucket, name: str, folder: Path) -> str:
    """Write a file of the bucket to `folder`, and return the SHA-256 (hex) of its bytes."""
    digest = hashlib.sha256()
    with (folder / name).open("wb") as sink:
        for block in bucket.blocks(name):
            digest.update(block)
            sink.write(block)
    return digest.hexdigest()
