import numpy as np
import pandas as pd

from analysis.report.sections.contour import FEWEST, contours, describe


def trials(count):
    chance = np.random.default_rng(1)
    x, y = chance.uniform(0, 0.6, count), 10 ** chance.uniform(-5, -2, count)
    units = chance.choice([64, 128], count)
    value = 0.5 + 0.4 * x / 0.6
    return pd.DataFrame(
        {
            "trial": range(count),
            "value": value,
            "param_dropout": x,
            "param_learning_rate": y,
            "param_dense_units": units,
        }
    )


def test_each_pair_of_the_most_important_knobs_has_a_surface():
    data = contours(trials(60), "val_macro_f1", "max", ["param_learning_rate", "param_dropout"], {"learning_rate"})
    pairs = [(surface.x.knob, surface.y.knob) for surface in data.surfaces]
    assert pairs[0] == ("param_learning_rate", "param_dropout")
    assert len(pairs) == 3


def test_the_surface_rises_where_the_values_do_and_never_leaves_their_range():
    data = contours(trials(200), "val_macro_f1", "max", ["param_dropout", "param_learning_rate"], {"learning_rate"})
    mean = data.surfaces[0].mean
    columns = np.nanmean(mean, axis=0)
    assert np.all(np.diff(columns[4:-4]) > 0)
    values = trials(200)["value"]
    assert values.min() <= np.nanmin(mean) <= np.nanmax(mean) <= values.max()


def test_nothing_is_said_far_from_every_trial():
    corner = trials(200)
    corner = corner[(corner["param_dropout"] < 0.3) | (corner["param_learning_rate"] < 1e-4)]
    data = contours(corner, "val_macro_f1", "max", ["param_dropout", "param_learning_rate"], {"learning_rate"})
    mean = data.surfaces[0].mean
    assert np.isnan(mean[-1, -1])
    assert np.isfinite(mean[0, 0])


def test_the_best_trial_is_marked_and_many_are_thinned():
    some = trials(3000)
    data = contours(some, "val_macro_f1", "max", ["param_dropout"], ())
    surface = data.surfaces[0]
    assert data.drawn == len(surface.x.positions) < 300
    assert surface.x.positions[data.best] == some["param_dropout"].max()
    assert describe(data).startswith("Mean validation macro F1 of the trials nearby: dropout against")


def test_too_few_trials_have_no_surface():
    assert contours(trials(FEWEST - 1), "val_macro_f1", "max") is None
    assert contours(trials(50)[["trial", "value", "param_dropout"]], "val_macro_f1", "max") is None
