"""Suggested trials: the points to try first, then the sampler's, none twice.

Two suggestions are equivalent when all that differs has no effect: counts of unfrozen layers with the same trainable
layers (31 to 40 of InceptionV3), any count for a backbone that trains whole, weights for other backbones than the
chosen one, a patience or a number of augmented views beyond the last epoch. The trial's seed is not looked at.
"""

import copy
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, _get_single_value
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS
from search.config.schema import SweepConfig
from search.config.space import Scalar, distributions, on_step, values_of
from search.config.trial_plan import Plan
from search.sampling.samplers import make_sampler
from search.study.study import best_value, cost_of, ended_badly
from search.study.trial_end import DIVERGED, INFEASIBLE
from trainables.config import SWEEP_WIDE, TrialConfig
from trainables.network.backbones import from_scratch
from trainables.network.trainable_layers import fewest_unfrozen

_DEFAULTS = TrialConfig().model_dump()
# A sampler that suggests nothing new so often has found its best points; the untried rest is then taken in turn.
_ATTEMPTS = 10
# A worker may be lost through no fault of the configuration; a second failure is taken for its own.
_TRIES = 2
# A space with more points is never tried to its end.
_MOST_POINTS = 100_000
REPEAT = "repeat:"
# TPE and GP share what they draw with other drivers before it is written; here it is written in the same moment.
_SHARED_BEFORE = ("tpe:", "gp:")


class Suggester:
    """Suggests trials for a study, each of which trains something that no trial before it did.

    A repeated suggestion takes the known result: the sampler learns it and is asked again, and the study's user
    attribute `repeat:NUMBER:ATTEMPT` keeps what it was and why it was not run. It never counts as a trial.
    """

    def __init__(self, plan: Plan, study: optuna.Study, earlier: Sequence[FrozenTrial] = ()) -> None:
        """Args: `earlier` are trials of other studies that the sampler is to learn from; see warm_start."""
        self._plan = plan
        self._study = study
        self._space = distributions(plan.config.space)
        self._earlier = list(earlier)
        self._tried: dict[str, int] = {}  # What a trial with a result, or about to have one, trains: its number.
        self._too_costly: dict[tuple[Any, ...], int] = {}  # Models that no constraint allows.
        self._identities: dict[int, str] = {}  # By the numbers of all trials.
        self._rest = points_of(plan.config)

    def next(self) -> tuple[FrozenTrial, TrialConfig] | str:
        """Return the next trial, which is not yet in the study, with its configuration; or why there is none."""
        trials = self._study.get_trials(deepcopy=False)
        number, config = len(trials), self._plan.config
        self._take_in(trials)
        repeats: list[FrozenTrial] = []
        untried: tuple[FrozenTrial, TrialConfig] | None = None  # But for its model, which costs too much.
        for attempt in range(_ATTEMPTS):
            sampler = make_sampler(config, number, attempt, self._plan.owner)
            known = [*self._earlier, *repeats, *trials]
            reads_stopped = SAMPLERS[config.sampler].reads_stopped
            trial = suggest(self._study, sampler, known, self._space, number, reads_stopped=reads_stopped)
            if attempt == 0 and number < len(config.first_points):
                trial.params.update(config.first_points[number])
            trial.params = {name: on_step(config.space[name], value) for name, value in trial.params.items()}
            whole = self._plan.trial_config(number, trial.params)
            same = self._tried.get(identity(whole.model_dump()))
            reason = None if same is None else _why_a_repeat(trials[same], trial.params)
            if same is None:
                untried = trial, whole
                same = self._too_costly.get(_model_of(whole))
                reason = f"trial {same} has the same model, which costs too much"
            if same is None:
                return trial, whole
            note = {"params": trial.params, "of": same, "reason": reason}
            self._study.set_user_attr(f"{REPEAT}{number}:{attempt}", note)
            if any(trial.params == repeat.params for repeat in repeats):
                break  # It would say so for ever.
            # The known result under the values that were suggested, for the sampler to learn from.
            repeat = copy.copy(trials[same])
            repeat.params, repeat.number = dict(trial.params), -1
            if repeat.state == TrialState.FAIL:  # Samplers do not see FAIL, and would suggest it for ever.
                repeat.state, repeat.user_attrs = TrialState.PRUNED, {"stop": {"kind": DIVERGED}}
            repeats.append(repeat)
        # Where nearly all models cost too much, a sweep goes on with such trials of an epoch.
        return untried if untried is not None and self._rest is None else self._untried(trial)

    def _take_in(self, trials: Sequence[FrozenTrial]) -> None:
        """Note what trials train. What failed has no result: it is tried once more, and no more often."""
        self._tried = {}
        failures: Counter[str] = Counter()
        for trial in sorted(trials, key=lambda trial: trial.state == TrialState.FAIL):
            if trial.number not in self._identities and "config" in trial.user_attrs:
                self._identities[trial.number] = identity(trial.user_attrs["config"])
            what = self._identities.get(trial.number)
            if what is None:
                continue
            if trial.state == TrialState.FAIL:
                # Not what was interrupted before its first epoch.
                failures[what] += trial.user_attrs.get("stop", {}).get("kind") == "failed"
                if failures[what] < _TRIES:
                    continue
            self._tried.setdefault(what, trial.number)
            if trial.user_attrs.get("stop", {}).get("kind") == INFEASIBLE:
                config = TrialConfig.model_validate(trial.user_attrs["config"])
                self._too_costly.setdefault(_model_of(config), trial.number)

    def _untried(self, trial: FrozenTrial) -> tuple[FrozenTrial, TrialConfig] | str:
        if self._rest is None:
            return f"the sampler suggested nothing new in {_ATTEMPTS} attempts"
        # Again from the first point: one that failed was passed over while it ran.
        for points in (self._rest, points_of(self._plan.config) or iter(())):
            tried, costly = set(), set()
            for params in points:
                config = self._plan.trial_config(trial.number, params)
                if (what := identity(config.model_dump())) in self._tried:
                    tried.add(what)
                elif _model_of(config) in self._too_costly:
                    costly.add(what)
                else:
                    trial.params, self._rest = dict(params), points
                    return trial, config
        if costly:
            every = f"{len(tried)} of its {len(tried | costly)} different configurations were tried"
            return f"the space is exhausted: {every}, and the model of the others costs too much"
        return f"the space is exhausted: all of its {len(tried)} different configurations were tried"


def identity(config: dict[str, Any]) -> str:
    """Return what a trial's configuration (all fields of TrialConfig) trains, as text: equal where that is equal."""
    # What a study of an earlier version does not hold was the default then.
    same = {name: _rounded(value) for name, value in (_DEFAULTS | config).items() if name not in ("seed", *SWEEP_WIDE)}
    backbone, epochs = same["backbone"], same["epochs"]
    # Another head may end at another layer, from which its layers are counted.
    if same["head"] == "study" or from_scratch(backbone):
        same["unfrozen_layers"] = fewest_unfrozen(backbone, same["unfrozen_layers"])
    if isinstance(same["weights"], dict):
        same["weights"] = same["weights"].get(backbone, "auto")
    if from_scratch(backbone):
        same["weights"] = "random"
    same["patience"] = min(same["patience"], epochs)
    same["augment_views"] = min(same["augment_views"], epochs)
    same["head_learning_rate"] = same["head_learning_rate"] or same["learning_rate"]
    if same["unfrozen_layers"] == 0 and not from_scratch(backbone):
        same["learning_rate"] = same["head_learning_rate"]  # The backbone's, which does not train.
    if same["head_start"] == "random":
        same["head_epochs"] = None
    return json.dumps(same, sort_keys=True)


def _model_of(config: TrialConfig) -> tuple[Any, ...]:
    """Return what a model's cost depends on."""
    # With head_start probe, the depths are the probe's.
    return (config.backbone, config.image_size, config.dense_units, config.head, config.head_start, str(config.depths))


def _why_a_repeat(known: FrozenTrial, params: dict[str, Any]) -> str:
    """Say why what is suggested trains the same as a known trial."""
    unlike = {name: value for name, value in params.items() if known.params.get(name) != value}
    if known.state == TrialState.FAIL:
        return f"trial {known.number} trains the same and was not the first that failed"
    if not unlike:
        return f"trial {known.number} has the same values"
    pairs = ", ".join(f"{name} {value} for {known.params.get(name)}" for name, value in unlike.items())
    return f"trial {known.number} trains the same: {pairs} makes no difference"


def _rounded(value: Any) -> Any:
    """Return a number without what its arithmetic left in the last digits; anything else as it is."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.12g}") if isinstance(value, float) else value


def points_of(config: SweepConfig) -> Iterator[dict[str, Scalar]] | None:
    """Yield every point of the space in a seeded order; None where it has no end, or none that would be reached."""
    values = {name: values_of(name, knob, grid=SAMPLERS[config.sampler].grid) for name, knob in config.space.items()}
    if math.prod(_MOST_POINTS + 1 if choices is None else len(choices) for choices in values.values()) > _MOST_POINTS:
        return None
    points = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]  # type: ignore[arg-type]
    random.Random(config.seed).shuffle(points)
    return iter(points)


def count_repeats(study: optuna.Study) -> int:
    """Return how many suggestions were not run because a trial before them trains the same."""
    return sum(key.startswith(REPEAT) for key in study.user_attrs)


def suggest(
    study: optuna.Study,
    sampler: BaseSampler,
    trials: list[FrozenTrial],
    space: dict[str, BaseDistribution],
    number: int,
    *,
    reads_stopped: bool = True,
) -> FrozenTrial:
    """Let a sampler draw the trial with this number; nothing is written.

    `Study.ask` reads all trials and commits for every knob: a dozen round trips, and a driver that is killed between
    two of them leaves half a suggestion. Here the sampler sees the study as it was read once, and `begin` writes the
    trial whole, with its knobs and attributes, or not at all.

    Args:
        trials: those of the study, and before them others that the sampler is to learn from, with negative numbers.
        space: every knob with its distribution; all trials have all of them.
        reads_stopped: whether the sampler learns from PRUNED trials as they are, where there is one objective.
    """
    trial = blank_trial(number)
    trials = as_seen(trials, study.directions, reads_stopped=reads_stopped)
    view = optuna.Study(study.study_name, _Snapshot(study, trials, trial), sampler)  # type: ignore[arg-type]
    sampler.before_trial(view, trial)
    # Not the sampler's own inference, which compares the spaces of all trials to find that they are this one.
    together = {name: knob for name, knob in space.items() if not knob.single()}
    drawn = sampler.sample_relative(view, trial, together if trials else {})
    for name, knob in space.items():
        if knob.single():
            value = _get_single_value(knob)
        elif name in drawn and knob._contains(knob.to_internal_repr(drawn[name])):
            value = drawn[name]
        else:
            value = sampler.sample_independent(view, trial, name, knob)
        trial.params[name], trial.distributions[name] = value, knob
    return trial


def begin(study: optuna.Study, trial: FrozenTrial, user_attrs: dict[str, Any]) -> optuna.Trial:
    """Write a suggested trial into the study, whole, and return it for its results to be reported to."""
    trial.user_attrs.update(user_attrs)
    for key in [key for key in trial.system_attrs if key.startswith(_SHARED_BEFORE)]:
        del trial.system_attrs[key]
    return optuna.Trial(study, study._storage.create_new_trial(study._study_id, trial))


def blank_trial(number: int, state: TrialState = TrialState.RUNNING) -> FrozenTrial:
    """Return a trial that begins now and holds nothing yet."""
    return FrozenTrial(
        number=number,
        trial_id=-1,
        state=state,
        value=None,
        datetime_start=datetime.now(),
        datetime_complete=None if state == TrialState.RUNNING else datetime.now(),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def as_seen(
    trials: list[FrozenTrial], directions: Sequence[StudyDirection], *, reads_stopped: bool
) -> list[FrozenTrial]:
    """Return the trials as a sampler is to learn from them.

    One that diverged or costs too much is the worst of all, whatever it had reached before: TPE ranks a PRUNED trial by
    its last epoch and value, and one without any below the others. Where only COMPLETE trials are read, it has the
    worst value known, and the worst cost, without which the smallest model of all would stand on the front.
    """
    if len(directions) == 1 and reads_stopped:
        return [_without_values(trial) if ended_badly(trial) else trial for trial in trials]
    seen = [_as_complete(trial, len(directions)) for trial in trials if not ended_badly(trial)]
    known = [trial.values for trial in seen if trial.state == TrialState.COMPLETE]
    if not known:
        return seen
    worst = [
        min(values) if direction == StudyDirection.MAXIMIZE else max(values)
        for direction, values in zip(directions, zip(*known, strict=True), strict=True)
    ]
    for trial in filter(ended_badly, trials):
        bad = copy.copy(trial)
        bad.state, bad.values = TrialState.COMPLETE, worst
        seen.append(bad)
    return sorted(seen, key=lambda trial: trial.number)


def _without_values(trial: FrozenTrial) -> FrozenTrial:
    seen = copy.copy(trial)
    seen.values, seen.intermediate_values = None, {}
    return seen


def _as_complete(trial: FrozenTrial, objectives: int) -> FrozenTrial:
    """A stopped trial as a sampler can rank it that reads COMPLETE ones only.

    With one objective its value is the last one, as for TPE. With two it is by what it reached, and what its model
    costs: Optuna orders PRUNED trials by one direction, which a study with two does not have. Early stopping holds a
    trial only against those that cost no more, so what it stops is dominated by one of them, and is ranked below that.
    """
    value = trial.value if objectives == 1 else best_value(trial)
    if trial.state != TrialState.PRUNED or value is None:
        return trial
    seen = copy.copy(trial)
    seen.state, seen.values = TrialState.COMPLETE, [value, cost_of(trial)][:objectives]
    return seen


class _Snapshot:
    """The part of a storage that samplers use: the trials as they were read, and notes on the trial being drawn."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial], drawn: FrozenTrial) -> None:
        self._study = study
        self._trials = trials
        self._drawn = drawn

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._study._study_id

    def get_study_directions(self, study_id: int) -> Any:
        return self._study.directions

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._trials if states is None else [trial for trial in self._trials if trial.state in states]

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._drawn.system_attrs[key] = value
