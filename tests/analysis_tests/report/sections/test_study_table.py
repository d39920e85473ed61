from dataclasses import replace

import pytest

from analysis.data.experiment import read
from analysis.data.report_data import report_data
from analysis.render.wording import percent
from analysis.report.sections.backbones import study_table
from tests.analysis_tests.example import make_example
from trainables.errors import UserError


def test_the_final_models_figures_stand_where_the_study_has_them(example_data):
    rows = {row.cells[1]: row.cells for row in study_table(example_data).rows}
    assert list(rows) == ["table 7", "tables 1, 2"]
    test = example_data.final.figures("after", "test")
    assert rows["tables 1, 2"][0] == "InceptionV3, final"
    assert rows["tables 1, 2"][-1] == percent(test["macro_f1"])
    assert rows["table 7"][-1] == percent(example_data.final.figures("before", "test")["macro_f1"])


def test_what_has_no_data_is_left_out_with_the_reason(example_data):
    assert "Table 3 and figures 7 and 8 compare backbones, which this sweep did not" in study_table(example_data).note


def test_a_sweep_without_trials_of_backbones_and_without_a_final_stage_has_no_such_table(example_data):
    assert study_table(replace(example_data, final=None)) is None


@pytest.fixture(scope="module")
def with_backbones(tmp_path_factory):
    """A sweep over two backbones, made of the example by renaming a knob's values."""
    import sqlite3

    experiment = make_example(tmp_path_factory.mktemp("baselines"), trials=6, final=False).experiment
    sweep = experiment / "sweep.yaml"
    sweep.write_text(sweep.read_text().replace("dense_units", "backbone"))
    with sqlite3.connect(experiment / "study.db") as database:
        database.execute("UPDATE trial_params SET param_name = 'backbone' WHERE param_name = 'dense_units'")
        database.execute(
            "UPDATE trial_params SET distribution_json = "
            '\'{"name": "CategoricalDistribution", "attributes": {"choices": ["simple_cnn", "inception_v3", '
            '"mobilenet_v2", "densenet121"]}}\' WHERE param_name = \'backbone\''
        )
    return experiment


def test_another_sweep_gives_the_backbones(example, with_backbones):
    table = study_table(report_data(read(example.experiment), read(with_backbones)))
    studied = [row.cells[1] for row in table.rows]
    assert studied[:-2] == ["table 3"] * (len(studied) - 2)
    assert len(studied) >= 4
    assert table.rows[0].cells[0] in {"a simple CNN", "InceptionV3", "MobileNetV2", "DenseNet121"}
    assert table.rows[0].cells[-3:] == ("–", "–", "–")
    assert "test is not read for them" in table.note


def test_a_sweep_that_did_not_search_backbones_is_refused(example, copied):
    with pytest.raises(UserError, match="did not search over `backbone`"):
        report_data(read(example.experiment), read(copied))
