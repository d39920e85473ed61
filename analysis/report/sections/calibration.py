"""Calibration: reliability diagram of the final model's probabilities."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.data.report_data import ReportData
from analysis.render.section import Head, Line, Part, Section, Table
from analysis.render.svg import BLUE, FAINT, MUTED, Picture, Size, canvas, legend, scale_for
from analysis.render.wording import decimals, percent, plural
from analysis.report.sections import MISTAKES
from trainables.guarantee import BINS, calibration_error


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
    parts: list[Part] = [Picture("calibration", title, describe(bins), partial(draw, bins), note)]
    held = (data.final.metrics.get("guarantee") if data.final else None) or {}
    if held.get("test"):
        parts.append(guarantee_table(held))
    return Section(MISTAKES, tuple(parts))


def guarantee_table(held: Mapping[str, Any]) -> Table:
    """How temperature, sets and "unknown" held on test, from the final stage's `guarantee`."""
    test, asked = held["test"], percent(held["coverage"], 0)
    rows = [
        (f"sets of {asked} hold the right family", _with_interval(test["coverage"])),
        ("families in a set, on average", decimals(test["size"], 2)),
        ("sets of one family", percent(test["single"])),
        ("expected calibration error without temperature", percent(test["error_before"])),
        ("expected calibration error with it", percent(test["error"])),
        ("called unknown by mistake", percent(test["alarms"])),
    ]
    if test["rare_photos"]:
        photos = plural(test["rare_photos"], "photo")
        few = f"… of families with fewer than {held['rare_below']} photos ({photos})"
        rows.insert(1, (few, _with_interval(test["rare"])))
    note = (
        f"Fitted on {plural(held['photos'], 'validation photo')}: temperature {decimals(held['temperature'], 3)}. "
        f"`predict --coverage {held['coverage']}` gives the sets. They hold the right family that often on average "
        "over photos, not in each family."
    )
    title = f"Answers with a guarantee, on {plural(test['photos'], 'test photo')}"
    return Table("guarantee", title, (Head(""), Head("", "num")), tuple(Line(row) for row in rows), note)


def _with_interval(found: Mapping[str, float]) -> str:
    return f"{percent(found['value'])} ({percent(found['low'])} to {percent(found['high'])})"


def calibration(predictions: pd.DataFrame, bins: int = BINS) -> Calibration:
    """Compute it from columns family, predicted and calibrated (the prediction's probability with the temperature).

    Without the last, of models of earlier versions, from probability.
    """
    calibrated = "calibrated" in predictions and predictions["calibrated"].notna().all()
    probability = predictions["calibrated" if calibrated else "probability"].to_numpy(float)
    right = (predictions["family"] == predictions["predicted"]).to_numpy(float)
    place = np.minimum((probability * bins).astype(int), bins - 1)
    photos = np.bincount(place, minlength=bins)
    used = photos > 0
    confidence = np.bincount(place, probability, bins)[used] / photos[used]
    accuracy = np.bincount(place, right, bins)[used] / photos[used]
    error = calibration_error(probability, right == 1, bins)
    return Calibration(confidence, accuracy, photos[used], error, float(probability.mean()), float(right.mean()))


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
