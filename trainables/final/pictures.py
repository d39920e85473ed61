"""Pictures of the final stage: samples, augmentation, confusion matrix, mistakes, TensorBoard."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image, ImageDraw, ImageFont
from sklearn.metrics import confusion_matrix
from tensorboardX import SummaryWriter

from trainables.activations.augment import augmented
from trainables.activations.photos import Photos
from trainables.config import TrialConfig
from trainables.data.dataset import Dataset
from trainables.data.images import decode
from trainables.data.shards import read_split
from trainables.files.experiment import (
    AUGMENTATION_FILE,
    CONFUSION_FILE,
    EXAMPLES_FILE,
    HISTORY_FILE,
    MISTAKES_FILE,
    PICTURES_FOLDER,
    SAMPLES_FILE,
)
from trainables.files.output import read_rows, write_rows
from trainables.final.lettering import drawable, font_with, spelled
from trainables.inference.explain import GradCam, overlay

Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

SIDE = 88  # of a thumbnail, in pixels
GAP = 6
LABEL_HEIGHT = 14
PHOTOS_PER_FAMILY = 6
PREVIEW_PHOTOS = 4
PREVIEW_VIEWS = 6
MOST_FAMILIES = 24  # more rows than this are scrolled past

NAMED = 60  # most families whose names can still be read beside the confusion matrix
NUMBERED = 15  # most families whose shares can still be read in its cells

COLUMNS = ("photo", "cam", "photo_id", "source", "family", "predicted", "probability", "probability_true")
MOST = 24
MISTAKE_SIDE = 240  # longest side, in pixels

EXAMPLE_COLUMNS = ("file", "kind", "split", "photo_id", "family", "predicted", "probability")
EXAMPLE_SIDE = 128  # in pixels
PAIRS = 6
PHOTOS_PER_PAIR = 3
PHOTOS_TO_COMPARE = 2

_PICTURES = {  # TensorBoard orders by name: what matters most comes first.
    "1_confusion_matrix_test": CONFUSION_FILE,
    "3_augmentation": AUGMENTATION_FILE,
    "4_training_photos": SAMPLES_FILE,
}
_ACROSS = 3  # mistakes side by side, each a photo and its overlay
_GAP = 8
_LINE = 14  # height of a line of Pillow's own font, in pixels
_LETTERS = 11  # of another font, in pixels: as large as Pillow's own


def write_pictures(photos: Photos, dataset: Dataset, config: TrialConfig, folder: Path) -> None:
    """Write samples.jpg (a row per family) and augmentation.jpg (a row per photo) into `folder`; test stays unseen.

    `photos` are the training photos of `dataset`.
    Of more than `MOST_FAMILIES` families, the most numerous and the rarest are shown.
    """
    folder.mkdir(exist_ok=True)
    sample_grid(photos, dataset.class_names).save(folder / SAMPLES_FILE, quality=85)
    sources = [photo.source for photo in dataset.photos("train")]
    augmentation_preview(photos, sources, config).save(folder / AUGMENTATION_FILE, quality=85)


def evenly_spaced(rows: Ints, most: int) -> Ints:
    """Up to `most` of the rows, from the first to the last."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]


def sample_grid(photos: Photos, class_names: Sequence[str]) -> Image.Image:
    """A row of up to `PHOTOS_PER_FAMILY` evenly spaced photos for each family, most numerous first, with its name."""
    counts = np.bincount(photos.labels, minlength=len(class_names))
    order = np.argsort(-counts, kind="stable")
    if len(order) > MOST_FAMILIES:
        order = np.concatenate([order[: MOST_FAMILIES // 2], order[-MOST_FAMILIES // 2 :]])
    rows, labels = [], []
    for family in order:
        rows.append(photos.read(evenly_spaced(np.flatnonzero(photos.labels == family), PHOTOS_PER_FAMILY)))
        labels.append(f"{drawable(class_names[family], family)} ({counts[family]})")
    return _grid(rows, labels)


def augmentation_preview(photos: Photos, sources: Sequence[str], config: TrialConfig) -> Image.Image:
    """A row for each of a few photos, named by its path in `sources`: as it is, then its first views in training."""
    chosen = evenly_spaced(np.arange(len(photos)), PREVIEW_PHOTOS)
    pixels = photos.read(chosen)
    ids = [photos.photo_ids[row] for row in chosen]
    columns = [pixels]
    for view in range(min(PREVIEW_VIEWS, config.augment_views)):
        columns.append(augmented(pixels, ids, view, config).numpy().round().astype(np.uint8))
    rows = [np.stack(row) for row in zip(*columns, strict=True)]
    return _grid(rows, [f"{sources[row]}: as it is, then its views" for row in chosen])


def _grid(rows: Sequence[Pixels], labels: Sequence[str]) -> Image.Image:
    """Thumbnails row by row, each row under its label."""
    step, row_height = SIDE + GAP, SIDE + LABEL_HEIGHT + GAP
    widest = max(len(row) for row in rows)
    grid = Image.new("RGB", (widest * step + GAP, len(rows) * row_height + GAP), "white")
    draw = ImageDraw.Draw(grid)
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        top = GAP + number * row_height
        _write(draw, (GAP, top - 2), label)
        for column, pixels in enumerate(row):
            thumbnail = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            grid.paste(thumbnail, (GAP + column * step, top + LABEL_HEIGHT))
    return grid


def _write(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str) -> None:
    """A line of text, in Pillow's own font where that has its letters."""
    shown = spelled(text)
    file = None if shown.isascii() else font_with(shown)
    draw.text(place, shown, fill="black", font=ImageFont.truetype(file, _LETTERS) if file else None)


def confusion_shares(labels: Ints, predicted: Ints, classes: int) -> npt.NDArray[np.float64]:
    """Shares of each true family's photos (row) by answer (column), 0..1, float64 [classes, classes]; NaN: no photo."""
    counts = confusion_matrix(labels, predicted, labels=np.arange(classes))
    photos = counts.sum(axis=1, keepdims=True)
    shares: npt.NDArray[np.float64] = np.divide(counts, photos, out=np.full(counts.shape, np.nan), where=photos > 0)
    return shares


def draw_confusion(labels: Ints, predicted: Ints, class_names: Sequence[str], file: Path) -> None:
    """Draw the matrix into a PNG; families without a photo in `labels` have no row."""
    with rc_context({"text.parse_math": False}):  # A family called a$b$ is not a formula.
        _draw_confusion(labels, predicted, class_names, file)


def _draw_confusion(labels: Ints, predicted: Ints, class_names: Sequence[str], file: Path) -> None:
    shares = confusion_shares(labels, predicted, len(class_names))
    rows = np.flatnonzero(~np.isnan(shares[:, 0]))
    columns = np.flatnonzero(np.nansum(shares, axis=0) + np.isin(np.arange(len(class_names)), rows))
    shown = shares[np.ix_(rows, columns)]
    side = float(np.clip(2.5 + 0.28 * max(shown.shape), 5, 18))
    figure = Figure(figsize=(side + 1, side), layout="constrained", dpi=100)
    axes = figure.add_subplot()
    image = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    figure.colorbar(image, label="share of the family's test photos", format=lambda share, _: f"{share:.0%}")
    axes.set(title="Which families are taken for which (test)", xlabel="answer", ylabel="true family")
    if max(shown.shape) <= NAMED:
        for axis, families, turned in ((axes.xaxis, columns, 90), (axes.yaxis, rows, 0)):
            names = [drawable(class_names[family], family) for family in families.tolist()]
            axis.set_ticks(range(len(names)), names, rotation=turned)
            for text, name in zip(axis.get_ticklabels(), names, strict=True):
                text.set_fontproperties(FontProperties(fname=font_with(name), size=8))
    else:
        axes.set(xticks=[], yticks=[])
    if max(shown.shape) <= NUMBERED:
        for (row, column), share in np.ndenumerate(shown):
            if share:
                colour = "white" if share > 0.6 else "black"
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color=colour)
    FigureCanvasAgg(figure).print_png(str(file))


class Example(NamedTuple):
    """One photo to copy: `row` in its split, labels, and the prediction's `probability` (0..1; NaN in training).

    `kind` is "confused" (a test photo of a frequent pair of families) or "compare" (a training photo of the family
    predicted for such photos).
    """

    kind: str
    split: str
    row: int
    family: int
    predicted: int
    probability: float


def most_confident(labels: Ints, probabilities: Floats, most: int | None = MOST) -> list[tuple[int, int]]:
    """(row, predicted label) of at most `most` wrong answers (None: all), those with the highest probability first.

    `labels` [n] are the true ones; `probabilities` [n, classes].
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    return [(int(row), int(predicted[row])) for row in order[:most]]


def write_mistakes(model: Any, photos: Photos, probabilities: Floats, dataset: Dataset, folder: Path) -> None:
    """Write mistakes.csv with, for row NN, mistake_NN.jpg (the photo) and mistake_NN_cam.jpg (Grad-CAM over it).

    `model` maps pixels to probabilities; `photos` are the test split's, `probabilities` [n, classes] the model's.
    """
    folder.mkdir(exist_ok=True)
    rows: list[list[str]] = []
    if mistakes := most_confident(photos.labels, probabilities):
        places, labels = zip(*mistakes, strict=True)
        wanted = [photos.photo_ids[place] for place in places]
        encoded = {photo.photo_id: photo.image for photo in read_split(dataset, "test") if photo.photo_id in wanted}
        heats, listed = GradCam(model).heat(photos.read(np.array(places)), labels), dataset.photos("test")
        for number, (place, predicted, heat) in enumerate(zip(places, labels, heats, strict=True)):
            row, picture = listed[place], decode(encoded[wanted[number]])
            picture.thumbnail((MISTAKE_SIDE, MISTAKE_SIDE))
            names = (f"mistake_{number:02d}.jpg", f"mistake_{number:02d}_cam.jpg")
            for name, shown in zip(names, (picture, overlay(picture, heat)), strict=True):
                shown.save(folder / name, quality=80)
            texts = (row.photo_id, row.source, row.family, dataset.class_names[predicted])
            chances = probabilities[place, [predicted, row.label]]
            rows.append([*names, *texts, *(f"{chance:.6f}" for chance in chances)])
    write_rows(folder / MISTAKES_FILE, COLUMNS, rows)


def write_examples(
    test: Photos, train: Photos, class_names: Sequence[str], probabilities: Floats, folder: Path
) -> None:
    """Write examples.csv and a JPEG for each of its rows, at most 30, into `folder`.

    `probabilities` float32 [len(test), classes] are the kept model's; no photo is read again from the shards.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, example in enumerate(choose_examples(test.labels, train.labels, probabilities)):
        photos = test if example.split == "test" else train
        name = f"{number:03d}.jpg"
        picture = Image.fromarray(photos.read(np.array([example.row]))[0])
        picture.resize((EXAMPLE_SIDE, EXAMPLE_SIDE), Image.Resampling.BILINEAR).save(folder / name, quality=85)
        sure = "" if np.isnan(example.probability) else f"{example.probability:.6f}"
        names = (class_names[example.family], class_names[example.predicted])
        rows.append((name, example.kind, example.split, photos.photo_ids[example.row], *names, sure))
    write_rows(folder / EXAMPLES_FILE, EXAMPLE_COLUMNS, rows)


def choose_examples(labels: Ints, train_labels: Ints, probabilities: Floats) -> list[Example]:
    """The photos to show: of each frequent confusion the surest mistakes, then photos to compare them with."""
    mistakes = [(int(labels[row]), predicted, row) for row, predicted in most_confident(labels, probabilities, None)]
    # Where two pairs are as frequent, the surer one comes first.
    pairs = Counter((family, predicted) for family, predicted, _ in mistakes)
    chosen: list[Example] = []
    for (family, predicted), _ in pairs.most_common(PAIRS):
        rows = [row for *pair, row in mistakes if pair == [family, predicted]][:PHOTOS_PER_PAIR]
        chosen += [
            Example("confused", "test", row, family, predicted, float(probabilities[row, predicted])) for row in rows
        ]
        spread = evenly_spaced(np.flatnonzero(train_labels == predicted), PHOTOS_TO_COMPARE).tolist()
        chosen += [Example("compare", "train", row, predicted, predicted, float("nan")) for row in spread]
    return chosen


def write_final_board(final: Path, folder: Path) -> None:
    """Write TensorBoard runs from the files in `final`, in place of an earlier final stage's.

    `folder` has the pictures; `folder`_before and `folder`_after the curves, named as those of the sweep's trials, and
    `folder`_member_2 and so on those of an ensemble's further trainings.
    """
    curves = tuple(f"{folder.name}_{stage}" for stage in ("before", "after", "member_"))
    for old in [folder, *(each for each in folder.parent.iterdir() if each.name.startswith(curves))]:
        shutil.rmtree(old, ignore_errors=True)
    history = read_rows(final / HISTORY_FILE)
    for stage in dict.fromkeys(row["stage"] for row in history):
        with SummaryWriter(str(folder.with_name(f"{folder.name}_{stage}"))) as writer:
            for row in (row for row in history if row["stage"] == stage):
                for name, value in row.items():
                    if name not in ("stage", "epoch", "epoch_seconds"):
                        writer.add_scalar(name, float(value), int(row["epoch"]))
    pictures = final / PICTURES_FOLDER
    with SummaryWriter(str(folder)) as writer:
        for tag, name in _PICTURES.items():
            if not (pictures / name).is_file():  # Without test photos there is no confusion matrix.
                continue
            with Image.open(pictures / name) as picture:
                writer.add_image(tag, np.asarray(picture.convert("RGB")), dataformats="HWC")
        if (sheet := mistakes_sheet(pictures)) is not None:
            writer.add_image("2_most_confident_mistakes_test", sheet, dataformats="HWC")


def mistakes_sheet(pictures: Path) -> npt.NDArray[np.uint8] | None:
    """All mistakes of mistakes.csv on one sheet, uint8 [height, width, 3]; None where there are none."""
    file = pictures / MISTAKES_FILE
    mistakes = read_rows(file) if file.is_file() else []
    if not mistakes:
        return None
    width, height = 2 * MISTAKE_SIDE + 3 * _GAP, MISTAKE_SIDE + 3 * _LINE + _GAP
    lines = -(-len(mistakes) // _ACROSS)
    sheet = Image.new("RGB", (width * min(_ACROSS, len(mistakes)), height * lines), "white")
    draw = ImageDraw.Draw(sheet)
    for number, mistake in enumerate(mistakes):
        left, top = width * (number % _ACROSS) + _GAP, height * (number // _ACROSS) + _GAP
        _write(draw, (left, top), f"{mistake['predicted']}, {float(mistake['probability']):.0%}")
        _write(draw, (left, top + _LINE), f"in truth {mistake['family']}")
        for column, name in enumerate((mistake["photo"], mistake["cam"])):
            with Image.open(pictures / name) as picture:
                sheet.paste(picture, (left + column * (MISTAKE_SIDE + _GAP), top + 2 * _LINE + 4))
    return np.asarray(sheet)
