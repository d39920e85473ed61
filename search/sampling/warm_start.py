"""Warm start: trials of earlier studies that the sampler learns from.

They are never trials of this sweep: not in its study, its records, its budget or its result. A trial is taken when it
has a result and each of its knobs, searched or fixed there, has a value that lies in this sweep's space;
search/sampling/prior_trials.py reads it. The taken trials are written to warm_start.json, from which a resumed sweep
reads them, even if the earlier studies are gone.
"""

import json
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.config.schema import SweepConfig
from search.config.space import distributions
from search.sampling.ask import blank_trial
from search.sampling.prior_trials import EarlierTrial, read_earlier
from search.study.study import COST
from trainables.files.experiment import WARM_START_FILE
from trainables.files.output import write_json

_LEFT_OUT = {
    "out_of_range": "out of this space",
    "incomplete": "without a value for every knob",
    "without_result": "without a result",
}


def gather(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Read the earlier sweeps and map their trials to this sweep's space.

    Returns:
        JSON: `sources`, each with how many trials were taken, left out and why; and `trials` with params, state and
        {epoch: objective}.

    Raises:
        UserError: one cannot be read, optimised another metric, or did not weigh a model's cost as this sweep does.
    """
    space = distributions(config.space)
    sources, taken = [], []
    for source in config.warm_start:
        earlier = read_earlier(source, config, fingerprint)
        known = [trial for trial in earlier.trials if trial.has_result]
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


def write_warm_start(gathered: dict[str, Any], experiment: Path) -> None:
    """Keep what `gather` returned with the experiment."""
    write_json(gathered, experiment / WARM_START_FILE)


def read_warm_start(config: SweepConfig) -> list[FrozenTrial]:
    """Return the earlier trials as the sampler sees them: with this sweep's distributions and negative numbers."""
    file = Path(config.experiment) / WARM_START_FILE
    entries = json.loads(file.read_text())["trials"] if file.is_file() else []
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
    left_out = [f"{source[key]} {words}" for key, words in _LEFT_OUT.items() if source[key]]
    line = f"warm start from {source['name']}: {source['taken']} trials"
    line += f" ({', '.join(left_out)} left out)" if left_out else ""
    return line + (f"; warning: {source['warning']}" if source["warning"] else "")


def _mapped(trial: EarlierTrial, space: dict[str, BaseDistribution]) -> dict[str, Any] | None:
    params = {name: trial.knobs[name] for name in space}
    try:
        inside = all(knob._contains(knob.to_internal_repr(params[name])) for name, knob in space.items())
    except ValueError:  # A choice that this sweep does not have.
        return None
    if not inside:
        return None
    entry = {"params": params, "state": trial.state, "value": trial.value, "values": trial.values}
    return entry if trial.cost is None else {**entry, "best_epoch": trial.best_epoch, "cost": trial.cost}
