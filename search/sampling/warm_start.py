"""Warm start: trials of earlier studies that the sampler learns from.

They are never trials of this sweep: not in its study, its records, its budget or its result. A trial is taken when it
has a result and each of its knobs, searched or fixed there, has a value that lies in this sweep's space. They are
written to warm_start.json, from which a resumed sweep reads them, even if the earlier studies are gone.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel

from search.config.schema import SweepConfig
from search.config.space import distributions, knob_value
from search.config.storage_url import Source, StudyAddress
from search.records import read_experiment
from search.sampling.suggestions import blank_trial
from search.study.storage import StoredStudy, read_study
from search.study.study import COST, DEFINITION, best_value, finite_values, state_of
from trainables.config import SWEEP_WIDE, TrialConfig, Validation
from trainables.errors import UserError
from trainables.files.experiment import WARM_START_FILE
from trainables.files.record import read_record


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier study: `knobs` those of this sweep's space whose value is known there.

    `value` is the best objective, reached at `best_epoch`, None without a result; `values` the finite objectives by
    epoch; `cost` what its model costs, None where that was not weighed.
    """

    state: str
    knobs: dict[str, Any]
    value: float | None
    values: dict[int, float]
    best_epoch: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Earlier:
    """An earlier study: its name and trials, the other keys or parameters in which it differs, and a doubt."""

    name: str
    trials: tuple[EarlierTrial, ...]
    differs: tuple[str, ...] = ()
    doubt: str | None = None


def gather(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Read the earlier sweeps and map their trials to this sweep's space; return JSON for warm_start.json.

    It has `sources`, each with how many trials were taken, left out and why; and `trials` with params, state and
    {epoch: objective}.

    Raises:
        UserError: one cannot be read, optimised another metric, or did not weigh a model's cost as this sweep does.
    """
    space = distributions(config.space)
    sources, taken = [], []
    for source in config.warm_start:
        earlier = _read_earlier(source, config, fingerprint)
        ended = [trial for trial in earlier.trials if trial.state in ("COMPLETE", "PRUNED")]
        # One that was stopped is judged by the epoch that it reached.
        known = [trial for trial in ended if (trial.values if trial.state == "PRUNED" else trial.value is not None)]
        whole = [trial for trial in known if trial.knobs.keys() >= space.keys()]
        mapped = [entry for trial in whole if (entry := _mapped(trial, space)) is not None]
        taken += mapped
        differs = f"it differs in {', '.join(earlier.differs)}" if earlier.differs else None
        sources.append(
            {
                "name": earlier.name,
                "taken": len(mapped),
                "out_of_range": len(whole) - len(mapped),
                "incomplete": len(known) - len(whole),
                "without_result": len(earlier.trials) - len(known),
                "warning": "; ".join(filter(None, [differs, earlier.doubt])) or None,
            }
        )
    return {"format": 1, "sources": sources, "trials": taken}


class _Taken(BaseModel, extra="allow"):
    state: str
    params: dict[str, Any]
    values: dict[int, float]


class _Written(BaseModel, extra="allow"):
    trials: list[_Taken]


def read_warm_start(config: SweepConfig) -> list[FrozenTrial]:
    """Return the earlier trials as the sampler sees them: with this sweep's distributions and negative numbers."""
    file = Path(config.experiment) / WARM_START_FILE
    hint = "delete it to go on without what earlier sweeps found"
    entries = [one.model_dump() for one in read_record(file, _Written, hint).trials] if file.is_file() else []
    space = distributions(config.space)
    trials = []
    for index, entry in enumerate(entries):
        pruned = entry["state"] == "PRUNED"
        trial = blank_trial(index - len(entries), TrialState.PRUNED if pruned else TrialState.COMPLETE)
        trial.params, trial.distributions = dict(entry["params"]), dict(space)
        trial.intermediate_values = values = {int(epoch): value for epoch, value in entry["values"].items()}
        if config.cost:
            trial.values = [entry["value"], entry["cost"]]
            trial.user_attrs = {"best_epoch": entry["best_epoch"], COST: entry["cost"]}
        else:
            trial.value = values[max(values)] if pruned else entry["value"]
        trials.append(trial)
    return trials


def describe(source: dict[str, Any]) -> str:
    """Say in one line what an earlier sweep gave."""
    reasons = ("out of this space", "without a value for every knob", "without a result")
    counts = zip((source["out_of_range"], source["incomplete"], source["without_result"]), reasons, strict=True)
    left_out = [f"{count} {reason}" for count, reason in counts if count]
    line = f"warm start from {source['name']}: {source['taken']} trials"
    line += f" ({', '.join(left_out)} left out)" if left_out else ""
    return line + (f"; warning: {source['warning']}" if source["warning"] else "")


def _mapped(trial: EarlierTrial, space: dict[str, BaseDistribution]) -> dict[str, Any] | None:
    params = {name: trial.knobs[name] for name in space}
    try:
        if not all(knob._contains(knob.to_internal_repr(params[name])) for name, knob in space.items()):
            return None
    except ValueError:  # A choice that this sweep does not have.
        return None
    entry = {"params": params, "state": trial.state, "value": trial.value, "values": trial.values}
    return entry if trial.cost is None else {**entry, "best_epoch": trial.best_epoch, "cost": trial.cost}


def _read_earlier(source: Source, config: SweepConfig, fingerprint: str) -> Earlier:
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
            state=state_of(trial),
            knobs=_knobs(trial.user_attrs.get("config", {}), config.space),
            value=best_value(trial),
            values=finite_values(trial),
            best_epoch=trial.user_attrs.get("best_epoch"),
            cost=trial.user_attrs.get(COST),
        )
        for trial in study.trials
    )
    first = study.trials[0].user_attrs.get("config", {}) if study.trials else {}
    return Earlier(str(source), trials, _differs(first, begun_as["dataset"], config, fingerprint))


def _read_foreign(source: StudyAddress, study: StoredStudy, config: SweepConfig) -> Earlier:
    """Read a study of another program: its parameters are the knobs of the same names, and nothing else is known.

    Its steps need not be epochs, so a stopped trial cannot be compared with ours: it is without a result.
    """
    if len(study.directions) > 1:
        raise UserError(f"warm_start: {source} has {len(study.directions)} objectives, not {config.metric} alone")
    _check_objectives(str(source), study.metrics[0] if study.metrics else config.metric, None, config)
    wanted = "maximize" if config.mode == "max" else "minimize"
    if study.directions != [wanted]:
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
    if first and Validation.model_validate(first.get("validation", {})) != config.validation:
        unlike.append("validation")
    own = {*(name.partition(".")[0] for name in config.space), "seed", *SWEEP_WIDE}
    fixed = TrialConfig.model_validate(config.trial).model_dump().items() if first else ()
    return (*unlike, *(f"trial.{name}" for name, value in fixed if name not in own and first.get(name) != value))
