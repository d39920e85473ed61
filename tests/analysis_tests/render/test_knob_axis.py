import numpy as np
import pandas as pd
import pytest

from analysis.render.knob_axis import knob_axis, knob_values, log_knobs, varied
from analysis.render.svg import WIDE, canvas


def test_numbers_are_placed_by_value_words_and_few_numbers_by_order():
    many = knob_values("param_dropout", pd.Series([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]), ())
    assert many.categories == ()
    assert many.scaled(np.array(many.positions)) == pytest.approx(np.linspace(0, 1, 7))
    words = knob_values("param_optimizer", pd.Series(["sgd", "adam", "sgd"]), ())
    assert words.categories == ("adam", "sgd")
    assert words.positions == (1.0, 0.0, 1.0)
    few = knob_values("param_dense_units", pd.Series([512, 64, 128]), ())
    assert few.categories == ("64", "128", "512")


def test_a_logarithmic_knob_is_even_in_its_logarithm():
    rates = knob_values("param_learning_rate", pd.Series(10.0 ** np.arange(-7, 0)), {"learning_rate"})
    assert rates.log
    assert rates.scaled(np.array(rates.positions)) == pytest.approx(np.linspace(0, 1, 7))


def test_a_knob_that_never_differed_is_not_varied():
    trials = pd.DataFrame({"trial": [0, 1], "param_a": [1, 1], "param_b": [1, 2]})
    assert varied(trials) == ["param_b"]


def test_the_space_says_which_knobs_are_logarithmic():
    space = {"a": {"low": 1, "high": 2, "log": True}, "b": {"low": 0, "high": 1}, "c": [1, 2]}
    assert log_knobs(space) == {"a"}


@pytest.mark.parametrize(("low", "high"), [(1e-4, 3e-3), (1e-5, 1e-2)])
def test_a_logarithmic_axis_has_at_least_three_ticks_with_words(low, high):
    figure, (axes,) = canvas(WIDE, 200)
    rates = knob_values("param_learning_rate", pd.Series(np.geomspace(low, high, 9)), {"learning_rate"})
    axes.plot(rates.positions, range(9))
    knob_axis(axes, rates)
    figure.canvas.draw()
    left, right = axes.get_xlim()
    words = [
        tick.get_text()
        for tick, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
        if left <= place <= right
    ]
    assert len([word for word in words if word]) >= 3
