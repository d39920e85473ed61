"""Evaluation of the final model on labelled photos of one's own."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_fscore_support

from trainables.data.formats.megadetector import crop_found
from trainables.data.layouts import find_photos
from trainables.data.options import DATA_BOXES, PrepareOptions
from trainables.data.photo_files import PhotoFile, label_key, photo_bytes
from trainables.errors import UserError
from trainables.files.experiment import EVALUATION_FILE, FAMILIES_FILE, PREDICTIONS_FILE
from trainables.files.output import whole_or_nothing, write_json, write_rows
from trainables.inference.keras_model import Answer, Classifier
from trainables.inference.origin import origin_of
from trainables.intervals import Interval, Scores, scores, share

FAMILIES = ("family", "photos", "right", "recall", "recall_low", "recall_high", "precision", "f1")
PREDICTIONS = ("source", "family", "predicted", "probability", "box")  # box: "" for a whole photo


class FamilyScores(NamedTuple):
    """One family: `right` of its `photos` were named so; `recall` is their share, with Wilson's interval."""

    family: str
    photos: int
    right: int
    recall: Interval
    precision: float
    f1: float


class Evaluation(NamedTuple):
    """A model's answers on the photos of `root`: `rows` are (photo, answer), `families` the lowest F1 first.

    `unreadable` holds the problems of photos that were left out, `unknown` the photos of each family that the model
    does not know, `seen` the photos, byte for byte, that the model was trained on; `passed_over` names the files and
    rows that are no labelled photos, "" where all are; `cautions` are sentences on how the photos were read.
    """

    root: Path
    scores: Scores
    families: list[FamilyScores]
    rows: list[tuple[PhotoFile, Answer]]
    unreadable: list[str]
    unknown: dict[str, int]
    seen: list[str]
    passed_over: str = ""
    cautions: Sequence[str] = ()

    def warnings(self) -> list[str]:
        """Sentences on what the figures do not tell, or should not be believed for."""
        said = []
        if self.seen:
            photos = f"{len(self.seen)} of the photos are photos that the model was trained on, such as {self.seen[0]}"
            said.append(f"{photos}: the figures flatter")
        if self.unknown:
            named = ", ".join(f"{family} ({photos})" for family, photos in sorted(self.unknown.items()))
            said.append(f"left out, because the model does not know their family: {named}")
        if self.passed_over:
            said.append(f"passed over: {self.passed_over}")
        if self.unreadable:
            said.append(f"left out, because unreadable: {len(self.unreadable)} photos, such as {self.unreadable[0]}")
        if self.scores.accuracy.wide:
            said.append(f"{self.scores.photos} photos say little: the intervals are wide")
        return [*said, *self.cautions]


def evaluate(classifier: Classifier, model: Path, root: Path, how: PrepareOptions | None = None) -> Evaluation:
    """Let a model name the photos below `root`, whose labels are those of `prepare`: class folders, or metadata.

    A label is the model's family also where it differs in case or blanks. Where photos are cropped, each animal is one.

    Args:
        model: the model's folder or file, for the dataset that it was trained on, if that is on this machine.
        how: its label_level, taxonomy, crop, min_confidence and crop_padding say what the photos are.

    Raises:
        UserError: there are no photos, or none of a family that the model knows.
    """
    names = {label_key(name): name for name in classifier.labels.class_names}
    how = how or PrepareOptions()
    found = find_photos(root, how.label_level, how.taxonomy, boxes=how.crop == DATA_BOXES)
    crop_found(found, how)
    place = found.folder(root)
    spelled = [(photo, names.get(label_key(photo.class_name))) for photo in sorted(found.photos, key=_place)]
    known = [photo._replace(class_name=name) for photo, name in spelled if name is not None]
    unknown = Counter(photo.class_name for photo, name in spelled if name is None)
    if not known:
        if not unknown:
            raise UserError(f"{root} has no photo that can be asked about: {found.passed_over()}")
        raise UserError(
            f"{root} has no photo of a family that the model knows: its families are {_some(sorted(unknown))}, "
            f"the model's {_some(sorted(names.values()))}"
        )
    boxes = [photo.box for photo in known]
    answers = classifier.answers([place / photo.source for photo in known], 1, boxes, how.crop_padding)
    rows = list(zip(known, answers, strict=True))
    unreadable = [f"{photo.source} {answer.problem}" for photo, answer in rows if answer.problem]
    rows = [(photo, answer) for photo, answer in rows if not answer.problem]
    if not rows:
        raise UserError(f"{root} has no photo that can be read: {unreadable[0]}")
    cautions = list(found.warnings)
    seen: list[str] = []
    try:
        dataset, splits = origin_of(model)
    except UserError as error:
        cautions.append(f"whether the model was trained on some of these photos is not known: {error}")
    else:
        if (dataset.manifest.crops is None) != (how.crop is None):
            was, here = ("whole photos", "crops") if how.crop else ("crops of animals", "whole photos")
            cautions.append(f"the model was trained on {was}, and these are {here}; see --crop")
        else:  # No crop has the bytes of a whole photo.
            trained = {photo.sha256 for split in splits for photo in dataset.photos(split)}
            seen = [photo.source for photo, _ in rows if _sha256(place, photo, how.crop_padding) in trained]
    truth = np.array([photo.class_name for photo, _ in rows])
    guess = np.array([answer.guesses[0].family for _, answer in rows])
    figures, families, passed_over = scores(truth, guess), _families(truth, guess), found.passed_over()
    return Evaluation(root, figures, families, rows, unreadable, dict(unknown), seen, passed_over, cautions)


def write_evaluation(found: Evaluation, out: Path) -> None:
    """Write families.csv, predictions.csv and evaluation.json to the new folder `out`."""
    told: dict[str, Any] = {
        "photos": found.scores.photos,
        "accuracy": found.scores.accuracy._asdict(),
        "macro_f1": found.scores.macro_f1._asdict(),
        "root": str(found.root.absolute()),
        "unknown_families": found.unknown,
        "unreadable": found.unreadable,
        "trained_on": found.seen,
        "warnings": found.warnings(),
    }
    families = [
        (each.family, each.photos, each.right, *(f"{part:.6f}" for part in (*each.recall, each.precision, each.f1)))
        for each in found.families
    ]
    predictions = [
        (
            *(photo.source, photo.class_name, answer.guesses[0].family, f"{answer.guesses[0].probability:.6f}"),
            answer.share.text() if answer.share else "",
        )
        for photo, answer in found.rows
    ]
    with whole_or_nothing(out) as folder:
        write_rows(folder / FAMILIES_FILE, FAMILIES, families)
        write_rows(folder / PREDICTIONS_FILE, PREDICTIONS, predictions)
        write_json(told, folder / EVALUATION_FILE)


def _place(photo: PhotoFile) -> tuple[str, Sequence[float]]:
    return photo.source, photo.box or ()


def _families(truth: npt.NDArray[np.str_], guess: npt.NDArray[np.str_]) -> list[FamilyScores]:
    names = np.unique(truth)
    tables = precision_recall_fscore_support(truth, guess, labels=names, average=None, zero_division=0.0)
    found = []
    for name, precision, _, f1, photos in zip(names, *tables, strict=True):
        right = int(((truth == name) & (guess == name)).sum())
        recall = share(right, int(photos))
        found.append(FamilyScores(str(name), int(photos), right, recall, float(precision), float(f1)))
    return sorted(found, key=lambda each: (each.f1, each.family))


def _sha256(root: Path, photo: PhotoFile, padding: float) -> str:
    return hashlib.sha256(photo_bytes(root, photo.source, photo.box, padding)[0]).hexdigest()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
