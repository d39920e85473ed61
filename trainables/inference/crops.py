"""What a model is asked about: whole photos, or the animals that a detector found in them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainables.data.crops import Box
from trainables.data.formats.megadetector import Detections
from trainables.errors import UserError
from trainables.inference.keras_model import Answer, Classifier

UNSEEN, FAILED, EMPTY = "is not in the detector's file", "the detector failed", "no animal was detected"


class Result(NamedTuple):
    """All that is known of one photo: `source` is its path below the folder that was named, or the name of a file.

    `answers` is one for the whole photo, or one for each box; `key` is the photo's path in the detector's file. `why`
    says why a photo was not asked about: UNSEEN, FAILED or EMPTY, with the detector's words.
    """

    photo: Path
    source: str
    answers: list[Answer]
    key: str | None = None
    why: str | None = None


def sources_of(photos: Sequence[Path], named: Sequence[Path]) -> list[str]:
    """The photos' paths below the folders that were named, with "/"."""
    folders = [path for path in named if path.is_dir()]
    found = []
    for photo in photos:
        above = next((folder for folder in folders if photo.is_relative_to(folder)), photo.parent)
        found.append(photo.relative_to(above).as_posix())
    return found


def ask(
    classifier: Classifier,
    photos: Sequence[Path],
    sources: Sequence[str],
    top: int,
    detections: Detections | None = None,
    min_confidence: float = 0.0,
    padding: float = 0.0,
    coverage: float | None = None,
    sure: float | None = None,
) -> list[Result]:
    """Ask about each photo, or about each animal in it of which a detector is sure enough.

    Args:
        coverage, sure: as in `Classifier.answers`.

    Raises:
        UserError: the detector's file knows none of the photos.
    """
    if detections is None:
        return [
            Result(photo, source, [answer])
            for photo, source, answer in zip(
                photos, sources, classifier.answers(photos, top, coverage=coverage, sure=sure), strict=True
            )
        ]
    keys, _ = detections.of_photos(sources)
    if not keys:
        raise UserError(
            f"{detections.file} speaks of none of the {len(photos)} photos: it has paths such as "
            f"{next(iter(detections.boxes), '(none)')}, and here is {sources[0]}"
        )
    results = [_planned(photo, source, keys, detections) for photo, source in zip(photos, sources, strict=True)]
    boxes = [_sure(result, detections, min_confidence) for result in results]
    asked = [(result.photo, box) for result, of_photo in zip(results, boxes, strict=True) for box in of_photo]
    named, wanted = [photo for photo, _ in asked], [box for _, box in asked]
    answers = iter(list(classifier.answers(named, top, wanted, padding, coverage, sure)))
    return [
        result._replace(answers=[next(answers) for _ in of_photo], why=result.why or (None if of_photo else EMPTY))
        for result, of_photo in zip(results, boxes, strict=True)
    ]


def _planned(photo: Path, source: str, keys: dict[str, str], detections: Detections) -> Result:
    key = keys.get(source)
    if key is None:
        return Result(photo, source, [], None, UNSEEN)
    failed = f"{FAILED}: {detections.failures[key]}" if key in detections.failures else None
    return Result(photo, source, [], key, failed)


def _sure(result: Result, detections: Detections, min_confidence: float) -> list[Box]:
    boxes = detections.boxes[result.key] if result.key is not None else None
    return [box for box in boxes or [] if box.confidence >= min_confidence]
