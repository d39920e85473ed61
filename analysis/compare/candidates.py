"""Candidates of a comparison: experiments and final models, and their scoreboard."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.data.experiment import FinalStage, final_stage, read
from analysis.data.frames import Column, typed
from analysis.data.report_data import ReportData, report_data, score_test
from search.records import read_final
from trainables.errors import UserError
from trainables.files.experiment import METRICS_FILE, SWEEP_FILE

# What two sweeps may differ in and still ask the same question.
_NOT_SETTINGS = {
    *("name", "experiment", "mirror", "seed", "storage", "store", "store_gb", "address", "resources"),
    "probe",  # Trials are the same with one and without.
}


@dataclass(frozen=True)
class Candidate:
    """One experiment, or a final model without one: `data` is None then; `label` tells it from the others."""

    label: str
    folder: Path
    data: ReportData | None
    final: FinalStage | None

    @property
    def test(self) -> pd.DataFrame:
        """The kept model's test predictions; empty without a final stage."""
        return self.final.test_predictions if self.final is not None else pd.DataFrame()

    @property
    def dataset(self) -> str | None:
        """The fingerprint of photos and split, as far as it is recorded."""
        if self.final is not None and self.final.metrics.get("dataset"):
            return str(self.final.metrics["dataset"].get("fingerprint"))
        best = self.data.experiment.best if self.data else None
        return best.dataset_fingerprint if best else None

    @property
    def settings(self) -> str:
        """Everything in the sweep file that is not its name, place, machine or seed: equal for runs of one sweep.

        The dataset counts by its fingerprint, not by where it lies.
        """
        return str(self.folder) if self.data is None else json.dumps(self.own_settings, sort_keys=True)

    @property
    def own_settings(self) -> dict[str, Any]:
        """What `settings` is made of, as the sweep file has it; empty without a sweep."""
        if self.data is None:
            return {}
        sweep = self.data.experiment.sweep
        sweep = sweep | {"dataset": self.dataset or sweep["dataset"]}
        return {key: value for key, value in sweep.items() if key not in _NOT_SETTINGS}


def candidates(folders: Sequence[Path | str]) -> list[Candidate]:
    """Read them in the order given.

    Raises:
        UserError: a folder is given twice, or holds neither an experiment nor a final stage, or is damaged.
    """
    found = []
    for label, path in distinct(folders).items():
        if (path / METRICS_FILE).is_file() and not (path / SWEEP_FILE).is_file():
            found.append(Candidate(label, path, None, final_stage(read_final(path))))
        else:
            data = report_data(read(path))
            found.append(Candidate(label, path, data, data.final))
    return found


def distinct(folders: Sequence[Path | str]) -> dict[str, Path]:
    """Absolute paths by the shortest ends that tell all of them apart.

    Raises:
        UserError: a folder is given twice, or there is none.
    """
    paths = [Path(folder).absolute() for folder in folders]
    if not paths:
        raise UserError("no experiment is given; give the folders that `python -m search run` wrote")
    twice = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise UserError(f"{twice[0]} is given twice; each experiment counts once")
    for length in range(1, max(len(path.parts) for path in paths)):
        short = {"/".join(path.parts[-length:]): path for path in paths}
        if len(short) == len(paths):
            return short
    return {str(path): path for path in paths}


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
    "test_accuracy_low": Column("share of 1", "lower end of its 95 % Wilson interval over test photos", "float"),
    "test_accuracy_high": Column("share of 1", "upper end", "float"),
}


def scoreboard(candidates: Sequence[Candidate]) -> pd.DataFrame:
    """A row for each, in their order, with the columns of COLUMNS; empty cells where something has not been run."""
    known = list(dict.fromkeys(candidate.settings for candidate in candidates))
    rows = []
    for candidate in candidates:
        data, seed = candidate.data, None
        if data is not None:
            seed = data.experiment.sweep.get("seed")
        elif candidate.final is not None:
            seed = (candidate.final.metrics.get("config") or {}).get("sweep_seed")
        row: dict[str, Any] = {"experiment": candidate.label, "dataset": candidate.dataset}
        row["seed"] = int(seed) if isinstance(seed, int | float) else None
        row["settings"] = 1 + known.index(candidate.settings)
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
