"""Several experiments in one frame: a row for each, with its seed, its scores and how sure they are."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.compare.candidates import Candidate
from analysis.data.frames import Column
from analysis.data.intervals import PhotoScores, score_test

COLUMNS = {
    "experiment": Column("", "the shortest end of its folder's path that tells it from the others"),
    "settings": Column("", "number of its settings, from 1: the same for sweeps that differ in nothing but the seed"),
    "seed": Column("", "seed of the sweep"),
    "dataset": Column("", "fingerprint of photos and split"),
    "metric": Column("", "the sweep's objective"),
    "trials": Column("trials", "how many were begun"),
    "epochs": Column("epochs", "how many were run, over all trials"),
    "seconds": Column("seconds", "wall-clock time of the sweep"),
    "best_value": Column("as the objective", "best objective of the sweep, on the photos that it was chosen by"),
    "best_trial": Column("", "number of that trial"),
    "test_photos": Column("photos", "how many test photos the final model was judged on"),
    "test_macro_f1": Column("share of 1", "the final model's macro F1 on test"),
    "test_macro_f1_low": Column("share of 1", "lower end of its 95 % bootstrap interval over test photos"),
    "test_macro_f1_high": Column("share of 1", "upper end"),
    "test_accuracy": Column("share of 1", "the final model's accuracy on test"),
    "test_accuracy_low": Column("share of 1", "lower end of its 95 % bootstrap interval over test photos"),
    "test_accuracy_high": Column("share of 1", "upper end"),
}
_TYPES: Any = dict.fromkeys(["seed", "trials", "epochs", "best_trial", "test_photos"], "Int64") | dict.fromkeys(
    [name for name, column in COLUMNS.items() if column.unit in {"share of 1", "seconds", "as the objective"}], float
)


def scoreboard(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """A row for each, in their order, with the columns of COLUMNS; empty cells where something has not been run."""
    known = list(dict.fromkeys(candidate.settings for candidate in candidates))
    rows = [_row(candidate) | {"settings": 1 + known.index(candidate.settings)} for candidate in candidates]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(_TYPES)


def _row(candidate: Candidate) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": candidate.label, "seed": candidate.seed, "dataset": candidate.dataset}
    found = candidate.findings
    if found is not None:
        trials = found.frames.trials
        row |= {"metric": found.metric, "trials": len(trials), "epochs": int(trials["epochs"].sum())}
        row |= {"seconds": (found.experiment.summary or {}).get("wall_seconds")}
        row |= {"best_value": found.best_value, "best_trial": found.best}
    scores = _scores(candidate)
    if scores is not None:
        row["test_photos"] = scores.photos
        for name in ("macro_f1", "accuracy"):
            value, low, high = getattr(scores, name)
            row |= {f"test_{name}": value, f"test_{name}_low": low, f"test_{name}_high": high}
    return row


def _scores(candidate: Candidate) -> PhotoScores | None:
    if candidate.findings is not None:
        return candidate.findings.test
    return score_test(candidate.test) if len(candidate.test) else None
