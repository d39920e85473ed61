import math

import pandas as pd
import pytest

from analysis.report.sections.rungs import describe, planned_rungs, rungs
from tests.analysis_tests.example_sweep import RUNGS

TRIALS = pd.DataFrame(
    {"trial": [0, 1, 2], "stop_rung": [None, 2, None], "stop_cutoff": [None, 0.4, None], "state": ["complete"] * 3}
)
EPOCHS = pd.DataFrame(
    [(0, 1, 0.5), (0, 2, 0.45), (0, 3, 0.6), (1, 1, 0.3), (1, 2, 0.35), (2, 1, 0.2)],
    columns=["trial", "epoch", "score"],
)


def test_a_rung_compares_the_best_value_so_far():
    (rung,) = rungs(TRIALS, EPOCHS, "score", "max", [])
    assert rung.epoch == 2
    assert list(rung.trials.index) == [0, 1]  # trial 2 never came that far
    assert rung.trials["value"].tolist() == [0.5, 0.35]


def test_for_a_loss_the_best_is_the_lowest():
    (rung,) = rungs(TRIALS, EPOCHS, "score", "min", [])
    assert rung.trials["value"].tolist() == [0.45, 0.3]


def test_stopped_trials_carry_what_they_had_to_reach():
    (rung,) = rungs(TRIALS, EPOCHS, "score", "max", [])
    assert rung.trials["stopped"].tolist() == [False, True]
    assert math.isnan(rung.trials["cutoff"][0])
    assert rung.trials["cutoff"][1] == 0.4
    assert rung.went_on == 1


def test_planned_rungs_show_even_if_nobody_was_stopped_there():
    found = rungs(TRIALS, EPOCHS, "score", "max", [1, 3, 9])
    assert [rung.epoch for rung in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "asha", "grace_epochs": 1, "reduction_factor": 3.0}, [1, 3]),
        ({"kind": "asha", "grace_epochs": 2, "reduction_factor": 2.0}, [2, 4, 8]),
        ({"kind": "hyperband", "grace_epochs": 1, "reduction_factor": 1.5}, [1, 2, 3, 4, 6, 8]),
        ({"kind": "median"}, []),
        ({"kind": "none"}, []),
    ],
)
def test_planned_rungs_follow_the_sweep_file(settings, expected):
    assert planned_rungs({"early_stopping": settings}, 9) == expected


def test_planned_rungs_are_those_that_the_sweep_itself_uses():
    from search.config.registry import rung_epochs

    for grace, factor, longest in ((1, 3.0, 9), (1, 3.0, 243), (2, 1.7, 50), (3, 4.0, 100)):
        settings = {"kind": "asha", "grace_epochs": grace, "reduction_factor": factor}
        assert planned_rungs({"early_stopping": settings}, longest) == rung_epochs(grace, factor, longest)


def test_the_experiments_rungs_agree_with_its_stop_records(example, example_data):
    found = rungs(example_data.frames.trials, example_data.frames.epochs, "val_macro_f1", "max", RUNGS)
    for rung in found:
        stopped = {trial.number for trial in example.trials if trial.stop.get("rung") == rung.epoch}
        assert set(rung.trials.index[rung.trials["stopped"]]) == stopped
        assert set(rung.trials.index) == {trial.number for trial in example.trials if len(trial.curve) >= rung.epoch}
        for row in rung.trials.itertuples():
            assert not row.stopped or row.value < row.cutoff
    assert f"{len(example.trials)} trials were compared" in describe(found)
