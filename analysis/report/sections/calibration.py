"""Calibration: reliability diagram of the final model's probabilities."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Section
from analysis.render.svg import BLUE, FAINT, MUTED, Picture, Size, canvas, legend, scale_for
from analysis.render.wording import percent, plural
from analysis.report.sections import MISTAKES

BINS = 10


class Calibration(NamedTuple):
    """Photos binned by the probability of their prediction (bins of equal width, empty ones left out).

    `confidence` is a bin's mean probability, `accuracy` its share of right predictions, `photos` its size; `error` is
    the expected calibration error, the mean of |confidence − accuracy| weighted by photos (Guo et al. 2017, eq. 3).
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    photos: np.ndarray
    error: float
    mean_confidence: float
    mean_accuracy: float


def section(data: ReportData) -> Section | None:
    """The reliability diagram; None without test predictions."""
    if data.test_photos.empty:
        return None
    bins = calibration(data.test_photos)
    note = (
        "Test photos grouped by how sure the model was. Dots on the dashed line: its probabilities can be taken at "
        f"their word. Below the line: it is too sure. {describe(bins)}"
    )
    title = "Can the probabilities be believed?"
    return Section(MISTAKES, (Picture("calibration", title, describe(bins), partial(draw, bins), note),))


def calibration(predictions: pd.DataFrame, bins: int = BINS) -> Calibration:
    """Compute it from columns family, predicted and probability (of the prediction)."""
    probability = predictions["probability"].to_numpy(float)
    right = (predictions["family"] == predictions["predicted"]).to_numpy(float)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    photos = np.bincount(place, minlength=bins)
    used = photos > 0
    confidence = np.bincount(place, probability, bins)[used] / photos[used]
    accuracy = np.bincount(place, right, bins)[used] / photos[used]
    error = (photos[used] / max(photos.sum(), 1) * np.abs(confidence - accuracy)).sum()
    return Calibration(confidence, accuracy, photos[used], float(error), float(probability.mean()), float(right.mean()))


def describe(data: Calibration) -> str:
    """The picture, and what it means, in words: too sure, too unsure, or about right (within two points)."""
    gap, verdict = data.mean_confidence - data.mean_accuracy, "about as sure as it should be"
    if abs(gap) > 0.02:
        verdict = "surer than it should be" if gap > 0 else "less sure than it should be"
    return (
        f"On {plural(int(data.photos.sum()), 'test photo')} the model's probabilities average "
        f"{percent(data.mean_confidence)} and {percent(data.mean_accuracy)} of its answers are right: {verdict}. "
        f"Expected calibration error {percent(data.error)}."
    )


def draw(data: Calibration, size: Size) -> Figure:
    """Right share against probability, and how many photos stand behind each dot."""
    ratios: dict[str, Any] = {"width_ratios": [3, 2]} if size.wide else {"height_ratios": [5, 2]}
    figure, (above, below) = canvas(size, 380 if size.wide else 470, *size.beside(2), **ratios)
    above.plot([0, 1], [0, 1], color=MUTED, linestyle="--", linewidth=1.2, label="probability = share of right answers")
    above.vlines(data.confidence, data.confidence, data.accuracy, color=FAINT, linewidth=1.2, zorder=1)
    area = 20 + 200 * data.photos / data.photos.max()
    above.scatter(data.confidence, data.accuracy, s=area, color=BLUE, zorder=3)
    above.set_ylabel("share of right answers")
    above.set_ylim(-0.04, 1.06)
    below.bar(data.confidence, data.photos, width=0.06, color=BLUE)
    below.set_title("photos behind each dot")
    for axes in (above, below):
        axes.set_xlim(-0.03, 1.03)
        scale_for(axes, "accuracy", "x")
        axes.set_xlabel("probability given by the model")
    scale_for(above, "accuracy")
    legend(figure, above, size)
    return figure
