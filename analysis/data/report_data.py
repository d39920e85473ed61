"""Report data: records, frames, final stage and test scores of an experiment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.data.experiment import FinalStage, final_stage
from analysis.data.frames import Frames, frames
from search.records import Experiment
from trainables.errors import UserError
from trainables.intervals import Interval, Scores, scores

TOLERANCE = 5e-4  # metrics.json and predictions.csv are of the same model when their scores differ by less


@dataclass(frozen=True)
class ReportData:
    """`best` is the number of the best trial, None before there is one; `test` is None without test predictions.

    `baselines` are the frames of a sweep over backbones, to be shown beside this one: another's, or its own.
    """

    experiment: Experiment
    frames: Frames
    final: FinalStage | None
    test: Scores | None
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
    def front(self) -> pd.DataFrame:
        """The rows of the front's trials, best first; empty where the sweep weighs no cost."""
        return self.ranked[self.ranked["front"]] if self.experiment.cost else self.frames.trials.head(0)

    @property
    def test_photos(self) -> pd.DataFrame:
        """The kept model's predictions of the test photos; empty without a final stage."""
        return self.final.test_predictions if self.final else pd.DataFrame()

    @property
    def leaks(self) -> Mapping[str, Any] | None:
        """The final stage's proof that the splits are disjoint, None where there is none.

        `passed`; `pairs` of a, b (splits), by (which property), shared (how many); perhaps `notes`, as sentences.
        """
        return self.final.metrics.get("leaks") if self.final else None

    def test_interval(self, name: str) -> Interval | None:
        """Test `accuracy` or `macro_f1` with its interval; None without one or where the files disagree."""
        if self.test is None or self.final is None:
            return None
        own: Interval = getattr(self.test, name)
        reported = self.final.figures(self.final.tested, "test").get(name)
        return own if reported is not None and abs(own.value - reported) < TOLERANCE else None


def report_data(experiment: Experiment, baselines: Experiment | None = None) -> ReportData:
    """Compute what all sections share; `baselines` is another sweep that searched over backbones.

    Raises:
        UserError: a table of the final stage is damaged, or `baselines` did not search over backbones.
    """
    if baselines is not None and "backbone" not in baselines.sweep["space"]:
        raise UserError(f"--baselines {baselines.folder}: its sweep did not search over `backbone`")
    tables = frames(experiment)
    final = final_stage(experiment.final) if experiment.final else None
    test = score_test(final.test_predictions) if final and len(final.test_predictions) else None
    valued = tables.trials.dropna(subset=["value"])
    best = experiment.best.trial if experiment.best else None
    if best is None and len(valued):
        place = valued["value"].argmax() if experiment.sweep["mode"] == "max" else valued["value"].argmin()
        best = int(valued["trial"].iloc[int(place)])
    return ReportData(experiment, tables, final, test, best, frames(baselines) if baselines is not None else tables)


def score_test(predictions: pd.DataFrame) -> Scores:
    """Scores of `predictions` (columns family, predicted, perhaps group), with 95 % intervals."""
    return scores(predictions["family"].to_numpy(), predictions["predicted"].to_numpy(), groups=groups_of(predictions))


def groups_of(predictions: pd.DataFrame) -> np.ndarray | None:
    """The group of each photo; None where predictions.csv is of a version that did not write it."""
    return predictions["group"].to_numpy() if "group" in predictions else None
