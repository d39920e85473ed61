"""search/sampling/suggestions.py: no trial trains what another one did, and equivalence is recognised."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers._tpe.sampler import _split_trials
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS
from search.config.schema import sweep_config
from search.sampling.suggestions import as_seen, blank_trial, count_repeats, identity, points_of
from search.study.study import tell_end
from search.study.trial_end import Stop
from tests.search_tests.example import sweep
from tests.search_tests.gp import check_installed
from tests.search_tests.tune_loop import PlayedSweep
from trainables.config import TrialConfig
from trainables.errors import UserError

TINY = {"unfrozen_layers": [0, 31, 35, 40], "dense_units": [128, 256]}
DIFFERENT = 4


def play(folder: Path, beside: int = 1, **changes: Any) -> tuple[PlayedSweep, list[optuna.trial.FrozenTrial]]:
    game = PlayedSweep(sweep(folder, **changes))
    return game, game.play(beside)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("beside", [1, 2])
def test_a_finite_space_is_tried_to_its_end_once_and_the_sweep_says_so(
    tmp_path: Path, sampler: str, beside: int
) -> None:
    check_installed(sampler)
    game, trials = play(tmp_path, beside, space=TINY, sampler=sampler, trials=30, early_stopping={"kind": "none"})
    assert len({identity(trial.user_attrs["config"]) for trial in trials}) == len(trials) == DIFFERENT
    assert game.sweep_state.finished == "the space is exhausted: all of its 4 different configurations were tried"


def test_a_repeat_is_recorded_with_its_reason_and_is_no_trial(tmp_path: Path) -> None:
    game, trials = play(tmp_path, space=TINY, sampler="random", trials=30)
    repeats = {key: value for key, value in game.searcher.study.user_attrs.items() if key.startswith("repeat:")}
    assert len(repeats) == count_repeats(game.searcher.study) > 0
    for repeat in repeats.values():
        known = trials[repeat["of"]]
        if repeat["params"] == known.params:
            assert repeat["reason"] == f"trial {known.number} has the same values"
        else:
            assert repeat["reason"].startswith(f"trial {known.number} trains the same: unfrozen_layers")
            assert repeat["reason"].endswith("makes no difference")


@pytest.mark.parametrize(("kind", "suggested"), [("failed", 128), ("diverged", 256)])
def test_a_configuration_that_failed_may_be_tried_again_and_one_that_diverged_is_not(
    tmp_path: Path, kind: str, suggested: int
) -> None:
    """Another try may go well where a worker was lost; a learning rate that is too high stays too high."""
    game = PlayedSweep(sweep(tmp_path, space={"dense_units": [128, 256]}, points=[{"dense_units": 128}] * 2, trials=2))
    first = game.searcher.suggest("a")
    assert isinstance(first, dict) and first["dense_units"] == 128
    tell_end(game.searcher.study, 0, {}, Stop(kind, 1, "no"), "max", {})
    second = game.searcher.suggest("b")
    assert isinstance(second, dict) and second["dense_units"] == suggested


@pytest.mark.parametrize("objectives", [[], ["val_macro_f1", "model_mb"]])
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_configuration_that_failed_twice_is_not_tried_again(
    tmp_path: Path, sampler: str, objectives: list[str]
) -> None:
    config = sweep(tmp_path, space={"dense_units": [64, 128, 256]}, sampler=sampler, trials=30, objectives=objectives)
    game = PlayedSweep(config)
    study, begun = game.searcher.study, []
    while isinstance(suggested := game.searcher.suggest(f"ray_{len(begun)}"), dict):
        begun.append(suggested["dense_units"])
        number, well = len(begun) - 1, suggested["dense_units"] == 256
        for epoch in range(9 if well else 0):
            study._storage.set_trial_intermediate_value(study.trials[number]._trial_id, epoch + 1, 0.5)
        values = dict.fromkeys(range(1, 10), 0.5) if well else {}
        tell_end(study, number, values, Stop("max_epochs" if well else "failed", 9, "it ended"), "max", {}, cost=1.0)
        assert len(begun) < 9
    assert sorted(begun) == [64, 64, 128, 128, 256]
    assert game.sweep_state.finished == "the space is exhausted: all of its 3 different configurations were tried"
    resumed = PlayedSweep(config, study=study)
    assert resumed.searcher.suggest("again") == "FINISHED"


def test_a_configuration_that_failed_and_then_went_well_has_a_result(tmp_path: Path) -> None:
    """Also for a driver that resumes the sweep, and reads both at once."""
    config = sweep(tmp_path, space={"dense_units": [64]}, sampler="random", trials=30)
    game = PlayedSweep(config)
    for number, stop in enumerate((Stop("failed", 1, "no"), Stop("max_epochs", 1, "yes"))):
        assert isinstance(game.searcher.suggest(str(number)), dict)
        tell_end(game.searcher.study, number, {1: 0.5}, stop, "max", {})
    assert PlayedSweep(config, study=game.searcher.study).searcher.suggest("again") == "FINISHED"


def test_a_step_is_one_value_however_it_was_computed(tmp_path: Path) -> None:
    space = {"dropout": {"low": 0.0, "high": 0.3, "step": 0.1}}
    game, trials = play(tmp_path, space=space, points=[{"dropout": 0.3}], sampler="random", trials=30)
    assert sorted(trial.params["dropout"] for trial in trials) == [0.0, 0.1, 0.2, 0.3]
    assert sorted(trial.user_attrs["config"]["dropout"] for trial in trials) == [0.0, 0.1, 0.2, 0.3]
    assert game.sweep_state.finished == "the space is exhausted: all of its 4 different configurations were tried"
    configs = [TrialConfig(dropout=value).model_dump() for value in (0.3, 3 * 0.1)]
    assert identity(configs[0]) == identity(configs[1]) != identity(TrialConfig(dropout=0.30001).model_dump())


def test_a_space_is_counted_as_it_is_where_earlier_trials_had_fewer_epochs(tmp_path: Path) -> None:
    config = sweep(tmp_path, space=TINY, sampler="random", trials=30, trial={"epochs": 3})
    game = PlayedSweep(config)
    game.play()
    longer = PlayedSweep(config.model_copy(update={"trial": {"epochs": 5}}), study=game.searcher.study)
    assert len(longer.play()) == 2 * DIFFERENT
    assert longer.sweep_state.finished == "the space is exhausted: all of its 4 different configurations were tried"


def diverged(number: int, values: dict[int, float], cost: float = 1.0) -> FrozenTrial:
    return ended(number, values, cost, TrialState.PRUNED, "diverged")


def ended(number: int, values: dict[int, float], cost: float, state: TrialState, kind: str) -> FrozenTrial:
    trial = blank_trial(number, state)
    trial.intermediate_values = values
    best = max(values, key=values.__getitem__, default=None)
    trial.user_attrs = {"stop": {"kind": kind}, "cost": cost, "best_epoch": best}
    if state == TrialState.COMPLETE:
        trial.values = [values[best], cost] if best else None
    return trial


MAXIMIZE, MINIMIZE = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE


def test_tpe_sees_a_trial_that_diverged_below_all_others() -> None:
    stopped = ended(1, {1: 0.1}, 0.0, TrialState.PRUNED, "asha")
    seen = as_seen([diverged(0, {1: 0.8, 2: 0.9}), stopped], [MAXIMIZE], reads_stopped=True)
    assert seen[1] is stopped
    assert (seen[0].state, seen[0].intermediate_values) == (TrialState.PRUNED, {})
    study = optuna.create_study(direction="maximize")
    below, above = _split_trials(study, seen, 1)
    assert [trial.number for trial in below] == [1] and [trial.number for trial in above] == [0]


def test_what_reads_complete_trials_alone_sees_the_worst_of_each_objective() -> None:
    trials = [
        diverged(0, {1: 0.9}, cost=0.1),
        ended(1, {1: 0.5}, 3.0, TrialState.COMPLETE, "max_epochs"),
        ended(2, {1: 0.2}, 2.0, TrialState.PRUNED, "asha"),
    ]
    seen = as_seen(trials, [MAXIMIZE, MINIMIZE], reads_stopped=True)
    assert [(trial.number, trial.values) for trial in seen] == [(0, [0.2, 3.0]), (1, [0.5, 3.0]), (2, [0.2, 2.0])]
    assert {trial.state for trial in seen} == {TrialState.COMPLETE}
    assert as_seen(trials[:1], [MAXIMIZE, MINIMIZE], reads_stopped=True) == []
    assert trials[0].intermediate_values == {1: 0.9} and trials[0].values is None, "the study's own stay as they are"


def test_points_come_first_and_the_sampler_fills_what_they_leave_open(tmp_path: Path) -> None:
    points = [{"learning_rate": 1e-3, "dense_units": 256}, {"dropout": 0.1}, {"learning_rate": 2e-3}]
    _, trials = play(tmp_path, points=points, trials=4)
    assert (trials[0].params["learning_rate"], trials[0].params["dense_units"]) == (1e-3, 256)
    assert trials[1].params["dropout"] == 0.1 and trials[2].params["learning_rate"] == 2e-3
    assert all(len(trial.params) == 4 for trial in trials)


def test_a_point_that_stands_twice_is_not_run_twice(tmp_path: Path) -> None:
    point = {"learning_rate": 1e-3, "dense_units": 256, "dropout": 0.25, "unfrozen_layers": 31}
    game, trials = play(tmp_path, points=[point, point], trials=2)
    assert trials[0].params == point != trials[1].params
    assert count_repeats(game.searcher.study) == 1


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"points": [{"dropout": 0.9}]}, "points[0].dropout: 0.9 is not in the space, 0.0 to 0.6"),
        ({"points": [{}, {"l2": 0}]}, "points[0]: must map knobs of the space to values, not {}"),
        (
            {"points": [{"dropout": 0.1}, {"l2": 0}]},
            "points[1].l2: is not in the space, which has: learning_rate, dropout, dense_units, unfrozen_layers",
        ),
        (
            {"points": [{"dense_units": 64}]},
            "points[0].dense_units: 64 is not in the space, one of 128, 256, 512",
        ),
        ({"points": [{"dropout": 0.1}] * 3, "trials": 2}, "points: there are 3 of them, but only 2 trials"),
    ],
)
def test_a_wrong_point_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep_config({"name": "x", "dataset": "d", "experiment": "e", **changes})
    assert str(caught.value) == line


def test_a_trial_appears_in_the_storage_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever moment a driver is killed in: the study never holds half a suggestion."""
    game = PlayedSweep(sweep(tmp_path))
    writes: list[str] = []
    storage = game.searcher.study._storage
    for name in ("create_new_trial", "set_trial_param", "set_trial_user_attr", "set_trial_system_attr"):
        original = getattr(storage, name)
        monkeypatch.setattr(storage, name, lambda *a, _n=name, _o=original, **k: (writes.append(_n), _o(*a, **k))[1])
    for number in range(7):
        game.searcher.suggest(f"id{number}")
        game.searcher.on_trial_complete(f"id{number}", {"epoch": 1, "val_macro_f1": 0.1, "done": True})
        assert [write for write in writes if write != "set_trial_user_attr"] == ["create_new_trial"]
        writes.clear()
    for trial in game.searcher.study.trials:
        assert (
            trial.params.keys() == game.config.space.keys()
            and trial.user_attrs["config"]["seed"] == trial.user_attrs["seed"]
        )


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return identity(TrialConfig(**first).model_dump()) == identity(TrialConfig(**second).model_dump())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"unfrozen_layers": 31}, {"unfrozen_layers": 40}),
        ({"unfrozen_layers": 311}, {"unfrozen_layers": 5000}),
        ({"seed": 1, "sweep_seed": 2}, {"seed": 3, "sweep_seed": 4}),
        ({"backbone": "simple_cnn", "unfrozen_layers": 0}, {"backbone": "simple_cnn", "unfrozen_layers": 62}),
        ({"backbone": "simple_cnn", "weights": "auto"}, {"backbone": "simple_cnn", "weights": "imagenet"}),
        ({"weights": {"inception_v3": "a.h5"}}, {"weights": {"inception_v3": "a.h5", "densenet121": "b.h5"}}),
        ({"weights": {"densenet121": "b.h5"}}, {"weights": "auto"}),
        ({"epochs": 5, "patience": 5}, {"epochs": 5, "patience": 50}),
        ({"epochs": 5, "augment_views": 5}, {"epochs": 5, "augment_views": 9}),
        ({"head_epochs": 5}, {"head_epochs": 9}),
        ({"head_learning_rate": 1e-3}, {"learning_rate": 1e-3}),
        ({"head_learning_rate": 1e-2, "learning_rate": 1e-3}, {"learning_rate": 1e-2}),
    ],
)
def test_what_makes_no_difference_makes_none(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert same(first, second)


def test_a_trial_of_a_study_before_a_knob_was_there_is_one_with_its_default() -> None:
    config = TrialConfig().model_dump()
    assert identity({name: value for name, value in config.items() if not name.startswith("head")}) == identity(config)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"unfrozen_layers": 30}, {"unfrozen_layers": 31}),
        ({"unfrozen_layers": 31}, {"unfrozen_layers": 62}),
        ({"learning_rate": 1e-3}, {"learning_rate": 1.0001e-3}),
        ({"epochs": 5, "patience": 4}, {"epochs": 5, "patience": 5}),
        ({"epochs": 5, "augment_views": 3}, {"epochs": 5, "augment_views": 4}),
        ({"augmentation": {"rotation": 0}}, {"augmentation": {"rotation": 10}}),
        ({"weights": {"inception_v3": "a.h5"}}, {"weights": "auto"}),
        ({"head_start": "warm", "head_epochs": 5}, {"head_start": "warm", "head_epochs": 9}),
        ({"head": "depths"}, {"head": "study"}),
        ({"unfrozen_layers": 31, "head_learning_rate": 1e-2}, {"unfrozen_layers": 31, "learning_rate": 1e-2}),
    ],
)
def test_what_makes_a_difference_is_two_configurations(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert not same(first, second)


def test_the_points_of_a_finite_space_are_each_there_once_in_a_seeded_order(tmp_path: Path) -> None:
    space = {
        "dropout": {"low": 0.0, "high": 0.5, "step": 0.2},
        "dense_units": {"low": 1, "high": 3},
        "optimizer": ["sgd"],
    }
    points = list(points_of(sweep(tmp_path, space=space)) or ())
    assert {(point["dropout"], point["dense_units"], point["optimizer"]) for point in points} == {
        (dropout, units, "sgd") for dropout in (0.0, 0.2, 0.4) for units in (1, 2, 3)
    }
    assert points == list(points_of(sweep(tmp_path, space=space)) or ())
    assert points != list(points_of(sweep(tmp_path, space=space, seed=1)) or ())


def test_a_range_of_numbers_has_no_end_of_points_unless_it_is_a_grid(tmp_path: Path) -> None:
    space = {"dropout": {"low": 0.0, "high": 0.5, "points": 3}}
    assert points_of(sweep(tmp_path, space=space)) is None
    assert len(list(points_of(sweep(tmp_path, space=space, sampler="grid")) or ())) == 3
