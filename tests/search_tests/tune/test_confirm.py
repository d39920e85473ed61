import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from search.__main__ import _confirmed
from search.config.schema import SweepConfig
from search.config.trial_plan import Plan
from search.records import read_experiment
from search.resume import resume_sweep
from search.study.storage import opened_storage
from search.sweep import run_sweep
from search.tune.confirm import CONFIRM, again, best_trials, choice
from tests.search_tests.example import sweep
from tests.search_tests.synthetic import SyntheticTrial
from trainables.config import TrialConfig
from trainables.handoff import Confirmation


def ended(values: list[float], epochs: int = 4) -> list[FrozenTrial]:
    """Trials that ended with these values, all best in the epoch before their last."""
    study = optuna.create_study(direction="maximize")
    for value in values:
        curve_of = {epoch: value - abs(epoch - epochs + 1) / 10 for epoch in range(1, epochs + 1)}
        attrs = {"config": TrialConfig(epochs=epochs).model_dump(), "best_epoch": epochs - 1}
        study.add_trial(optuna.trial.create_trial(value=value, intermediate_values=curve_of, user_attrs=attrs))
    return study.get_trials()


def chosen(tmp_path: Path, values: dict[int, list[float | None]], **confirm: int) -> Confirmation:
    config = sweep(tmp_path, confirm={"trials": 2, **confirm})
    candidates = best_trials(ended([0.70, 0.80, 0.78]), config)
    runs = list(again(Plan(config, 1), candidates))
    left = {trial: list(each) for trial, each in values.items()}
    return choice(config, candidates, runs, {run.name: left[run.trial].pop(0) for run in runs})


def test_the_further_runs_are_of_the_best_trials_and_end_with_their_best_epoch(tmp_path: Path) -> None:
    config = sweep(tmp_path, confirm={"trials": 2, "seeds": 3})
    candidates = best_trials(ended([0.70, 0.80, 0.78]), config)
    runs = list(again(Plan(config, 1), candidates))
    assert [(run.trial, run.number, run.epochs) for run in runs] == [(t, n, 3) for t in (1, 2) for n in range(3)]
    assert len({run.config.seed for run in runs}) == 6
    assert {run.config.epochs for run in runs} == {4}, "the schedule stays"


def test_the_best_mean_is_handed_over_and_says_how_much_the_first_choice_had_flattered_itself(tmp_path: Path) -> None:
    found = chosen(tmp_path, {1: [0.74, 0.76], 2: [0.78, 0.80]})
    assert (found.chosen, found.row.mean()) == (2, pytest.approx(0.79))
    assert found.flattered("max") == pytest.approx(0.05)
    # Two means of two values that differ by 0.02: a deviation of 0.01 * sqrt(2) with two degrees of freedom.
    assert found.half_width == pytest.approx(4.3027 * 0.01, rel=1e-3)
    line = _confirmed(found, "max")
    assert "trial 2 of the best 2: mean 0.7900 ± 0.0430 of 2 with further seeds" in line
    assert "trial 1, the first choice, had been 0.0500 above its own mean" in line


def test_a_trials_own_value_counts_unless_folds_judged_the_others(tmp_path: Path) -> None:
    values: dict[int, list[float | None]] = {1: [0.780], 2: [0.790]}
    assert chosen(tmp_path, values, seeds=1).chosen == 1
    folded = chosen(tmp_path, values, seeds=1, folds=5)
    assert (folded.chosen, folded.half_width) == (2, None)
    assert "judged by 5 folds" in _confirmed(folded, "max") and "first choice" not in _confirmed(folded, "max")


def test_a_trial_with_a_run_that_gave_nothing_is_not_chosen(tmp_path: Path) -> None:
    assert chosen(tmp_path, {1: [0.9, None], 2: [0.5, 0.5]}).chosen == 2
    assert chosen(tmp_path, {1: [0.9, None], 2: [None, None]}).chosen == 1


def test_two_objectives_cannot_be_confirmed(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="confirm: chooses one trial"):
        sweep(tmp_path, objectives=["val_macro_f1", "model_mb"], confirm={"trials": 2})


def confirming(tmp_path: Path) -> SweepConfig:
    return sweep(tmp_path, trials=5, seed=3, confirm={"trials": 3, "seeds": 2}, checkpoint_every=1)


def test_a_sweep_confirms_its_best_trials_and_hands_over_what_held(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = run_sweep(confirming(tmp_path), SyntheticTrial)
    said = capsys.readouterr().out
    found = best.confirmation
    assert found is not None and best.trial == found.chosen
    experiment = read_experiment(best_folder(tmp_path))
    by_value = sorted(experiment.trials, key=lambda trial: -(trial.value or 0))
    assert [row.trial for row in found.rows] == [trial.number for trial in by_value[:3]]
    for row in found.rows:
        trial = experiment.trials[row.trial]
        assert len(row.values) == 2
        assert all(value is not None and abs(value - row.first) < 0.1 for value in row.values)
        assert row.first == trial.value
    assert said.count("confirming   trial ") == 6 and "confirming   trials" in said
    # No trial's checkpoints were touched, and nothing of the further runs lies there.
    assert not (best_folder(tmp_path) / "confirm").exists()


def best_folder(tmp_path: Path) -> Path:
    return tmp_path / "experiment"


def test_a_driver_that_goes_on_trains_only_the_runs_that_are_not_done(
    ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = confirming(tmp_path)
    run_sweep(config, SyntheticTrial)
    folder = best_folder(tmp_path)
    (folder / "best.json").unlink()
    with opened_storage(folder) as storage:
        study = optuna.load_study(study_name="test", storage=storage)
        done = dict(study.user_attrs[CONFIRM])
        lost = next(iter(done))
        study.set_user_attr(CONFIRM, {name: value for name, value in done.items() if name != lost})
    capsys.readouterr()
    best, went_on = resume_sweep(folder, [], SyntheticTrial)
    assert went_on and capsys.readouterr().out.count("confirming   trial ") == 1
    assert best.confirmation is not None and all(row.whole for row in best.confirmation.rows)


def test_a_lost_process_costs_its_run_alone(ray_here: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_sweep(sweep(tmp_path / "first", trials=5, seed=3), SyntheticTrial).trial

    class Deadly(SyntheticTrial):
        """Kills the process of every further run of the best trial: only these write no checkpoints."""

        def step(self) -> dict[str, Any]:
            if self._settings["run"].trial == first and not self._settings["run"].checkpoint_every:
                os._exit(1)
            return super().step()

    found = run_sweep(confirming(tmp_path), Deadly).confirmation
    assert found is not None and found.rows[0].trial == first
    assert found.rows[0].values == (None, None)
    assert found.chosen != first
    assert capsys.readouterr().out.count("no value") == 2
