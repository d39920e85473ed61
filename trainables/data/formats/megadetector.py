"""MegaDetector results: both formats of that name, for crops.

A: an object with `images`, boxes as shares of the photo's sides (agentmorris/MegaDetector, format 1.0 to 1.6).
B: a list, boxes as corners in pixels (microsoft/MegaDetector, https://microsoft.github.io/MegaDetector/output_format/).
They are told apart by their shape.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from trainables.data.crops import Box
from trainables.data.dataset import Crops
from trainables.data.formats.local_files import LocalFiles, common_offset
from trainables.data.formats.records import ANIMAL, crop_of
from trainables.data.options import DATA_BOXES, PrepareOptions
from trainables.data.photo_files import Found, PhotoFile, path_key
from trainables.errors import UserError

_NEEDS = "--crop takes MegaDetector's results: an object with images and detection_categories, or a list of photos"


class _Detection(BaseModel):
    category: str
    conf: float = Field(ge=0, le=1)
    bbox: tuple[float, float, float, float]


class _Image(BaseModel):
    """A photo that failed has a `failure` and no list: not the same as an empty one."""

    file: str
    detections: list[_Detection] | None = None
    failure: str | None = None
    frame_rate: float | None = None


class _Results(BaseModel):
    detection_categories: dict[str, str]
    images: list[_Image]


class _PixelDetection(BaseModel):
    category: str
    confidence: float = Field(ge=0, le=1)
    bbox: tuple[float, float, float, float]


class _PixelImage(BaseModel):
    file: str
    detections: list[_PixelDetection]


@dataclass(frozen=True)
class Detections:
    """A detector's results: `boxes` of animals by photo, None where the detector failed, whose words are in `failures`.

    The keys are the file's own paths with "/", `whole` is the file as it stands, `relative` whether it is format A.
    """

    file: Path
    sha256: str
    relative: bool
    boxes: Mapping[str, list[Box] | None]
    failures: Mapping[str, str]
    videos: int
    whole: Any

    def of_photos(self, sources: Sequence[str]) -> tuple[dict[str, str], str]:
        """The file's key of each of `sources` that it has, and what was changed to find them ("" for nothing)."""
        keys = list(self.boxes)
        dropped, front = common_offset(keys, [path_key(source) for source in sources])
        local = LocalFiles(sources)
        found = {local.at(front + key.split("/", dropped)[-1]): key for key in keys if key.count("/") >= dropped}
        changed = f"without their first {dropped} folders" if dropped else f"below {front}" if front else ""
        return {source: key for source, key in found.items() if source is not None}, changed


def read_detections(file: Path) -> Detections:
    """Read a results file.

    Raises:
        UserError: it cannot be read, or is of neither format.
    """
    try:
        content = file.read_bytes()
        whole = json.loads(content)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; {_NEEDS}") from None
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}); {_NEEDS}") from None
    try:
        boxes, failures, videos = _by_pixels(whole) if isinstance(whole, list) else _by_shares(whole)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: {at or 'it'}: {first['msg']}; {_NEEDS}") from None
    digest = hashlib.sha256(content).hexdigest()
    return Detections(file, digest, not isinstance(whole, list), boxes, failures, videos, whole)


_Read = tuple[dict[str, list[Box] | None], dict[str, str], int]


def _by_shares(whole: object) -> _Read:
    results = _Results.model_validate(whole)
    # By the name: the ids are not fixed, and an id that is not listed means that nothing was detected.
    animals = {number for number, name in results.detection_categories.items() if name.strip().lower() == ANIMAL}
    boxes: dict[str, list[Box] | None] = {}
    failures, videos = {}, 0
    for image in results.images:
        path = path_key(image.file)
        if image.frame_rate is not None:
            videos += 1
        elif image.failure or image.detections is None:
            boxes[path], failures[path] = None, image.failure or "no list of detections"
        else:
            found = [one for one in image.detections if one.category in animals]
            boxes[path] = [Box(*one.bbox, confidence=one.conf) for one in found]
    return boxes, failures, videos


def _by_pixels(whole: object) -> _Read:
    boxes: dict[str, list[Box] | None] = {}
    for image in TypeAdapter(list[_PixelImage]).validate_python(whole):
        found = [one for one in image.detections if one.category.strip().lower() == ANIMAL]
        boxes[path_key(image.file)] = [
            Box(left, top, right - left, bottom - top, relative=False, confidence=one.confidence)
            for one in found
            for left, top, right, bottom in [one.bbox]
        ]
    return boxes, {}, 0


def crop_found(found: Found, options: PrepareOptions) -> Crops | None:
    """Put the crops that are asked for in the place of the photos; how they are made, None where whole photos are used.

    Raises:
        UserError: the detector's file cannot be read, or speaks of none of the photos.
    """
    if options.crop is None:
        return None
    how = {"min_confidence": options.min_confidence, "padding": options.crop_padding}
    if options.crop == DATA_BOXES:
        return Crops(file=None, sha256=None, **how)
    detections = read_detections(Path(options.crop))
    crop_photos(found, detections, options.min_confidence)
    return Crops(file=str(detections.file.absolute()), sha256=detections.sha256, **how)


def crop_photos(found: Found, detections: Detections, min_confidence: float) -> None:
    """Put the crops of the detected animals in the place of the photos of `found`.

    Raises:
        UserError: the file knows none of the photos.
    """
    keys, changed = detections.of_photos([photo.source for photo in found.photos])
    if not keys and found.photos:
        raise UserError(
            f"{detections.file} speaks of none of the {len(found.photos)} photos: it has paths such as "
            f"{next(iter(detections.boxes), '(none)')}, and here is {found.photos[0].source}"
        )
    if changed:
        found.warnings.append(f"the paths of {detections.file.name} are those of the photos {changed}")
    crops: list[PhotoFile] = []
    for photo in found.photos:
        if photo.source not in keys:
            found.exclude(
                photo.source, "not_in_detections", f"{detections.file.name} does not have it", photo.class_name
            )
            continue
        boxes = detections.boxes[keys[photo.source]]
        if boxes is None:
            why = detections.failures[keys[photo.source]]
            found.exclude(photo.source, "detector_failed", why, photo.class_name)
            continue
        sure = [box for box in boxes if box.confidence >= min_confidence]
        if not sure:
            best = max((box.confidence for box in boxes), default=None)
            seen = "nothing was seen" if best is None else f"at most {best:.2f} sure, and {min_confidence} is asked for"
            found.exclude(photo.source, "no_detection", f"no animal: {seen}", photo.class_name)
        crops += [crop_of(photo, box) for box in sure]
    counts = Counter(photo.photo_id for photo in crops)  # A detector may give one box twice.
    found.photos = sorted({photo.photo_id: photo for photo in crops}.values())
    if more := counts.total() - len(found.photos):
        found.warnings.append(f"{more} boxes stand twice in {detections.file.name}")
    if detections.videos:
        found.warnings.append(f"{detections.videos} videos of {detections.file.name} are passed over")
