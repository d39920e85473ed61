"""The prepared dataset: its manifest and its list of photos."""

import csv
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from trainables.errors import UserError, one_line
from trainables.files.output import read_rows

SPLITS = ("train", "validation", "test")
MANIFEST = "manifest.json"
PHOTOS = "photos.csv"
EXCLUDED = "excluded.csv"
FORMAT: Literal[1] = 1


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


class Manifest(BaseModel, extra="forbid", frozen=True):
    """What a prepared dataset is and how it was made; written last, so that its presence means the rest is whole.

    `counts` is {split: {class name: photos}}; `excluded` is {reason: files}; `grouping` names what was kept together;
    `created` is UTC, ISO 8601; `source` is the absolute path of the photos.
    """

    format: Literal[1] = FORMAT
    fingerprint: str
    class_names: list[str]
    counts: dict[str, dict[str, int]]
    excluded: dict[str, int]
    exclusion_list: ExclusionList | None
    seed: int
    fractions: tuple[float, float, float]
    grouping: list[str]
    groups: int
    label_level: str
    layout: str
    min_photos: int
    train_only_families: list[str]
    warnings: list[str]
    shards: list[Shard]
    source: str
    created: str
    versions: dict[str, str]


class Photo(NamedTuple):
    """A row of photos.csv: one photo that is used.

    `group` is shared by photos that must not be parted; `source` is the path below the folder of photos; `sha256` is
    of the file's bytes; `width` and `height` are pixels as shown.
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
        photos = read_photos(self.folder / PHOTOS)
        if fingerprint_of(photos, self.class_names) != self.fingerprint:
            raise UserError(f"{self.folder / PHOTOS} is damaged: it is not the list that {MANIFEST} was written for")
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


def read_photos(file: Path) -> list[Photo]:
    """Read photos.csv.

    Raises:
        UserError: missing or damaged.
    """
    numbers = ("label", "width", "height")
    try:
        rows: list[dict[str, Any]] = [{**row, **{name: int(row[name]) for name in numbers}} for row in read_rows(file)]
        return [Photo(**row) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{file} is missing: the dataset is damaged; prepare it again") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{file} is damaged: {type(error).__name__} {error}; prepare the dataset again") from None


def fingerprint_of(photos: Iterable[Photo], class_names: Iterable[str]) -> str:
    """SHA-256 (hex) over the class names and the sorted (photo id, split, label, content hash) of all photos."""
    rows = sorted((photo.photo_id, photo.split, photo.label, photo.sha256) for photo in photos)
    return hashlib.sha256(json.dumps([list(class_names), rows]).encode()).hexdigest()
