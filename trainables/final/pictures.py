"""Pictures for the report: samples of each family, augmentation, confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from sklearn.metrics import confusion_matrix

from trainables.activations.augment import augmented
from trainables.activations.photos import Photos
from trainables.config import TrialConfig
from trainables.files.experiment import AUGMENTATION_FILE, SAMPLES_FILE

Pixels = npt.NDArray[np.uint8]

SIDE = 88  # of a thumbnail, in pixels
GAP = 6
LABEL_HEIGHT = 14
PHOTOS_PER_FAMILY = 6
PREVIEW_PHOTOS = 4
PREVIEW_VIEWS = 6
MOST_FAMILIES = 24  # more rows than this are scrolled past

NAMED = 60  # most families whose names can still be read beside the confusion matrix
NUMBERED = 15  # most families whose shares can still be read in its cells


def write_pictures(photos: Photos, class_names: Sequence[str], config: TrialConfig, folder: Path) -> None:
    """Write samples.jpg (a row per family) and augmentation.jpg (a row per photo) into a new folder.

    Only training photos are shown: test stays unseen. The most numerous and the rarest families are shown where there
    are more than `MOST_FAMILIES`.
    """
    folder.mkdir()
    sample_grid(photos, class_names).save(folder / SAMPLES_FILE, quality=85)
    augmentation_preview(photos, config).save(folder / AUGMENTATION_FILE, quality=85)


def evenly_spaced(rows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
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
        labels.append(f"{class_names[family]} ({counts[family]})")
    return _grid(rows, labels)


def augmentation_preview(photos: Photos, config: TrialConfig) -> Image.Image:
    """A row for each of a few photos: as it is, then its first views as training sees them."""
    chosen = evenly_spaced(np.arange(len(photos)), PREVIEW_PHOTOS)
    pixels = photos.read(chosen)
    ids = [photos.photo_ids[row] for row in chosen]
    columns = [pixels]
    for view in range(min(PREVIEW_VIEWS, config.augment_views)):
        columns.append(augmented(pixels, ids, view, config).numpy().round().astype(np.uint8))
    rows = [np.stack(row) for row in zip(*columns, strict=True)]
    return _grid(rows, [f"photo {photo}: as it is, then its views" for photo in ids])


def _grid(rows: Sequence[Pixels], labels: Sequence[str]) -> Image.Image:
    """Thumbnails row by row, each row under its label."""
    step = SIDE + GAP
    row_height = SIDE + LABEL_HEIGHT + GAP
    widest = max(len(row) for row in rows)
    grid = Image.new("RGB", (widest * step + GAP, len(rows) * row_height + GAP), "white")
    draw = ImageDraw.Draw(grid)
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        top = GAP + number * row_height
        draw.text((GAP, top - 2), label, fill="black")
        for column, pixels in enumerate(row):
            thumbnail = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            grid.paste(thumbnail, (GAP + column * step, top + LABEL_HEIGHT))
    return grid


def confusion_shares(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """Row: the true family; column: the answer; the share of that family's photos, float64 [classes, classes], 0..1.

    The row of a family without photos is NaN.
    """
    counts = confusion_matrix(labels, predicted, labels=np.arange(classes))
    photos = counts.sum(axis=1, keepdims=True)
    shares: npt.NDArray[np.float64] = np.divide(counts, photos, out=np.full(counts.shape, np.nan), where=photos > 0)
    return shares


def draw_confusion(
    labels: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], class_names: Sequence[str], file: Path
) -> None:
    """Draw the matrix into a PNG; families without a photo in `labels` have no row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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
        names = np.array(class_names)
        axes.set_xticks(range(len(columns)), names[columns].tolist(), rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), names[rows].tolist(), fontsize=8)
    else:
        axes.set(xticks=[], yticks=[])
    if max(shown.shape) <= NUMBERED:
        for (row, column), share in np.ndenumerate(shown):
            if share:
                colour = "white" if share > 0.6 else "black"
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=8, color=colour)
    FigureCanvasAgg(figure).print_png(str(file))
