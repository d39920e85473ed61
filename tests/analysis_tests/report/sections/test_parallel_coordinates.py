from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.report.sections.parallel_coordinates import DRAWN, coordinates, describe, section


def trials(count):
    chance = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "trial": range(count),
            "value": np.linspace(0.1, 0.9, count),
            "param_dropout": np.linspace(0, 0.6, count),
            "param_optimizer": chance.choice(["adam", "sgd"], count),
            "param_epochs": 3,
        }
    )


def test_every_differing_knob_is_an_axis_and_the_objective_the_last_one():
    data = coordinates(trials(30), "val_macro_f1", "max")
    assert [axis.knob for axis in data.axes] == ["param_dropout", "param_optimizer", "val_macro_f1"]
    assert data.axes[-1].positions[0] == 0.9
    assert data.top == 3


def test_the_best_are_told_in_words():
    assert "The best 3 of 30 trials have dropout 0.559 to 0.6; optimizer" in describe(
        coordinates(trials(30), "val_macro_f1", "max")
    )


def test_of_many_trials_the_best_are_all_drawn_and_the_caption_owns_up(example_data):
    data = coordinates(trials(5000), "val_macro_f1", "max")
    assert DRAWN <= len(data.axes[-1].positions) <= DRAWN + data.top
    best = np.sort(trials(5000)["value"])[::-1][: data.top]
    assert list(data.axes[-1].positions[: data.top]) == list(best)
    frames = replace(example_data.frames, trials=trials(5000))
    (picture,) = section(replace(example_data, frames=frames)).parts
    assert "of 5,000 trials are drawn" in picture.note


def test_a_lower_loss_is_drawn_as_the_best():
    assert coordinates(trials(30), "val_loss", "min").axes[-1].positions[0] == 0.1


def test_without_a_choice_there_is_nothing_to_draw():
    assert coordinates(trials(1), "val_macro_f1", "max") is None
    assert coordinates(trials(9)[["trial", "value", "param_epochs"]], "val_macro_f1", "max") is None
