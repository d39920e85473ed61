import shutil
from pathlib import Path

import pytest

import analysis
from analysis.compare.candidates import COLUMNS, candidates, distinct, scoreboard
from trainables.errors import UserError


def test_labels_are_as_short_as_they_can_be():
    assert list(distinct([Path("/r/a"), Path("/r/b")])) == ["a", "b"]
    assert list(distinct([Path("/r/a/experiment"), Path("/r/b/experiment")])) == ["a/experiment", "b/experiment"]


def test_an_experiment_counts_once(example):
    with pytest.raises(UserError, match="is given twice"):
        candidates([example.experiment, example.experiment / ".." / example.experiment.name])
    with pytest.raises(UserError, match="no experiment is given"):
        analysis.load()


def test_a_final_model_without_its_sweep_can_take_part(example, tmp_path):
    final = Path(shutil.copytree(example.experiment / "final", tmp_path / "model"))
    with_sweep, alone = candidates([example.experiment, final])
    assert alone.data is None
    assert len(alone.test) == len(with_sweep.test) > 0
    table = scoreboard([with_sweep, alone])
    assert table.loc[0, "test_macro_f1"] == table.loc[1, "test_macro_f1"]
    assert table.loc[1, ["trials", "best_value"]].isna().all()


def test_sweeps_that_differ_in_nothing_but_the_seed_have_the_same_settings(example, copied):
    sweep = copied / "sweep.yaml"
    sweep.write_text(sweep.read_text().replace("seed: 7", "seed: 8"))
    table = analysis.side_by_side(example.experiment, copied)
    assert table["settings"].tolist() == [1, 1]
    assert table["seed"].tolist() == [7, 8]
    sweep.write_text(sweep.read_text().replace("high: 0.6", "high: 0.5"))
    assert analysis.side_by_side(example.experiment, copied)["settings"].tolist() == [1, 2]


def test_the_scoreboard_says_how_sure_each_score_is(example, example_data):
    row = analysis.side_by_side(example.experiment).iloc[0]
    assert row["test_macro_f1_low"] < row["test_macro_f1"] < row["test_macro_f1_high"]
    assert row["best_value"] == example.best.best
    assert row["epochs"] == example_data.experiment.summary["epochs_run"]
    assert list(row.index) == list(COLUMNS)
    assert all(column.meaning for column in COLUMNS.values())
