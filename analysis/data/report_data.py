"""All that a report is made of, read and computed once: records, frames, the final stage, the test score's interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.data.final_stage import FinalStage, final_stage
from analysis.data.frames import Frames, frames
from analysis.data.intervals import Interval, PhotoScores, score_test
from search.records import Experiment
from trainables.errors import UserError

TOLERANCE = 5e-4  # metrics.json and predictions.csv are of the same model when their scores differ by less


@dataclass(frozen=True)
class Findings:
    """`best` is the number of the best trial, None before there is one; `test` is None without test predictions.

    `baselines` are the frames of a sweep over backbones, to be shown beside this one: another's, or its own.
    """

    experiment: Experiment
    frames: Frames
    final: FinalStage | None
    test: PhotoScores | None
    best: int | None
    baselines: Frames

    @property
    def metric(self) -> str:
        """The objective's name."""
        return str(self.experiment.sweep["metric"])

    @property
    def mode(self) -> str:
        """ "max" or "min"."""
        return str(self.experiment.sweep["mode"])

    @property
    def best_value(self) -> float | None:
        """The best trial's objective."""
        values = self.frames.trials.loc[self.frames.trials["trial"] == self.best, "value"]
        return float(values.iloc[0]) if len(values) else None

    @property
    def ranked(self) -> pd.DataFrame:
        """The trials frame, best value first, those without a value last."""
        return self.frames.trials.sort_values(["value", "trial"], ascending=[self.mode == "min", True])

    @property
    def config(self) -> dict[str, Any]:
        """The best trial's full configuration; empty before there is one."""
        if self.experiment.best is not None:
            return self.experiment.best.config.model_dump()
        records = {record.number: record.config for record in self.experiment.trials}
        return records.get(self.best, {}) if self.best is not None else {}

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial could run."""
        planned = [int(record.config["epochs"]) for record in self.experiment.trials if "epochs" in record.config]
        return max(planned, default=int(self.frames.trials["epochs"].max() if len(self.frames.trials) else 0))

    @property
    def weights(self) -> Mapping[str, Any]:
        """What the backbone started from: `kind` or `requested`, perhaps `detail` and `warning`."""
        if self.final is not None and self.final.metrics.get("weights"):
            return dict(self.final.metrics["weights"])
        if self.experiment.best is not None:
            return self.experiment.best.weights
        return {"requested": self.config.get("weights", "auto")}

    @property
    def test_accuracy(self) -> Interval | None:
        """Test accuracy with its interval; None where there is none, or where the final stage's files disagree."""
        return self._agreed("accuracy")

    @property
    def test_macro_f1(self) -> Interval | None:
        """Test macro F1 with its interval, as `test_accuracy`."""
        return self._agreed("macro_f1")

    def _agreed(self, name: str) -> Interval | None:
        if self.test is None or self.final is None:
            return None
        own: Interval = getattr(self.test, name)
        reported = self.final.figures(self.final.chosen, "test").get(name)
        return own if reported is not None and abs(own.value - reported) < TOLERANCE else None


def find(experiment: Experiment, baselines: Experiment | None = None) -> Findings:
    """Compute everything that the report says; `baselines` is another sweep that searched over backbones.

    Raises:
        UserError: a table of the final stage is damaged, or `baselines` did not search over backbones.
    """
    if baselines is not None and "backbone" not in baselines.sweep["space"]:
        raise UserError(f"--baselines {baselines.folder}: its sweep did not search over `backbone`")
    tables = frames(experiment)
    final = final_stage(experiment.final) if experiment.final else None
    photos = final.test_predictions if final else pd.DataFrame()
    test = score_test(photos) if len(photos) else None
    beside = frames(baselines) if baselines is not None else tables
    return Findings(experiment, tables, final, test, _best(experiment, tables), beside)


def _best(experiment: Experiment, tables: Frames) -> int | None:
    if experiment.best is not None:
        return experiment.best.trial
    valued = tables.trials.dropna(subset=["value"])
    if valued.empty:
        return None
    place = valued["value"].argmax() if experiment.sweep["mode"] == "max" else valued["value"].argmin()
    return int(valued["trial"].iloc[int(place)])


def leak_pairs(findings: Findings) -> list[dict[str, Any]]:
    """What the leak proof compared, if it was made: a, b (splits), by (which property), shared (how many)."""
    return list((_leaks(findings) or {}).get("pairs", []))


def leak_notes(findings: Findings) -> list[str]:
    """What the proof does not forbid but a reader should know, as sentences."""
    return list((_leaks(findings) or {}).get("notes", []))


def _leaks(findings: Findings) -> dict[str, Any] | None:
    return findings.final.metrics.get("leaks") if findings.final else None
