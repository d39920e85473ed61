"""Read what `warm_start` names, experiments and studies, and say of each trial what this sweep can learn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.config.space import knob_value
from search.config.warm_start_source import Source, StudyAddress
from search.records import read_experiment
from search.study.reading import StoredStudy, read_study
from search.study.study import COST, DEFINITION, best_value, finite_values
from trainables.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection

    from optuna.trial import FrozenTrial

    from search.config.schema import SweepConfig


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study: `knobs` those of this sweep's space whose value is known there.

    `value` is the objective's best, reached at `best_epoch`, and `values` it by epoch, finite; no result: None, and
    empty. `cost` is what its model costs, None where that was not weighed.
    """

    state: str
    knobs: dict[str, Any]
    value: float | None
    values: dict[int, float]
    best_epoch: int | None = None
    cost: float | None = None

    @property
    def has_result(self) -> bool:
        """Whether anything can be learned from it; one that was stopped is judged by the epoch that it reached."""
        return (self.state == "COMPLETE" and self.value is not None) or (self.state == "PRUNED" and bool(self.values))


@dataclass(frozen=True)
class Earlier:
    """An earlier study: what it is called, its trials, which other keys or parameters are different, and a doubt."""

    name: str
    trials: tuple[EarlierTrial, ...]
    differs: tuple[str, ...] = ()
    doubt: str | None = None


def read_earlier(source: Source, config: SweepConfig, fingerprint: str) -> Earlier:
    """Read an experiment or a study.

    Raises:
        UserError: it cannot be read, or was judged by something else than this sweep's objectives.
    """
    if isinstance(source, StudyAddress):
        return _read_study(source, config, fingerprint)
    if Path(source).is_file():
        raise UserError(f"warm_start: {source} is a file; a study in it is named {{storage: {source}, study: NAME}}")
    return _read_experiment(source, config, fingerprint)


def _read_experiment(folder: str, config: SweepConfig, fingerprint: str) -> Earlier:
    experiment = read_experiment(folder)
    _check_metric(folder, experiment.sweep["metric"], config)
    _check_cost(folder, experiment.cost, config)
    trials = tuple(
        EarlierTrial(
            trial.state,
            _knobs(trial.config, config.space),
            trial.value,
            trial.values,
            trial.best_epoch,
            trial.cost,
        )
        for trial in experiment.trials
    )
    first = experiment.trials[0].config if experiment.trials else {}
    data = experiment.provenance.get("dataset_fingerprint")
    return Earlier(str(experiment.folder), trials, _differs(first, data, config, fingerprint))


def _read_study(source: StudyAddress, config: SweepConfig, fingerprint: str) -> Earlier:
    study = read_study(source.storage, source.study)
    begun_as = study.attrs.get(DEFINITION)
    if begun_as is None:
        return _read_foreign(source, study, config)
    _check_metric(str(source), begun_as["metric"], config)
    objectives = begun_as.get("objectives")  # Studies that are older than the key weighed no cost.
    _check_cost(str(source), objectives[1] if objectives else None, config)
    trials = tuple(
        EarlierTrial(
            trial.state.name,
            _knobs(trial.user_attrs.get("config", {}), config.space),
            best_value(trial),
            finite_values(trial),
            trial.user_attrs.get("best_epoch"),
            trial.user_attrs.get(COST),
        )
        for trial in study.trials
    )
    first = study.trials[0].user_attrs.get("config", {}) if study.trials else {}
    return Earlier(str(source), trials, _differs(first, begun_as["dataset"], config, fingerprint))


def _read_foreign(source: StudyAddress, study: StoredStudy, config: SweepConfig) -> Earlier:
    """Read a study that no sweep of ours made: knobs are its parameters of the same names, and nothing else is known.

    Raises:
        UserError: its objective is another, or it has no parameter for one of the knobs.
    """
    if len(study.directions) > 1:
        raise UserError(f"warm_start: {source} has {len(study.directions)} objectives, not {config.metric} alone")
    _check_cost(str(source), None, config)
    if study.metrics:
        _check_metric(str(source), study.metrics[0], config)
    wanted = "maximize" if config.mode == "max" else "minimize"
    if study.directions != (wanted,):
        raise UserError(
            f"warm_start: {source} is to {study.directions[0]} its objective, {config.metric} is to be {wanted}d"
        )
    parameters = {name for trial in study.trials for name in trial.params}
    lacking = sorted(config.space.keys() - parameters)
    if study.trials and lacking:
        raise UserError(
            f"warm_start: {source} has no parameter {lacking[0]!r}, so nothing is known of that knob there; "
            f"it has {', '.join(sorted(parameters))}"
        )
    further = tuple(sorted(parameters - config.space.keys()))
    doubt = None if study.metrics else f"it does not name its objective, which is taken for {config.metric}"
    return Earlier(str(source), tuple(map(_foreign_trial, study.trials)), further, doubt)


def _foreign_trial(trial: FrozenTrial) -> EarlierTrial:
    """Its steps need not be epochs, so one that was stopped cannot be held against ours: it is without a result."""
    known = trial.values[0] if trial.values and math.isfinite(trial.values[0]) else None
    return EarlierTrial(trial.state.name, dict(trial.params), known, {})


def _check_metric(name: str, metric: str, config: SweepConfig) -> None:
    if metric != config.metric:
        raise UserError(
            f"warm_start: {name} optimised {metric}, not {config.metric}; "
            "only trials judged by the same metric can be learned from"
        )


def _check_cost(name: str, cost: str | None, config: SweepConfig) -> None:
    if config.cost not in (None, cost):
        raise UserError(
            f"warm_start: {name} weighed {cost or 'no cost'}, not {config.cost}; "
            "only trials whose two objectives are known can be learned from"
        )


def _knobs(trial: dict[str, Any], space: Collection[str]) -> dict[str, Any]:
    return {name: knob_value(trial, name) for name in space if name.partition(".")[0] in trial}


def _differs(first: dict[str, Any], data: str | None, config: SweepConfig, fingerprint: str) -> tuple[str, ...]:
    """What else is different there: its values may lie on another level, though their order usually holds."""
    unlike = [] if data == fingerprint else ["dataset"]
    fixed = _fixed(config) if first else {}
    return (*unlike, *(f"trial.{name}" for name, value in fixed.items() if first.get(name) != value))


def _fixed(config: SweepConfig) -> dict[str, Any]:
    searched = {name.partition(".")[0] for name in config.space}
    own = {*searched, "seed", "sweep_seed"}
    return {name: value for name, value in config.whole_trial().items() if name not in own}
