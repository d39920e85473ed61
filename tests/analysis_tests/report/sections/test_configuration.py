from dataclasses import replace

import pytest

from analysis.report.sections import configuration


def test_searched_and_fixed_knobs_are_told_apart(example, example_data):
    searched = {row.cells[0]: row.cells[1:] for row in configuration.knobs_table(example_data).rows}
    assert searched["dense units"] == (str(example.best.params["dense_units"]), "64, 128, 256, 512")
    assert searched["learning rate"][1] == "1\u202f×\u202f10⁻⁵ to 0.01, logarithmic"
    fixed = configuration.section(example_data).parts[-1].entries
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
    sweep = example_data.experiment.sweep | {"space": {"dropout": knob}}
    other = replace(example_data, experiment=replace(example_data.experiment, sweep=sweep))
    assert configuration.knobs_table(other).rows[0].cells[2] == text
