"""Candidates of a comparison: experiments and final models."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.data.experiment import read
from analysis.data.final_stage import FinalStage, final_stage
from analysis.data.report_data import ReportData, report_data
from search.records import read_final
from trainables.errors import UserError
from trainables.files.experiment import METRICS_FILE, SWEEP_FILE

# What two sweeps may differ in and still ask the same question.
_NOT_SETTINGS = {"name", "experiment", "mirror", "seed", "storage", "store", "store_gb", "address", "resources"}


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
    def seed(self) -> int | None:
        """The sweep's seed, or that of the final model's configuration."""
        seed = None
        if self.data is not None:
            seed = self.data.experiment.sweep.get("seed")
        elif self.final is not None:
            seed = (self.final.metrics.get("config") or {}).get("sweep_seed")
        return int(seed) if isinstance(seed, int | float) else None

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
        if self.data is None:
            return str(self.folder)
        sweep = self.data.experiment.sweep
        sweep = sweep | {"dataset": self.dataset or sweep["dataset"]}
        return json.dumps({key: value for key, value in sweep.items() if key not in _NOT_SETTINGS}, sort_keys=True)


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
    """Absolute paths by a short label each.

    Raises:
        UserError: a folder is given twice, or there is none.
    """
    paths = [Path(folder).absolute() for folder in folders]
    if not paths:
        raise UserError("no experiment is given; give the folders that `python -m search run` wrote")
    twice = [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]
    if twice:
        raise UserError(f"{twice[0]} is given twice; each experiment counts once")
    return dict(zip(labels(paths), paths, strict=True))


def labels(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell all of them apart."""
    for length in range(1, max(len(path.parts) for path in paths)):
        short = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(short)) == len(short):
            return short
    return [str(path) for path in paths]
