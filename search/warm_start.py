"""Begin with what earlier sweeps found out: their trials inform the sampler, and count for nothing else.

They are never trials of this sweep: not in its study, its records, its budget or its hand-off. A trial is taken when
it has a result and each of its knobs, searched or fixed there, has a value that lies in this sweep's space. What was
taken is written to warm_start.json, from which a resumed sweep reads it, whatever has become of the earlier ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from search.ask import blank_trial
from search.records import Experiment, TrialRecord, read_experiment
from search.space import distributions, knob_value
from search.study import COST
from trainables.errors import SweepError
from trainables.handoff import write_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from search.config import SweepConfig

WARM_START_FILE = "warm_start.json"


def gather(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Read the earlier sweeps and map their trials to this sweep's space.

    Returns:
        JSON: `sources`, each with what was taken, what was left out and why; and `trials` with params, state and
        {epoch: objective}.

    Raises:
        SweepError: an experiment cannot be read, optimised another metric, whose values say nothing here, or did not
            weigh what a model costs as this sweep does.
    """
    space = distributions(config.space)
    sources, taken = [], []
    for folder in config.warm_start:
        experiment = read_experiment(folder)
        if experiment.sweep["metric"] != config.metric:
            raise SweepError(
                f"warm_start: {folder} optimised {experiment.sweep['metric']}, not {config.metric}; "
                "only trials judged by the same metric can be learned from"
            )
        if config.cost not in (None, experiment.cost):
            raise SweepError(
                f"warm_start: {folder} weighed {experiment.cost or 'no cost'}, not {config.cost}; "
                "only trials whose two objectives are known can be learned from"
            )
        known = [trial for trial in experiment.trials if trial.state in ("COMPLETE", "PRUNED") and trial.values]
        mapped = [entry for trial in known if (entry := _mapped(trial, space)) is not None]
        taken += mapped
        sources.append(
            {
                "experiment": str(experiment.folder),
                "taken": len(mapped),
                "out_of_range": len(known) - len(mapped),
                "without_result": len(experiment.trials) - len(known),
                "warning": _warning(experiment, config, fingerprint),
            }
        )
    return {"format": 1, "sources": sources, "trials": taken}


def write_warm_start(gathered: dict[str, Any], experiment: Path) -> None:
    """Keep what was gathered with the experiment."""
    write_json(gathered, experiment / WARM_START_FILE)


def read_warm_start(config: SweepConfig) -> list[FrozenTrial]:
    """Return the earlier trials as the sampler sees them: with this sweep's distributions and negative numbers."""
    file = Path(config.experiment) / WARM_START_FILE
    entries = json.loads(file.read_text())["trials"] if file.is_file() else []
    space = distributions(config.space)
    return [_trial(index - len(entries), entry, space, config) for index, entry in enumerate(entries)]


def describe(source: dict[str, Any]) -> str:
    """Say in one line what an earlier sweep gave."""
    left_out = [f"{source[key]} {words}" for key, words in _LEFT_OUT.items() if source[key]]
    line = f"warm start from {source['experiment']}: {source['taken']} trials"
    line += f" ({', '.join(left_out)} left out)" if left_out else ""
    return line + (f"; warning: {source['warning']}" if source["warning"] else "")


_LEFT_OUT = {"out_of_range": "out of this space", "without_result": "without a result"}


def _mapped(trial: TrialRecord, space: dict[str, BaseDistribution]) -> dict[str, Any] | None:
    params = {}
    for name, knob in space.items():
        value = knob_value(trial.config, name)
        try:
            inside = knob._contains(knob.to_internal_repr(value))
        except ValueError:  # A choice that this sweep does not have.
            return None
        if not inside:
            return None
        params[name] = value
    entry = {"params": params, "state": trial.state, "value": trial.value, "values": trial.values}
    return entry if trial.cost is None else {**entry, "best_epoch": trial.best_epoch, "cost": trial.cost}


def _warning(experiment: Experiment, config: SweepConfig, fingerprint: str) -> str | None:
    """Say what else differs: its values may lie on another level, though their order usually holds."""
    unlike = []
    if experiment.provenance.get("dataset_fingerprint") != fingerprint:
        unlike.append("dataset")
    if experiment.trials:
        theirs = experiment.trials[0].config
        unlike += [f"trial.{name}" for name, value in _fixed(config).items() if theirs.get(name) != value]
    return f"it differs in {', '.join(unlike)}" if unlike else None


def _fixed(config: SweepConfig) -> dict[str, Any]:
    searched = {name.partition(".")[0] for name in config.space}
    own = {*searched, "seed", "sweep_seed"}
    return {name: value for name, value in config.whole_trial().items() if name not in own}


def _trial(number: int, entry: dict[str, Any], space: dict[str, BaseDistribution], config: SweepConfig) -> FrozenTrial:
    values = {int(epoch): value for epoch, value in entry["values"].items()}
    pruned = entry["state"] == "PRUNED"
    trial = blank_trial(number, TrialState.PRUNED if pruned else TrialState.COMPLETE)
    trial.params, trial.distributions = dict(entry["params"]), dict(space)
    trial.intermediate_values = values
    if config.cost:
        trial.values = [entry["value"], entry["cost"]]
        trial.user_attrs = {"best_epoch": entry["best_epoch"], COST: entry["cost"]}
        return trial
    trial.value = values[max(values)] if pruned else entry["value"]
    return trial
