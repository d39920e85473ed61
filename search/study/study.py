"""The Optuna study: opening it, and recording trials' reports and ends."""

import math
import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.config.schema import SweepConfig
from search.study.storage import opened_storage
from search.study.trial_end import BAD_ENDS, STOPPED_BY_SCHEDULER, Mode, ScoredTrial, Stop, TrialEnd, shown_state
from search.study.trial_record import DRIVER, keep_trial, records_of_trials, restore_trials
from trainables.config import SWEEP_WIDE, TrialConfig, Validation
from trainables.errors import UserError
from trainables.files.experiment import STUDY_FILE, TRIALS_FOLDER

_DIRECTIONS = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
# User attributes: of the study, what it is about; of a trial, its model's cost.
DEFINITION, COST = "definition", "cost"
_FIXED = (
    "metric mode objectives constraints seed space sampler startup_trials validation early_stopping points warm_start"
)
_MAY_CHANGE = (
    "trials, trial.epochs (more), budget, probe, confirm, resources, max_failures, checkpoint_every, keep_checkpoints, "
    "checkpoint_gb, store, store_gb, address, and where the same dataset and storage are found"
)


def create_study(
    name: str,
    mode: Mode,
    storage: optuna.storages.BaseStorage,
    definition: dict[str, Any] | None = None,
    objectives: int = 1,
) -> optuna.Study:
    """Create a study about `definition`; with two objectives, it minimises what a model costs as well.

    Raises:
        UserError: the storage holds a study of that name.
    """
    try:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=[_DIRECTIONS[mode], _DIRECTIONS["min"]][:objectives],
            # Ray's scheduler decides, so Optuna's pruner has nothing to do.
            pruner=optuna.pruners.NopPruner(),
            load_if_exists=False,
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise UserError(_name_is_taken(name)) from None
    if definition is not None:
        _describe(study, definition)
    return study


def _describe(study: optuna.Study, definition: dict[str, Any]) -> None:
    """Write into a study what it is about; last the definition, which says that all is there."""
    with warnings.catch_warnings(action="ignore", category=optuna.exceptions.ExperimentalWarning):
        # Dashboards say "Objective 0" otherwise.
        study.set_metric_names(definition["objectives"] or [definition["metric"]])
    study.set_user_attr(DEFINITION, definition)


def _name_is_taken(name: str) -> str:
    """Return the line that refuses a study's name, and says what the user may have meant."""
    return (
        f"the study {name!r} exists in this storage; give the sweep another `name`, go on with that study by "
        f"`python -m search resume EXPERIMENT`, or work on it beside its driver with --join"
    )


def load_study(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study | None:
    """Return the study of that name, None where the storage holds none."""
    try:
        return optuna.load_study(study_name=name, storage=storage, pruner=optuna.pruners.NopPruner())
    except KeyError:
        return None


def check_name(config: SweepConfig, fingerprint: str, join: bool) -> None:
    """Refuse a study name that is taken, or with `join` one that is not, before anything is written.

    Raises:
        UserError: the name is taken, or not, the server does not answer, or the joined study has other keys.
    """
    if config.storage is None:
        if join:
            raise UserError("--join: needs the key storage; an SQLite study belongs to its experiment alone")
        return
    with opened_storage(Path(config.experiment), config.storage) as storage:
        if join:
            open_study(config, fingerprint, storage, join)
        elif load_study(config.name, storage) is not None:
            raise UserError(_name_is_taken(config.name))


def open_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage, join: bool) -> optuna.Study:
    """Create the sweep's study, or load the one that is joined.

    Raises:
        UserError: the name is taken, or the study to join is missing, no sweep's, or has other keys.
    """
    if not join:
        about = _definition(config, fingerprint)
        return create_study(config.name, config.mode, storage, about, len(config.objectives) or 1)
    study = load_study(config.name, storage)
    if study is None:
        raise UserError(f"--join: this storage holds no study {config.name!r}; without --join it is begun")
    if DEFINITION not in study.user_attrs:
        raise UserError(f"--join: the study {config.name!r} was not begun by `python -m search run`")
    _check_same(config, fingerprint, study.user_attrs[DEFINITION])
    return study


def continued_study(config: SweepConfig, fingerprint: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    """Load the study of an experiment that is resumed; one that was killed before it made its study gets it now.

    What an SQLite study has lost of its trials comes back from their own records.

    Raises:
        UserError: a key differs that may not be changed, or the study of trials that have begun is gone.
    """
    study = load_study(config.name, storage)
    if study is None:
        # Trials whose study was deleted or replaced: none may begin over their records.
        trials = Path(config.experiment) / TRIALS_FOLDER
        if any(trials.glob("*")) and not (config.storage is None and records_of_trials(trials.parent)):
            where = config.storage.shown if config.storage else trials.with_name(STUDY_FILE)
            raise UserError(
                f"{where} holds no study {config.name!r}, though {trials} holds trials of it: "
                "restore it from a copy, or run the sweep again into another folder"
            )
        study = open_study(config, fingerprint, storage, join=False)
    if DEFINITION not in study.user_attrs:
        _describe(study, _definition(config, fingerprint))
    _check_same(config, fingerprint, study.user_attrs[DEFINITION])
    restored = [] if config.storage else restore_trials(study, Path(config.experiment))
    if restored:
        lost = f"{STUDY_FILE} had lost {len(restored)} trials"
        print(f"warning: {lost}; they are back from their own records", file=sys.stderr)
    return study


def settle(study: optuna.Study, config: SweepConfig, owner: str | None) -> int:
    """Tell the study of ends that were decided when the driver was killed; return how many trials have ended by now.

    Args:
        owner: the experiment whose trials count; None where the study has no others.
    """
    for trial in open_trials(study, owner):
        stop = decided_end(trial)
        if stop is not None:
            tell_end(study, trial.number, finite_values(trial), stop, config.mode, {}, cost=cost_of(trial))
            keep_trial(study, trial.number, Path(config.experiment))
    return sum(trial.state.is_finished() for trial in own_trials(study, owner))


def tell_end(
    study: optuna.Study,
    number: int,
    values: dict[int, float],
    stop: Stop,
    mode: Mode,
    attrs: dict[str, Any],
    unreported: Collection[int] = (),
    cost: float = 0.0,
) -> TrialEnd:
    """End a trial in the study, with its reason, and return how it ended.

    COMPLETE has the best objective over its epochs as its value, and its cost as a second one in a study with two
    objectives; PRUNED keeps its last objective, which is what TPE reads (with two objectives Optuna keeps none); a
    trial that failed, or has no result, is FAIL. One that diverged is PRUNED, with or without results (see DIVERGED).

    The decision is written first, then what was not reported yet, then the state: a driver that is killed in between
    leaves a trial of which a resumed one knows how it was to end (see `decided_end`).

    Args:
        values: finite objective by epoch.
        attrs: further user attributes.
        unreported: those epochs among `values` that the study does not hold yet.
    """
    epoch = best_epoch(values, mode)
    best = None if epoch is None else values[epoch]
    if stop.kind in BAD_ENDS:
        state = TrialState.PRUNED
    elif stop.kind == "failed" or (best is None and stop.kind not in STOPPED_BY_SCHEDULER):
        state = TrialState.FAIL
    elif best is None or stop.kind in STOPPED_BY_SCHEDULER:
        state = TrialState.PRUNED if values else TrialState.FAIL
    else:
        state = TrialState.COMPLETE
    trial_id = study._storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    for key, value in {**attrs, "best_epoch": epoch, "stop": stop.as_dict()}.items():
        study._storage.set_trial_user_attr(trial_id, key, value)
    for step in unreported:
        study._storage.set_trial_intermediate_value(trial_id, step, values[step])
    reported = [best, cost][: len(study.directions)] if state == TrialState.COMPLETE else None
    study.tell(number, reported, state=state)  # type: ignore[arg-type]
    return TrialEnd(state.name, stop, best, epoch, cost)  # type: ignore[arg-type]


def report(trial: optuna.Trial, epoch: int, value: float) -> None:
    """Write an epoch's objective into the study: `Trial.report` refuses to where there are two objectives."""
    trial.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)


def decided_end(trial: FrozenTrial) -> Stop | None:
    """Return how a trial that is still RUNNING was to end, when that was decided and all its values are there."""
    stop = trial.user_attrs.get("stop")
    if stop is None:
        return None
    known = stop.get("epoch") is None or stop["epoch"] in trial.intermediate_values
    return Stop(**{"epoch": None, **stop}) if known or stop["kind"] in ("failed", *BAD_ENDS) else None


def open_trials(study: optuna.Study, driver: str | None = None) -> list[FrozenTrial]:
    """Return the trials that are RUNNING: all, or those that one driver's experiment began."""
    return [trial for trial in own_trials(study, driver) if trial.state == TrialState.RUNNING]


def own_trials(study: optuna.Study, driver: str | None) -> list[FrozenTrial]:
    """Return the trials that one driver's experiment began, all where the study has no other driver (None)."""
    trials = study.get_trials(deepcopy=False)
    return [trial for trial in trials if driver is None or trial.user_attrs.get(DRIVER) == driver]


def close_open_trials(study: optuna.Study, stop: Stop, mode: Mode, experiment: Path, driver: str | None = None) -> None:
    """Tell every trial of a driver that is still RUNNING: the sweep ended under it."""
    for trial in open_trials(study, driver):
        values = finite_values(trial)
        own = Stop(stop.kind, max(values, default=None), stop.reason)
        tell_end(study, trial.number, values, own, mode, {}, cost=cost_of(trial))
        keep_trial(study, trial.number, experiment)


def finite_values(trial: FrozenTrial) -> dict[int, float]:
    """Return a trial's objective by epoch."""
    return {step: value for step, value in trial.intermediate_values.items() if math.isfinite(value)}


def best_value(trial: FrozenTrial) -> float | None:
    """Return the best objective of a trial that has ended well, None for one that failed or has no result."""
    epoch = trial.user_attrs.get("best_epoch")
    if trial.state == TrialState.FAIL or ended_badly(trial) or epoch is None:
        return None
    return trial.intermediate_values.get(epoch)


def ended_badly(trial: FrozenTrial) -> bool:
    """Say whether a trial ended because its loss or objective was not finite, or its model costs too much."""
    return trial.user_attrs.get("stop", {}).get("kind") in BAD_ENDS


def state_of(trial: FrozenTrial) -> str:
    """Return a trial's state as users see it."""
    return shown_state(trial.state.name, trial.user_attrs.get("stop", {}).get("kind"))


def cost_of(trial: FrozenTrial) -> float:
    """Return what a trial's model costs; 0 where the sweep weighs none."""
    return float(trial.user_attrs.get(COST, 0.0))


def scored(trial: FrozenTrial) -> ScoredTrial | None:
    """Return what a trial that has ended well reached, and at what cost; None for any other."""
    value = best_value(trial)
    return None if value is None or not trial.state.is_finished() else ScoredTrial(trial.number, value, cost_of(trial))


def best_epoch(values: dict[int, float], mode: Mode) -> int | None:
    """Return the first epoch with the best value; None without values."""
    sign = -1 if mode == "max" else 1
    return min(values, key=lambda epoch: (sign * values[epoch], epoch), default=None)


def _definition(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Return what the study's record rests on, as JSON."""
    values = config.model_dump(mode="json", include=set(_FIXED.split()))
    trial = TrialConfig.model_validate(config.trial).model_dump(mode="json", exclude={"epochs", "seed", *SWEEP_WIDE})
    searched = {name.partition(".")[0] for name in config.space}
    fixed = {f"trial.{name}": value for name, value in trial.items() if name not in searched or name == "augmentation"}
    return {**values, **fixed, "dataset": fingerprint}


def _check_same(config: SweepConfig, fingerprint: str, stored: dict[str, Any]) -> None:
    """Refuse to resume or join a study with other keys than it began with."""
    # What a study of before there were any of these has not.
    stored = {"objectives": [], "constraints": {}, "validation": Validation().model_dump(), **stored}
    for key, value in _definition(config, fingerprint).items():
        if key in stored and stored[key] != value:
            if key == "dataset":
                raise UserError(
                    f"dataset: {config.dataset} is not what the study {config.name!r} was begun on (fingerprint "
                    f"{value[:12]}, not {stored[key][:12]})"
                )
            old, new = (text if len(text) <= 100 else f"{text[:97]}…" for text in (str(stored[key]), str(value)))
            raise UserError(
                f"{key}: the study {config.name!r} was begun with {old}, so it cannot become {new}; "
                f"what may be changed: {_MAY_CHANGE}"
            )
