"""Reading of an experiment's records, for analysis; imports neither Ray nor TensorFlow."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from search.config.file import read_yaml
from search.config.storage_url import optuna_address, parse_url
from search.study.storage import open_for_reading, read_study, sqlite_address
from search.study.trial_end import ScoredTrial, front, shown_state
from trainables.data.dataset import MANIFEST, read_manifest
from trainables.errors import UserError
from trainables.files import experiment as files
from trainables.files.bucket import is_url, open_bucket
from trainables.files.output import read_rows
from trainables.files.record import read_record
from trainables.files.remote_experiment import local_copy as local_copy  # For analysis, which imports no other.
from trainables.handoff import Handoff, ProbeRecord, read_handoff

Row = dict[str, str]
_Kind = TypeVar("_Kind")


@dataclass(frozen=True)
class TrialRecord:
    """One trial as the study and its log of epochs hold it.

    `state` is COMPLETE, PRUNED, DIVERGED, INFEASIBLE, FAIL, RUNNING or WAITING; `values` is {epoch: objective}; `value`
    the best of them and `best_epoch` its epoch (None without a result); `config` all fields of TrialConfig; `started`
    and `ended` are ISO 8601 local times; `epochs` the results of all epochs in the contract's names, NaN as None.

    The fields with a default are the trial's user attributes of the same names, so that a further one is read by
    naming it here: `stop` is {"kind", "epoch", "reason", …}, None while the trial runs; `cost` what its model costs,
    None where the sweep weighs none; `seconds` how long it ran, without the wait for a slot.
    """

    number: int
    state: str
    params: dict[str, Any]
    values: dict[int, float]
    value: float | None
    best_epoch: int | None
    config: dict[str, Any]
    started: str | None
    ended: str | None
    epochs: tuple[dict[str, Any], ...]
    stop: dict[str, Any] | None = None
    cost: float | None = None
    seed: int | None = None
    host: str | None = None
    device: str | None = None
    seconds: float | None = None


# What each result of a trial says and its end keeps in the study, as user attributes of these names.
KEPT_OF_RESULTS = ("host", "device")


class Summary(BaseModel, extra="allow"):
    """What sweep_summary.json must hold: how the sweep ended, its trials by their ends, and its best one."""

    ended_because: str
    trials: dict[str, int]
    stopped_by: dict[str, int]
    epochs_run: int
    epochs_saved: int
    wall_seconds: float
    best_trial: int
    best_value: float
    best_epoch: int


@dataclass(frozen=True)
class FinalRecord:
    """What the final stage wrote: metrics.json as it is, and its tables as rows of text."""

    folder: Path
    metrics: dict[str, Any]
    history: tuple[Row, ...]
    predictions: tuple[Row, ...]
    families: tuple[Row, ...]


@dataclass(frozen=True)
class Experiment:
    """All records of one sweep; `summary` and `best` are None until it ends, `final` until the final stage ends.

    `manifest` is the dataset's, None where the dataset cannot be reached from here; `probe` is None without one.
    """

    folder: Path
    sweep: dict[str, Any]
    provenance: dict[str, Any]
    trials: tuple[TrialRecord, ...]
    summary: dict[str, Any] | None
    best: Handoff | None
    manifest: dict[str, Any] | None
    final: FinalRecord | None
    probe: ProbeRecord | None = None

    @property
    def ended(self) -> bool:
        """Whether the sweep has ended and written its best configuration."""
        return self.best is not None

    @property
    def cost(self) -> str | None:
        """What a model costs in this sweep, as its trials report it; None where only the metric counts."""
        objectives = self.sweep.get("objectives")
        return str(objectives[1]) if objectives else None

    def front_file(self, number: int) -> Path:
        """Return where a trial of the front stands for the final stage, once the sweep has ended."""
        return files.front_file(self.folder, number)

    @property
    def front(self) -> tuple[int, ...]:
        """Numbers of the trials that no other beats at a cost no higher, best first; empty where costs do not count."""
        results = [
            ScoredTrial(trial.number, trial.value, trial.cost)
            for trial in self.trials
            if trial.state in ("COMPLETE", "PRUNED") and trial.value is not None and trial.cost is not None
        ]
        return tuple(member.number for member in front(results, self.sweep["mode"])) if self.cost else ()


def read_experiment(folder: Path | str) -> Experiment:
    """Read the records of a sweep that has ended, or of one that is still running.

    Args:
        folder: or a URL: then a copy on this machine is read (trainables/files/remote_experiment.py).

    Raises:
        UserError: the folder holds no sweep, or one of its records is damaged.
    """
    folder, sweep = read_sweep_record(folder)
    where = parse_url(sweep["storage"]) if sweep.get("storage") else folder / files.STUDY_FILE
    provenance = _json(folder / files.PROVENANCE_FILE) or {}
    trials = tuple(_trial(folder, trial, sweep["mode"]) for trial in read_study(where, sweep["name"]).trials)
    best, final = folder / files.BEST_FILE, folder / files.FINAL_FOLDER
    probe = _read(folder / files.PROBE_FOLDER / files.PROBE_FILE, ProbeRecord)
    manifest = None if is_url(sweep["dataset"]) else _json(Path(sweep["dataset"]) / MANIFEST)
    if is_url(sweep["dataset"]):
        with contextlib.suppress(UserError):  # The report says that it could not be reached.
            manifest = read_manifest(open_bucket(sweep["dataset"]))[0].model_dump(mode="json")
    return Experiment(
        folder=folder,
        sweep=sweep,
        provenance=provenance,
        trials=trials,
        summary=None if (summary := _read(folder / files.SUMMARY_FILE, Summary)) is None else summary.model_dump(),
        best=read_handoff(best) if best.is_file() else None,
        manifest=manifest,
        final=read_final(final) if (final / files.METRICS_FILE).is_file() else None,
        probe=probe,
    )


def read_sweep_record(folder: Path | str) -> tuple[Path, dict[str, Any]]:
    """Return an experiment's absolute folder (of one at a URL, its copy's) and its sweep.yaml; the study stays closed.

    Raises:
        UserError: the folder holds no sweep.
    """
    folder = local_copy(folder).absolute()
    _must_hold(folder, files.SWEEP_FILE)
    sweep = read_yaml(folder / files.SWEEP_FILE)
    if not sweep.get("storage"):
        _must_hold(folder, files.STUDY_FILE)
    return folder, sweep


def study_storage(folder: Path) -> str:
    """Return the address of the experiment's study, as Optuna takes it; without a password, which others know.

    Raises:
        UserError: the server does not answer, or wants a password that is neither in PGPASSWORD nor in ~/.pgpass.
    """
    folder, sweep = read_sweep_record(folder)
    if not sweep.get("storage"):
        return sqlite_address(folder / files.STUDY_FILE)
    url = parse_url(sweep["storage"])
    with open_for_reading(url):  # What is given the address would fail in more words.
        return optuna_address(url)


def read_final(folder: Path) -> FinalRecord:
    """Read what the final stage wrote.

    Raises:
        UserError: metrics.json, its marker, is missing or damaged.
    """
    metrics = _json(folder / files.METRICS_FILE)
    if metrics is None:
        raise UserError(f"{folder} holds no metrics.json; `python -m trainables retrain` writes it when it ends")
    names = (files.HISTORY_FILE, files.PREDICTIONS_FILE, files.FAMILIES_FILE)
    tables = {Path(name).stem: tuple(read_rows(folder / name)) if (folder / name).is_file() else () for name in names}
    return FinalRecord(folder=folder, metrics=metrics, **tables)


def read_epochs(file: Path) -> tuple[dict[str, Any], ...]:
    """Read an epochs.jsonl; a last line that is being written just now is left out."""
    if not file.is_file():
        return ()
    epochs = []
    for line in file.read_text(errors="replace").splitlines():
        try:
            epoch = json.loads(line)
        except ValueError:
            break
        if not isinstance(epoch, dict) or not isinstance(epoch.get("epoch"), int):
            break
        epochs.append(epoch)
    return tuple(epochs)


def epochs_without_gap(folder: Path) -> int:
    """Return up to which epoch the log in a trial's folder holds all of them."""
    held = {epoch["epoch"] for epoch in read_epochs(folder / files.EPOCHS_FILE)}
    return next(epoch for epoch in itertools.count(1) if epoch not in held) - 1


def _must_hold(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise UserError(f"{folder} holds no {name}, so it is no experiment; `python -m search run` writes one")


def _trial(folder: Path, trial: Any, mode: str) -> TrialRecord:
    attrs, values = trial.user_attrs, trial.intermediate_values
    epoch = attrs.get("best_epoch")
    if epoch is None and values:  # The trial is still running.
        epoch = (max if mode == "max" else min)(values, key=values.__getitem__)
    return TrialRecord(
        number=trial.number,
        state=shown_state(trial.state.name, attrs.get("stop", {}).get("kind")),
        params=dict(trial.params),
        values=dict(sorted(values.items())),
        value=values.get(epoch),
        best_epoch=epoch,
        config=attrs.get("config", {}),
        started=trial.datetime_start.isoformat() if trial.datetime_start else None,
        ended=trial.datetime_complete.isoformat() if trial.datetime_complete else None,
        epochs=read_epochs(files.trial_folder(folder, trial.number) / files.EPOCHS_FILE),
        **{field.name: attrs.get(field.name) for field in fields(TrialRecord) if field.default is None},
    )


def _read(file: Path, kind: type[_Kind]) -> _Kind | None:
    """Read a record; None where there is none."""
    hint = "`python -m search resume` writes it again"
    return read_record(file, kind, hint) if file.is_file() else None


def _json(file: Path) -> dict[str, Any] | None:
    return read_record(file, dict[str, Any], "restore it, or have it written again") if file.is_file() else None


def seconds_of_epochs(folder: Path) -> float:
    """Return how long the epochs in a trial's folder took, and getting ready for them, in seconds."""
    epochs = read_epochs(folder / files.EPOCHS_FILE)
    return sum((epoch.get("epoch_seconds") or 0.0) + (epoch.get("setup_seconds") or 0.0) for epoch in epochs)
