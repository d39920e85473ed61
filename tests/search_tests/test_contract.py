"""One contract for every sampler with every kind of early stopping, for one objective and for two."""

import itertools

import pytest
from optuna.trial import FrozenTrial, TrialState

from search.config.registry import SAMPLERS, STOP_RULES
from search.config.space import distributions
from search.study.study import ended_badly
from tests.search_tests.example import sweep
from tests.search_tests.gp import check_installed
from tests.search_tests.synthetic import model_mb
from tests.search_tests.tune_loop import PlayedSweep

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True, "points": 4},
    "dropout": {"low": 0.0, "high": 0.6, "points": 2},
    "dense_units": [128, 256],
    "unfrozen_layers": [31],
}
TRIALS = 16


ONE = [(sampler, stopping, "alone") for sampler, stopping in itertools.product(SAMPLERS, STOP_RULES)]
TWO = [(sampler, stopping, "model_mb") for sampler, stopping, _ in ONE if SAMPLERS[sampler].several_objectives]


@pytest.fixture(params=[*ONE, *TWO], ids="-".join, scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PlayedSweep, list[FrozenTrial]]:
    sampler, stopping, cost = request.param
    check_installed(sampler)
    objectives = [] if cost == "alone" else ["val_macro_f1", cost]
    folder = tmp_path_factory.mktemp("contract")
    stop = {"kind": stopping}
    config = sweep(
        folder, trials=TRIALS, seed=5, space=SPACE, sampler=sampler, early_stopping=stop, objectives=objectives
    )
    game = PlayedSweep(config, faults={11: 1, 12: 2})
    return game, game.play(beside=2)


def test_every_trial_is_suggested_within_the_space_and_ends_in_the_study(
    played: tuple[PlayedSweep, list[FrozenTrial]],
) -> None:
    game, trials = played
    assert len(trials) == TRIALS
    assert all(trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL) for trial in trials)
    for trial in trials:
        for name, knob in distributions(game.config.space).items():
            assert knob._contains(knob.to_internal_repr(trial.params[name]))


def test_every_stop_has_its_reason_and_every_state_follows_from_it(
    played: tuple[PlayedSweep, list[FrozenTrial]],
) -> None:
    game, trials = played
    kind = game.config.early_stopping.kind
    states = {"max_epochs": TrialState.COMPLETE, kind: TrialState.PRUNED, "diverged": TrialState.PRUNED}
    for trial in trials:
        stop = trial.user_attrs["stop"]
        assert stop["reason"] and trial.state == states[stop["kind"]]
        if stop["kind"] == kind:
            assert stop["value"] < stop["cutoff"] and stop["competed"] >= game.config.early_stopping.min_results
    assert trials[11].user_attrs["stop"] == {
        "kind": "diverged",
        "epoch": 1,
        "reason": "val_macro_f1 was nan at epoch 1",
    }
    if kind == "none":
        assert {trial.user_attrs["stop"]["kind"] for trial in trials} == {"max_epochs", "diverged"}
        assert [len(trial.intermediate_values) for trial in trials if trial.state == TrialState.COMPLETE] == [9] * 14
    else:
        assert any(trial.state == TrialState.PRUNED for trial in trials), "nothing was stopped early"


def test_every_epoch_is_in_the_study_and_the_value_is_the_best_of_them(
    played: tuple[PlayedSweep, list[FrozenTrial]],
) -> None:
    for trial in played[1]:
        values = trial.intermediate_values
        ended = trial.user_attrs["stop"]["epoch"]
        assert sorted(values) == list(range(1, ended + (not ended_badly(trial))))
        if values:
            assert values[trial.user_attrs["best_epoch"]] == max(values.values())
        two = played[0].config.cost is not None
        cost = [trial.user_attrs["cost"]] if two else []
        if trial.state == TrialState.COMPLETE:
            assert trial.values == [max(values.values()), *cost]
        if trial.state == TrialState.PRUNED:
            assert trial.values == (None if two or not values else [values[max(values)]])


def test_a_trial_is_stopped_by_none_whose_model_is_larger(played: tuple[PlayedSweep, list[FrozenTrial]]) -> None:
    game, trials = played
    known = {trial.number: trial for trial in trials if not ended_badly(trial)}
    best = {number: max(trial.intermediate_values.values()) for number, trial in known.items()}
    for number, trial in known.items():
        if trial.state == TrialState.PRUNED and game.config.cost:
            cost = trial.user_attrs["cost"]
            assert cost == pytest.approx(model_mb(trial.params))
            assert any(best[other] > best[number] for other in known if known[other].user_attrs["cost"] <= cost)


def test_the_same_seed_gives_the_same_sweep(played: tuple[PlayedSweep, list[FrozenTrial]]) -> None:
    game, trials = played
    again = PlayedSweep(game.config, faults={11: 1, 12: 2}).play(beside=2)
    assert [trial.params for trial in again] == [trial.params for trial in trials]
    assert [trial.user_attrs["stop"] for trial in again] == [trial.user_attrs["stop"] for trial in trials]
    # A grid is the same whatever the seed; its order is not.
    other = PlayedSweep(game.config.model_copy(update={"seed": 6, "trials": 3})).play()
    assert [trial.params for trial in other] != [trial.params for trial in trials[:3]]
