"""The confusion matrix of the final model on test, as one picture: which families are taken for which."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

NAMED = 60  # most families whose names can still be read beside the matrix
NUMBERED = 15  # most families whose counts can still be read in the cells


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
