import pytest

from analysis.render.wording import percent
from analysis.report.sections import trials_table as sweep_tables


def test_every_trial_is_listed_best_first_with_its_reason(example, example_data):
    table = sweep_tables.trials_table(example_data)
    assert len(table.rows) == len(example.trials)
    first = table.rows[0]
    assert first.best
    assert first.cells[0] == str(example.best.number)
    assert first.cells[2] == percent(example.best.best)
    assert sum(row.best for row in table.rows) == 1
    reasons = {row.cells[0]: row.cells[-1] for row in table.rows}
    for trial in example.trials:
        assert reasons[str(trial.number)].lower() == trial.stop["reason"].lower()


def test_every_row_has_a_cell_for_every_heading(example_data):
    for table in (sweep_tables.trials_table, sweep_tables.knobs_table):
        made = table(example_data)
        assert {len(row.cells) for row in made.rows} == {len(made.heads)}


def test_of_many_trials_the_best_are_listed_and_the_file_with_the_rest_is_named(example_data, monkeypatch):
    monkeypatch.setattr(sweep_tables, "TRIALS_SHOWN", 5)
    table = sweep_tables.trials_table(example_data)
    assert len(table.rows) == 5
    assert table.rows[0].best
    assert "5 of 20 trials; trials.csv" in table.note


def test_searched_and_fixed_knobs_are_told_apart(example, example_data):
    searched = {row.cells[0]: row.cells[1:] for row in sweep_tables.knobs_table(example_data).rows}
    assert searched["dense units"] == (str(example.best.params["dense_units"]), "64, 128, 256, 512")
    assert searched["learning rate"][1] == "1\u202f×\u202f10⁻⁵ to 0.01, logarithmic"
    fixed = sweep_tables.fixed_knobs(example_data)
    assert fixed["image size"] == "139"
    assert fixed["backbone"] == "InceptionV3"
    assert fixed["augmentation rotation"] == "20"
    assert not set(fixed) & set(searched)


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ({"low": 0.0, "high": 0.6}, "0 to 0.6"),
        ({"low": 32, "high": 512, "step": 32}, "32 to 512, steps of 32"),
        ([0, 31], "0, 31"),
    ],
)
def test_ranges_are_written_for_people(example_data, knob, text):
    from dataclasses import replace

    sweep = example_data.experiment.sweep | {"space": {"dropout": knob}}
    other = replace(example_data, experiment=replace(example_data.experiment, sweep=sweep))
    assert sweep_tables.knobs_table(other).rows[0].cells[2] == text
