"""Scoreboard: a row per experiment with seed, scores and intervals."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.compare.candidates import Candidate
from analysis.data.frames import Column, typed
from analysis.data.intervals import score_test

COLUMNS = {
    "experiment": Column("", "the shortest end of its folder's path that tells it from the others"),
    "settings": Column("", "number of its settings, from 1: the same for sweeps that differ in nothing but the seed"),
    "seed": Column("", "seed of the sweep", "Int64"),
    "dataset": Column("", "fingerprint of photos and split"),
    "metric": Column("", "the sweep's objective"),
    "trials": Column("trials", "how many were begun", "Int64"),
    "epochs": Column("epochs", "how many were run, over all trials", "Int64"),
    "seconds": Column("seconds", "wall-clock time of the sweep", "float"),
    "best_value": Column("as the objective", "best objective of the sweep, on the photos it was chosen by", "float"),
    "best_trial": Column("", "number of that trial", "Int64"),
    "test_photos": Column("photos", "how many test photos the final model was judged on", "Int64"),
    "test_macro_f1": Column("share of 1", "the final model's macro F1 on test", "float"),
    "test_macro_f1_low": Column("share of 1", "lower end of its 95 % bootstrap interval over test photos", "float"),
    "test_macro_f1_high": Column("share of 1", "upper end", "float"),
    "test_accuracy": Column("share of 1", "the final model's accuracy on test", "float"),
    "test_accuracy_low": Column("share of 1", "lower end of its 95 % bootstrap interval over test photos", "float"),
    "test_accuracy_high": Column("share of 1", "upper end", "float"),
}


def scoreboard(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """A row for each, in their order, with the columns of COLUMNS; empty cells where something has not been run."""
    known = list(dict.fromkeys(candidate.settings for candidate in candidates))
    rows = []
    for candidate in candidates:
        row: dict[str, Any] = {"experiment": candidate.label, "seed": candidate.seed, "dataset": candidate.dataset}
        row["settings"] = 1 + known.index(candidate.settings)
        data = candidate.data
        if data is not None:
            trials = data.frames.trials
            row |= {"metric": data.metric, "trials": len(trials), "epochs": int(trials["epochs"].sum())}
            row |= {"seconds": (data.experiment.summary or {}).get("wall_seconds")}
            row |= {"best_value": data.best_value, "best_trial": data.best}
        scores = data.test if data else score_test(candidate.test) if len(candidate.test) else None
        if scores is not None:
            row["test_photos"] = scores.photos
            for name in ("macro_f1", "accuracy"):
                value, low, high = getattr(scores, name)
                row |= {f"test_{name}": value, f"test_{name}_low": low, f"test_{name}_high": high}
        rows.append(row)
    return typed(rows, COLUMNS)
