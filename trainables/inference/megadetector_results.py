"""Predictions in MegaDetector's results format 1.6, for Timelapse, AddaxAI and others that read it.

The format: https://lila.science/megadetector-output-format
"""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainables.data.crops import Box
from trainables.data.formats.megadetector import Detections
from trainables.data.images import ImageUnreadable, image_size
from trainables.data.photo_files import path_key
from trainables.files.output import write_json
from trainables.inference.crops import Result
from trainables.inference.keras_model import Answer

VERSION = "1.6"
_CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
_WHOLE = [0.0, 0.0, 1.0, 1.0]


def write_results(
    file: Path, results: Sequence[Result], class_names: Sequence[str], model: str, detections: Detections | None
) -> None:
    """Write the predictions as classifications into the detector's results.

    Everything that the detector wrote stays, but for classifications of another classifier. Without a detector each
    photo has one detection, the whole photo, whose confidence is the likeliest family's probability.
    """
    numbers = {name: str(number) for number, name in enumerate(class_names)}
    if detections is not None and detections.relative:
        written = _into(detections, results, numbers)
    elif detections is not None:
        written = {"images": [_of_pixels(image, results, numbers) for image in detections.whole]}
    else:
        written = {"images": [_whole_photo(result, numbers) for result in results]}
    info = written.get("info") if isinstance(written.get("info"), dict) else {}
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    written["info"] = {
        **({"detector": "none: whole photos"} if detections is None else {}),
        **info,  # type: ignore[dict-item]
        "format_version": VERSION,
        "classifier": model,
        "classification_completion_time": now,
    }
    written.setdefault("detection_categories", _CATEGORIES)
    written["classification_categories"] = {number: name for name, number in numbers.items()}
    order = ("info", "detection_categories", "classification_categories")
    write_json({key: written[key] for key in (*order, *(key for key in written if key not in order))}, file)


def _classified(answer: Answer, numbers: dict[str, str]) -> list[list[Any]]:
    return [[numbers[guess.family], round(guess.probability, 6)] for guess in answer.guesses]


def _into(detections: Detections, results: Sequence[Result], numbers: dict[str, str]) -> dict[str, Any]:
    """The detector's whole file with the classifications in it."""
    whole: dict[str, Any] = copy.deepcopy(detections.whole)
    whole.pop("classification_category_descriptions", None)  # They belong to the categories that are replaced.
    by_key = {result.key: result for result in results if result.key is not None}
    for image in whole["images"]:
        if image.get("detections") is None and not image.get("failure"):
            image["failure"] = "no list of detections"
        if "frame_rate" in image:  # Older files lack what 1.6 asks for.
            frames = sorted({one["frame_number"] for one in image.get("detections") or [] if "frame_number" in one})
            image.setdefault("frames_processed", frames)
        result = by_key.get(path_key(image["file"]))
        answers = {answer.box: answer for answer in result.answers} if result else {}
        for detection in image.get("detections") or []:
            detection.pop("classifications", None)
            detection["conf"] = float(detection["conf"])
            left, top, width, height = map(float, detection["bbox"])
            answer = answers.get(Box(left, top, width, height, confidence=detection["conf"]))
            if answer is not None and answer.guesses and whole["detection_categories"].get(detection["category"]):
                detection["classifications"] = _classified(answer, numbers)
    return whole


def _of_pixels(image: dict[str, Any], results: Sequence[Result], numbers: dict[str, str]) -> dict[str, Any]:
    """A photo of the other format, its boxes as shares of the sides."""
    words = {name: number for number, name in _CATEGORIES.items()}
    path = str(image["file"])
    result = next((one for one in results if one.key == path_key(path)), None)
    try:
        width, height = image_size((result.photo if result else Path(path)).read_bytes())
    except (OSError, ImageUnreadable) as error:
        return {"file": path, "failure": f"its size is not known: {error}", "detections": None}
    answers = {answer.box: answer for answer in result.answers} if result else {}
    detections = []
    for one in image["detections"]:
        left, top, right, bottom = map(float, one["bbox"])
        pixels = Box(left, top, right - left, bottom - top, False, one["confidence"])
        share = pixels.of(width, height)
        written = {
            "category": words.get(str(one["category"]).lower(), "1"),
            "conf": float(one["confidence"]),
            "bbox": [round(value, 6) for value in share[:4]],
        }
        answer = answers.get(pixels)
        if answer is not None and answer.guesses:
            written["classifications"] = _classified(answer, numbers)
        detections.append(written)
    return {"file": path, "detections": detections}


def _whole_photo(result: Result, numbers: dict[str, str]) -> dict[str, Any]:
    [answer] = result.answers
    if answer.problem:
        return {"file": result.source, "failure": answer.problem, "detections": None}
    detection = {
        "category": "1",
        "conf": round(answer.guesses[0].probability, 6),
        "bbox": _WHOLE,
        "classifications": _classified(answer, numbers),
    }
    return {"file": result.source, "detections": [detection]}
