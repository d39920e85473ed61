"""Results of a sweep: sweep_summary.json, the Pareto front, best.json last."""

from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from search.config.schema import SweepConfig
from search.forecast.forecast import Forecast, as_json, saved
from search.records import Summary, read_epochs
from search.sampling.suggestions import count_repeats
from search.study.study import best_value, cost_of, scored, state_of
from search.study.trial_end import STOPPED_EARLY, front
from search.tune.probe import probe_of
from trainables.errors import UserError
from trainables.files.experiment import BEST_FILE, EPOCHS_FILE, ERROR_FILE, SUMMARY_FILE, front_file, trial_folder
from trainables.files.output import write_json
from trainables.files.record import read_record
from trainables.handoff import Confirmation, Handoff, ProbeRecord, write_handoff
from trainables.versions import git_commit, versions


def write_results(
    study: optuna.Study,
    config: SweepConfig,
    fingerprint: str,
    ended_because: str,
    seconds: float,
    expected: Forecast | None = None,
    confirmation: Confirmation | None = None,
) -> Handoff:
    """Write the summary, the front of two objectives, and last the best configuration, which says that all are there.

    Args:
        confirmation: which of the best trials is handed over; None is the best.

    Raises:
        UserError: no trial has a result; the line says why the first one failed.
    """
    trials = study.get_trials(deepcopy=False)
    folder = Path(config.experiment)
    epochs = [epoch for trial in trials for epoch in read_epochs(trial_folder(folder, trial.number) / EPOCHS_FILE)]
    probe = probe_of(study)
    summary = {
        **summarise(trials, config, ended_because, seconds),
        "repeats": count_repeats(study),
        "step_seconds": round(sum(epoch.get("step_seconds") or 0.0 for epoch in epochs), 1),
        "store": as_json(saved([*epochs, *([] if probe is None else [probe.as_epoch()])])),
        "forecast": None if expected is None else as_json(expected),
        "probe": None if probe is None else probe.model_dump(mode="json", exclude={"tried"}),
    }
    if summary["best_trial"] is None:
        raise UserError(_no_result(trials, folder))
    if config.cost:
        for member in front_trials(trials, config):
            write_handoff(_handoff(member, config, fingerprint, probe), front_file(folder, member.number))
    write_json(summary, folder / SUMMARY_FILE)
    chosen = summary["best_trial"] if confirmation is None else confirmation.chosen
    handoff = _handoff(trials[chosen], config, fingerprint, probe).model_copy(update={"confirmation": confirmation})
    write_handoff(handoff, folder / BEST_FILE)
    return handoff


def read_summary(experiment: Path) -> dict[str, Any]:
    """Return the summary of a sweep that has ended.

    Raises:
        UserError: it is missing or damaged.
    """
    return read_record(experiment / SUMMARY_FILE, Summary, "`python -m search resume` writes it again").model_dump()


def summarise(trials: list[FrozenTrial], config: SweepConfig, ended_because: str, seconds: float) -> dict[str, Any]:
    """Count what the sweep did; `epochs_saved` are those that early stopping left out.

    Epochs that trials did not run because they failed, diverged or were cut off by the sweep's end do not count. A
    trial would have run the epochs that it began with, whatever the sweep says by now.
    """
    stops = [trial.user_attrs.get("stop", {}) for trial in trials]
    ran = [max([*t.intermediate_values, stop.get("epoch") or 0]) for t, stop in zip(trials, stops, strict=True)]
    planned = [trial.user_attrs.get("config", {}).get("epochs", config.max_epochs) for trial in trials]
    saved = [
        most - epochs
        for most, epochs, stop in zip(planned, ran, stops, strict=True)
        if stop.get("kind") in STOPPED_EARLY
    ]
    members = front_trials(trials, config)
    best = next(iter(members), None)
    summary = {
        "format": 1,
        "ended_because": ended_because,
        "trials": dict(Counter(state_of(trial) for trial in trials)),
        "stopped_by": dict(Counter(stop.get("kind", "unknown") for stop in stops)),
        "epochs_run": sum(ran),
        "epochs_saved": sum(saved),
        "wall_seconds": round(seconds, 1),
        "best_trial": None if best is None else best.number,
        "best_value": None if best is None else best_value(best),
        "best_epoch": None if best is None else best.user_attrs["best_epoch"],
    }
    if config.cost:
        summary["front"] = [
            {"trial": one.number, "value": best_value(one), "epoch": one.user_attrs["best_epoch"], "cost": cost_of(one)}
            for one in members
        ]
    return summary


def front_trials(trials: list[FrozenTrial], config: SweepConfig) -> list[FrozenTrial]:
    """Return the trials that no other beats at a cost no higher, best epoch first; without costs that is one trial.

    Trials that were stopped count too. One that failed or diverged after good epochs does not: what it did cannot be
    relied on.
    """
    results = {trial.number: trial for trial in trials}
    ended = [result for trial in trials if (result := scored(trial)) is not None]
    return [results[member.number] for member in front(ended, config.mode)]


def _handoff(trial: FrozenTrial, config: SweepConfig, fingerprint: str, probe: ProbeRecord | None) -> Handoff:
    epoch = trial.user_attrs["best_epoch"]
    return Handoff(
        config=trial.user_attrs["config"],
        metric=config.metric,
        mode=config.mode,
        score=trial.intermediate_values[epoch],
        epoch=epoch,
        costs={config.cost: cost_of(trial)} if config.cost else {},
        study=config.name,
        trial=trial.number,
        dataset=config.dataset,
        dataset_fingerprint=fingerprint,
        weights=trial.user_attrs.get("weights") or {"requested": trial.user_attrs["config"]["weights"]},
        versions=versions(),
        git_commit=git_commit(),
        probe=probe,
    )


def _no_result(trials: list[FrozenTrial], folder: Path) -> str:
    if not trials:
        return "the sweep ended before its first trial began, so it has no result"
    first = trials[0]
    reason = first.user_attrs.get("stop", {}).get("reason", "it ended before its first epoch")
    details = trial_folder(folder, first.number) / ERROR_FILE
    more = f" (more in {details})" if details.exists() else ""
    return f"no trial has a result ({len(trials)} began); trial {first.number}: {reason}{more}"
