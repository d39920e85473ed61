import pandas as pd

from analysis.report.sections.slices import DRAWN, describe, slices


def trials(**knobs):
    rows = len(next(iter(knobs.values())))
    columns = {f"param_{name}": values for name, values in knobs.items()}
    values = [0.1 * (i % 7) for i in range(rows)]
    return pd.DataFrame({"trial": range(rows), "state": "complete", "value": values, **columns})


def test_knobs_with_few_values_are_evenly_spaced_in_their_own_order():
    (units,) = slices(trials(dense_units=[512, 64, 128, 64]), "val_macro_f1", "max").slices
    assert units.categories == ("64", "128", "512")
    assert units.positions == (2, 0, 1, 0)


def test_words_and_switches_are_categories():
    (optimizer,) = slices(trials(optimizer=["sgd", "adam", "sgd"]), "val_macro_f1", "max").slices
    assert optimizer.categories == ("adam", "sgd")
    (flip,) = slices(trials(flip=[True, False, True]), "val_macro_f1", "max").slices
    assert flip.categories == ("no", "yes")


def test_knobs_searched_on_a_logarithmic_scale_are_drawn_on_one():
    rates = [10.0**-power for power in range(1, 9)]
    (rate,) = slices(trials(learning_rate=rates), "val_macro_f1", "max", log={"learning_rate"}).slices
    assert rate.log
    assert rate.positions == tuple(rates)


def test_a_knob_that_never_changes_is_left_out():
    assert slices(trials(dropout=[0.1] * 8), "val_macro_f1", "max").slices == ()


def test_the_best_trial_is_drawn_however_many_there_are():
    many = trials(dropout=[i / 3000 for i in range(3000)])
    many.loc[1777, "value"] = 0.99
    data = slices(many, "val_macro_f1", "max")
    assert len(data.drawn) <= DRAWN + 1
    assert data.drawn["value"].iloc[data.best] == 0.99
    assert data.total == 3000


def test_the_description_names_the_best_settings(example, example_data):
    data = slices(example_data.frames.trials, "val_macro_f1", "max", {"learning_rate"})
    assert data.drawn["value"].iloc[data.best] == example.best.best
    assert f"dense units {example.best.params['dense_units']}" in describe(data)


def test_without_a_value_there_is_nothing_to_slice():
    none = trials(dropout=[0.1, 0.2]).assign(value=float("nan"))
    assert slices(none, "val_macro_f1", "max").slices == ()
