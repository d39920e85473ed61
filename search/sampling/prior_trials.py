"""Trials of earlier experiments and studies, read for a warm start."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.config.schema import SweepConfig
from search.config.space import knob_value
from search.config.warm_start_source import Source, StudyAddress
from search.records import read_experiment
from search.study.reading import StoredStudy, read_study
from search.study.study import COST, DEFINITION, best_value, finite_values
from trainables.errors import UserError


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study: `knobs` those of this sweep's space whose value is known there.

    `value` is the best objective, reached at `best_epoch`, and `values` the objective by epoch, finite; None and empty
    without a result. `cost` is what its model costs, None where that was not weighed.
    """

    state: str
    knobs: dict[str, Any]
    value: float | None
    values: dict[int, float]
    best_epoch: int | None = None
    cost: float | None = None

    @property
    def has_result(self) -> bool:
        """Whether the sampler can learn from it; one that was stopped is judged by the epoch that it reached."""
        return (self.state == "COMPLETE" and self.value is not None) or (self.state == "PRUNED" and bool(self.values))


@dataclass(frozen=True)
class Earlier:
    """An earlier study: its name and trials, the other keys or parameters in which it differs, and a doubt."""

    name: str
    trials: tuple[EarlierTrial, ...]
    differs: tuple[str, ...] = ()
    doubt: str | None = None


def read_earlier(source: Source, config: SweepConfig, fingerprint: str) -> Earlier:
    """Read an experiment or a study.

    Raises:
        UserError: it cannot be read, or has other objectives than this sweep.
    """
    if isinstance(source, StudyAddress):
        return _read_study(source, config, fingerprint)
    if Path(source).is_file():
        raise UserError(f"warm_start: {source} is a file; a study in it is named {{storage: {source}, study: NAME}}")
    experiment = read_experiment(source)
    _check_objectives(source, experiment.sweep["metric"], experiment.cost, config)
    trials = tuple(
        EarlierTrial(
            trial.state, _knobs(trial.config, config.space), trial.value, trial.values, trial.best_epoch, trial.cost
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
    objectives = begun_as.get("objectives")  # Studies that are older than the key weighed no cost.
    _check_objectives(str(source), begun_as["metric"], objectives[1] if objectives else None, config)
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
    """Read a study of another program: its parameters are the knobs of the same names, and nothing else is known.

    Its steps need not be epochs, so a stopped trial cannot be compared with ours: it is without a result.

    Raises:
        UserError: its objective is another, or it has no parameter for one of the knobs.
    """
    if len(study.directions) > 1:
        raise UserError(f"warm_start: {source} has {len(study.directions)} objectives, not {config.metric} alone")
    _check_objectives(str(source), study.metrics[0] if study.metrics else config.metric, None, config)
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
    values = [trial.values[0] if trial.values else math.nan for trial in study.trials]
    trials = tuple(
        EarlierTrial(trial.state.name, dict(trial.params), value if math.isfinite(value) else None, {})
        for trial, value in zip(study.trials, values, strict=True)
    )
    return Earlier(str(source), trials, further, doubt)


def _check_objectives(name: str, metric: str, cost: str | None, config: SweepConfig) -> None:
    if metric != config.metric:
        raise UserError(
            f"warm_start: {name} optimised {metric}, not {config.metric}; "
            "only trials judged by the same metric can be learned from"
        )
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
    own = {*(name.partition(".")[0] for name in config.space), "seed", "sweep_seed"}
    fixed = config.whole_trial().items() if first else ()
    return (*unlike, *(f"trial.{name}" for name, value in fixed if name not in own and first.get(name) != value))
