"""COCO Camera Traps: one or several JSON files of images, annotations and categories (https://lila.science/coco-camera-traps).

Read with pydantic against the format's page: pycocotools 2.0.11 takes a string id for a list of letters, and
the format's ids are strings.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from trainables.data.class_folders import SPLIT_OF
from trainables.data.crops import Box
from trainables.data.formats.local_files import LocalFiles, common_offset
from trainables.data.formats.records import ANIMAL, BLANK, Record, Table, listed_and_there, report_unlisted, shared
from trainables.data.formats.taxonomy import RANKS, Ranks
from trainables.data.formats.times import parse_time
from trainables.data.photo_files import Found, path_key
from trainables.errors import UserError

_Id = str | int
_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_BLANKS = frozenset({"empty", "blank", "nothing", "none", "false trigger", "false_trigger", "misfire"})
_KINDS = {"human": "human", "person": "human", "people": "human", "homo sapiens": "human", "vehicle": "vehicle",
          "car": "vehicle", "unknown": "unknown", "unidentifiable": "unknown", "unidentified": "unknown"}  # fmt: skip
_ALIASES = {"station": ("location",), "sequence": ("seq_id",), "photographer": ("photographer", "rights_holder")}


class _Image(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: _Id
    file_name: str
    width: NotRequired[float | None]
    height: NotRequired[float | None]
    corrupt: NotRequired[bool | None]


class _Category(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    id: _Id
    name: str


class _Annotation(TypedDict):
    id: NotRequired[_Id]
    image_id: _Id
    category_id: _Id
    bbox: NotRequired[tuple[float, float, float, float] | list[float] | None]
    bbox_relative: NotRequired[tuple[float, float, float, float] | None]
    sequence_level_annotation: NotRequired[bool | None]


class _File(TypedDict):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


_ADAPTER: TypeAdapter[Any] = TypeAdapter(_File)


class CocoCameraTraps:
    """See formats.records.Format."""

    name = "COCO Camera Traps"
    rule = "a JSON file of the folder lists each under images, with an annotation"

    def recognises(self, root: Path) -> bool:
        """A JSON file in the folder itself has the format's three lists."""
        return any(True for _ in _files(root))

    def read(self, root: Path) -> Table:
        """See Format."""
        files = dict(_files(root))
        table = Table(Found(self.name), together=("sequence",))
        there = listed_and_there(root, table.found, (file.name for file in files))
        local = LocalFiles(there)
        contents = {file: _parsed(file, content) for file, content in files.items()}
        table.columns = _columns(contents.values())
        for file, content in contents.items():
            split = split_of_name(file.stem) if len(files) > 1 else None
            _read_file(file, content, split, local, table)
        report_unlisted(table.found, there, table.records, " and ".join(file.name for file in files))
        return table


def split_of_name(name: str) -> str | None:
    """The dataset's split that a file's or folder's name speaks of, as `val` in `annotations_val`; None for none."""
    words = {SPLIT_OF.get(word) for word in re.split(r"[^a-z]+", name.lower())} - {None}
    return next(iter(words)) if len(words) == 1 else None


def _files(root: Path) -> Iterator[tuple[Path, bytes]]:
    for file in sorted(root.glob("*.json")):
        if file.is_file():
            content = file.read_bytes()
            if all(key in content for key in _KEYS) and b'"detection_categories"' not in content:
                yield file, content


def _parsed(file: Path, content: bytes) -> Any:
    try:
        return _ADAPTER.validate_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{file} is no COCO Camera Traps file: {where}: {first['msg']}") from None


def _columns(contents: Any) -> tuple[str, ...]:
    """The images' keys that may be grouped by, and the names that every format has for them."""
    keys = {key for content in contents for image in content["images"] for key in image}
    keys -= {"id", "file_name", "width", "height", "corrupt"}
    aliases = [alias for alias, names in _ALIASES.items() if keys.intersection(names) and alias not in keys]
    return tuple(sorted(keys)) + tuple(aliases) + (("day",) if {"datetime", "date_captured"} & keys else ())


def _read_file(file: Path, content: Any, split: str | None, local: LocalFiles, table: Table) -> None:
    """Add a file's records to the table."""
    found = table.found
    names = {str(one["id"]): one for one in content["categories"]}
    dropped, front = common_offset([path_key(one["file_name"]) for one in content["images"]], local.by_path)
    of_image: dict[str, list[Any]] = {}
    for annotation in content["annotations"]:
        of_image.setdefault(str(annotation["image_id"]), []).append(annotation)
    untimed = 0
    for number, image in enumerate(content["images"]):
        where, key = f"{file.name} images[{number}]", path_key(image["file_name"])
        source = local.at(front + key.split("/", dropped)[-1])
        annotations = of_image.pop(str(image["id"]), [])
        if source is None:
            found.exclude(key, "no_file", f"{where}: there is no such photo")
        elif image.get("corrupt"):
            found.exclude(source, "unreadable", f"{where}: the file calls it corrupt")
        elif not annotations:
            found.exclude(source, "no_label", f"{where}: no annotation speaks of it")
        else:
            taken = image.get("datetime") or image.get("date_captured")
            time = parse_time(str(taken)) if taken else None
            untimed += bool(taken) and time is None
            given = SPLIT_OF.get(str(image.get("split", "")).lower()) or split
            _add(source, image, annotations, names, time, given, where, table)
    for image_id in list(of_image)[:1]:
        lost = f"{len(of_image)} image ids of {file.name}'s annotations have no image, such as {image_id}"
        found.warnings.append(lost)
    if whole := sum(bool(each.get("sequence_level_annotation")) for each in content["annotations"]):
        found.warnings.append(
            f"{whole} labels of {file.name} are those of sequences, and may not be true of each photo"
        )
    if untimed:
        found.warnings.append(f"{untimed} times of {file.name} are not understood, and count as unknown")


def _add(
    source: str, image: Any, annotations: list[Any], names: dict[str, Any], time: datetime | None, split: str | None,
    where: str, table: Table,
) -> None:  # fmt: skip
    """A record for each annotation of an image."""
    values = shared(_value(image, column, time) for column in table.columns)
    for annotation in annotations:
        category = names.get(str(annotation["category_id"]))
        if category is None:
            table.found.exclude(source, "bad_row", f"{where}: no category has the id {annotation['category_id']}")
            continue
        name, box = category["name"], _box(annotation, image)
        table.records.append(
            Record(source, name, kind_of(name), _ranks(category), str(image["id"]), values, time, split, box, where)
        )


def kind_of(name: str) -> str:
    """ANIMAL, or the kind that a category's name means, in the words of Camtrap DP."""
    word = name.strip().lower()
    return BLANK if word in _BLANKS else _KINDS.get(word, ANIMAL)


def _ranks(category: Any) -> Ranks:
    """Some sets give ranks beside the name, as iNaturalist's do."""
    return {rank: str(category[rank]) for rank in RANKS if category.get(rank)}


def _value(image: Any, column: str, time: Any) -> object:
    if column in image:
        return image[column]
    if column == "day":
        return time.date().isoformat() if time else None
    return next((image[name] for name in _ALIASES[column] if image.get(name) is not None), None)


def _box(annotation: Any, image: Any) -> Box | None:
    """As shares of the sides where that can be told: a photo may have been made smaller since it was listed."""
    if annotation.get("bbox_relative"):
        return Box(*annotation["bbox_relative"])
    box = annotation.get("bbox")
    if not box or len(box) != 4:
        return None
    left, top, across, down = box
    absolute, width, height = Box(left, top, across, down, relative=False), image.get("width"), image.get("height")
    return absolute.of(width, height) if width and height else absolute
