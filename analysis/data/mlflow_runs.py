"""A sweep's trials and its final model as runs of an MLflow server.

Ray Tune's own callback leaves runs that say RUNNING for ever, calls trials that were stopped FINISHED, and keeps the
last epoch's metric; here the study says what a trial came to.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from search.records import Experiment, TrialRecord
from trainables.errors import UserError, message_of
from trainables.files.experiment import METRICS_FILE, MODEL_CARD

REQUIREMENTS = "requirements-mlflow.txt"
# MLflow has no word for a trial that was stopped early: it was ended from outside.
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "DIVERGED": "FAILED", "INFEASIBLE": "FAILED", "FAIL": "FAILED"}
_OPEN = "RUNNING"
_KEY, _STATE = "raretune.key", "raretune.state"
_AT_ONCE = 500
# MLflow 3 shows an experiment as traces of language models unless told otherwise.
_TRAINING = {"mlflow.experimentKind": "custom_model_development"}


def needed() -> Any:
    """The package mlflow, its entities loaded.

    Raises:
        UserError: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # Two lines for every run.
    try:
        import mlflow
        import mlflow.entities
    except ImportError:
        raise UserError(f"--mlflow needs MLflow: pip install -r {REQUIREMENTS}") from None
    return mlflow


def export_runs(experiment: Experiment, uri: str, page: Path | None = None) -> dict[str, int]:
    """Write the runs; those that are there already, ended and unchanged, stay as they are.

    Args:
        uri: of the tracking server, as MLflow takes it: http://host:5000, or sqlite:///mlflow.db.
        page: the report's page, whose folder becomes an artefact of the final run.

    Returns:
        how many runs were written and how many were there, by the words "written" and "kept".

    Raises:
        UserError: MLflow is not installed, or the server cannot be reached or refuses.
    """
    mlflow = needed()
    try:
        client = mlflow.MlflowClient(tracking_uri=uri)
        name = str(experiment.sweep["name"])
        known = client.get_experiment_by_name(name)
        number = known.experiment_id if known else client.create_experiment(name, tags=_TRAINING)
        writer = _Writer(client, mlflow.entities, number, experiment)
        for trial in experiment.trials:
            writer.trial(trial)
        if experiment.final is not None:
            writer.final(page)
    except Exception as error:  # Of MLflow, of requests, of the database below: all mean that it could not be written.
        if isinstance(error, UserError):
            raise
        raise UserError(f"the runs cannot be written to {uri}: {message_of(error)[:300]}") from None
    return {"written": writer.written, "kept": writer.kept}


class _Writer:
    """Runs of one experiment on one server."""

    def __init__(self, client: Any, entities: Any, experiment_id: str, experiment: Experiment) -> None:
        self.client, self.entities, self.experiment_id, self.experiment = client, entities, experiment_id, experiment
        self.written = self.kept = 0
        self._identity = str(experiment.provenance.get("experiment_id") or experiment.folder)

    def trial(self, trial: TrialRecord) -> None:
        """Write a trial's run: its parameters, its metrics by epoch, and what it came to as tags."""
        start, end = _milliseconds(trial.started), _milliseconds(trial.ended)
        stop = trial.stop or {}
        tags = {
            "raretune.trial": trial.number,
            "raretune.stop": stop.get("kind"),
            "raretune.stop_reason": stop.get("reason"),
            "raretune.best_epoch": trial.best_epoch,
            f"raretune.best_{self.experiment.sweep['metric']}": trial.value,
            "raretune.host": trial.host,
            "raretune.device": trial.device,
            "raretune.seed": trial.seed,
            "raretune.cost": trial.cost,
        }
        run = self._new(f"trial {trial.number:04d}", f"trial {trial.number}", trial.state, start, tags)
        if run is None:
            return
        params = {**trial.config, **{f"searched.{knob}": value for knob, value in trial.params.items()}}
        metric = self.experiment.sweep["metric"]
        epochs = trial.epochs or [{"epoch": at, metric: value} for at, value in trial.values.items()]
        # By one column trials can be sorted: what the sweep takes for their result, not what the last epoch gave.
        best = _numbers({"objective": trial.value}, end or start, trial.best_epoch or 0)
        self._log(run, params, [*_by_epoch(epochs, start), *best])
        if trial.state in STATUS:
            self.client.set_terminated(run, STATUS[trial.state], end)

    def final(self, page: Path | None) -> None:
        """Write the final stage's run: its figures, its learning curves, the report and the model card."""
        final = self.experiment.final
        assert final is not None
        run = self._new("final", "final", "COMPLETE", None, {"raretune.chosen": final.metrics.get("chosen")})
        if run is None:
            return
        figures = {
            f"{stage}.{split}.{name}": value
            for stage, splits in final.metrics["stages"].items()
            for split, scores in (splits or {}).items()
            if isinstance(scores, Mapping)
            for name, value in scores.items()
        }
        best = self.experiment.best
        params = best.config.model_dump() if best else {}
        curves = [metric for row in final.history for metric in _by_epoch([row], 0, f"{row.get('stage', 'final')}.")]
        self._log(run, params, [*_numbers(figures, 0, 0), *curves])
        for file in (final.folder / MODEL_CARD, final.folder / METRICS_FILE):
            if file.is_file():
                self.client.log_artifact(run, str(file))
        if page is not None:
            self.client.log_artifacts(run, str(page.parent), "report")
        self.client.set_terminated(run, "FINISHED")

    def _new(self, name: str, part: str, state: str, start: int | None, tags: Mapping[str, object]) -> str | None:
        """A new run's id; None where it is there already and has not changed."""
        key = f"{self._identity} {part}"
        for run in self.client.search_runs([self.experiment_id], f"tags.`{_KEY}` = '{key}'"):
            if run.data.tags.get(_STATE) == state and run.info.status != _OPEN:
                self.kept += 1
                return None
            self.client.delete_run(run.info.run_id)
        given = {_KEY: key, _STATE: state, **{tag: value for tag, value in tags.items() if value is not None}}
        texts = {tag: str(value)[:5000] for tag, value in given.items()}
        self.written += 1
        return str(self.client.create_run(self.experiment_id, start, texts, name).info.run_id)

    def _log(self, run: str, params: Mapping[str, object], metrics: list[tuple[str, float, int, int]]) -> None:
        parts = [self.entities.Param(name, str(value)[:6000]) for name, value in params.items()]
        for first in range(0, len(parts), 100):
            self.client.log_batch(run, params=parts[first : first + 100])
        for first in range(0, len(metrics), _AT_ONCE):
            some = [self.entities.Metric(*each) for each in metrics[first : first + _AT_ONCE]]
            self.client.log_batch(run, metrics=some)


def _by_epoch(rows: Any, start: int | None, prefix: str = "") -> Iterator[tuple[str, float, int, int]]:
    """Name, value, time and step of each number of each epoch."""
    moment = float(start or 0)
    for row in rows:
        moment += 1000 * (_number(row.get("epoch_seconds")) or 0)
        step = int(_number(row.get("epoch")) or 0)
        named = {f"{prefix}{name}": value for name, value in row.items() if name != "epoch"}
        yield from _numbers(named, int(moment), step)


def _numbers(values: Mapping[str, object], moment: int | None, step: int) -> Iterator[tuple[str, float, int, int]]:
    for name, value in values.items():
        if (number := _number(value)) is not None:
            yield name, number, int(moment or 0), step


def _number(value: object) -> float | None:
    """A finite number, also one in a table of text; None for all else, as for an epoch that diverged."""
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


def _milliseconds(time: str | None) -> int | None:
    """Since 1970, of an ISO 8601 local time."""
    return int(datetime.fromisoformat(time).timestamp() * 1000) if time else None
