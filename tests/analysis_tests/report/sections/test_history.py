import pandas as pd
import pytest

from analysis.render.svg import DRAWN
from analysis.report.sections.history import describe, history


def trials(values, states=None):
    states = states or ["complete"] * len(values)
    return pd.DataFrame({"trial": range(len(values)), "value": values, "state": states})


def test_the_best_so_far_only_ever_rises():
    data = history(trials([0.3, 0.2, 0.5, None, 0.5, 0.6]), "val_macro_f1", "max")
    assert data.best["trial"].tolist() == [0, 2, 5]
    assert data.best["value"].tolist() == [0.3, 0.5, 0.6]


def test_a_loss_is_better_when_it_falls():
    data = history(trials([0.9, 1.2, 0.4, 0.5]), "val_loss", "min")
    assert data.best["trial"].tolist() == [0, 2]
    assert data.best["value"].tolist() == [0.9, 0.4]


def test_pruned_and_failed_trials_stay_marked():
    data = history(trials([0.3, 0.2, None], ["complete", "pruned", "failed"]), "val_macro_f1", "max")
    assert data.drawn["state"].tolist() == ["complete", "pruned", "failed"]
    assert "1 of them stopped early" in describe(data)


def test_of_many_trials_some_are_drawn_and_no_improvement_is_lost():
    values = [0.1] * 5000
    values[1234], values[4321] = 0.2, 0.3
    data = history(trials(values), "val_macro_f1", "max")
    assert len(data.drawn) <= DRAWN + 3
    assert data.total == 5000
    assert {0, 1234, 4321} <= set(data.drawn["trial"])


def test_the_history_of_an_experiment_ends_at_its_best_trial(example, example_data):
    data = history(example_data.frames.trials, "val_macro_f1", "max")
    assert data.best["trial"].iloc[-1] == example.best.number
    assert data.best["value"].iloc[-1] == pytest.approx(example.best.best)
