from dataclasses import replace

import pandas as pd
import pytest

import analysis
from analysis.data.experiment import read
from analysis.data.frames import EPOCH_COLUMNS, TRIAL_COLUMNS, Column, Shown, export, frames
from analysis.data.report_data import report_data
from analysis.report.sections.trials_table import trials_table


def test_every_trial_and_every_epoch_is_a_row(example, example_data):
    frames = example_data.frames
    assert list(frames.trials["trial"]) == [trial.number for trial in example.trials]
    assert len(frames.epochs) == sum(len(trial.curve) for trial in example.trials)
    for trial in example.trials:
        own = frames.epochs[frames.epochs["trial"] == trial.number]
        assert list(own["val_macro_f1"]) == pytest.approx(trial.curve)


def test_trials_carry_their_knobs_and_why_they_ended(example, example_data):
    rows = example_data.frames.trials.set_index("trial")
    for trial in example.trials:
        row = rows.loc[trial.number]
        assert row["param_learning_rate"] == trial.params["learning_rate"]
        assert row["param_dense_units"] == trial.params["dense_units"]
        assert row["stop_kind"] == trial.stop["kind"]
        assert row["stop_reason"] == trial.stop["reason"]
        assert row["epochs"] == len(trial.curve)
        if "cutoff" in trial.stop:
            assert row["stop_cutoff"] == trial.stop["cutoff"]
            assert row["stop_rung"] == trial.stop["rung"]


def test_a_failed_trial_has_no_value(example, example_data):
    failed = {trial.number for trial in example.trials if trial.state.name == "FAIL"}
    without = example_data.frames.trials.loc[example_data.frames.trials["value"].isna(), "trial"]
    assert failed
    assert set(without) == failed


def test_a_trial_that_diverged_is_shown_as_such_and_has_no_value(example_data):
    known = example_data.experiment
    stop = {"kind": "diverged", "epoch": 3, "reason": "train_loss became nan in epoch 3"}
    first = replace(known.trials[0], state="DIVERGED", stop=stop)
    row = frames(replace(known, trials=(first, *known.trials[1:]))).trials.iloc[0]
    assert (row["state"], row["stop_kind"]) == ("diverged", "diverged")
    assert known.trials[0].value is not None and pd.isna(row["value"]) and pd.isna(row["best_epoch"])


def test_every_column_is_documented_with_its_unit(example_data, tmp_path):
    frames = example_data.frames
    documented = pd.read_csv(export(frames, tmp_path)[-1]).set_index(["table", "column"])
    for table, frame in (("trials", frames.trials), ("epochs", frames.epochs)):
        for column in frame:
            assert documented.loc[(table, column), "meaning"]
    assert documented.loc[("trials", "seconds"), "unit"] == "seconds"
    assert documented.loc[("epochs", "val_macro_f1"), "unit"] == "share of 1"
    assert set(TRIAL_COLUMNS) <= set(frames.trials)
    assert set(EPOCH_COLUMNS) == set(frames.epochs)


def test_a_lost_log_is_made_up_for_by_the_study(example, copied):
    best = example.best
    (copied / "trials" / f"{best.number:04d}" / "epochs.jsonl").unlink()
    epochs = analysis.load(copied).epochs
    own = epochs[epochs["trial"] == best.number]
    assert list(own["val_macro_f1"]) == pytest.approx(best.curve)
    assert own["val_loss"].isna().all()


def test_csv_files_read_back_to_the_same_values(example_data, tmp_path):
    files = export(example_data.frames, tmp_path)
    assert [file.name for file in files] == ["trials.csv", "epochs.csv", "columns.csv"]
    assert {file.name for file in tmp_path.iterdir()} == {file.name for file in files}
    trials = pd.read_csv(tmp_path / "trials.csv")
    pd.testing.assert_series_equal(trials["value"], example_data.frames.trials["value"], check_dtype=False)
    assert list(trials["stop_reason"]) == list(example_data.frames.trials["stop_reason"])
    assert len(pd.read_csv(tmp_path / "epochs.csv")) == len(example_data.frames.epochs)


def test_a_sweep_without_a_trial_gives_empty_frames_with_all_columns(tmp_path):
    from tests.analysis_tests.example import make_example

    frames = analysis.load(make_example(tmp_path, trials=0, final=False).experiment)
    assert len(frames.trials) == len(frames.epochs) == 0
    assert set(TRIAL_COLUMNS) <= set(frames.trials)


def test_parquet_files_keep_values_types_and_the_units_of_columns(example_data, tmp_path):
    files = export(example_data.frames, tmp_path, ("parquet",))
    assert [file.name for file in files] == ["trials.parquet", "epochs.parquet", "columns.csv"]
    for name in ("trials", "epochs"):
        frame = getattr(example_data.frames, name)
        again = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(again, frame)
        assert again.attrs["columns"] == frame.attrs["columns"]
    assert again.attrs["columns"]["epoch_seconds"]["unit"] == "seconds"


def test_several_experiments_stand_one_below_the_other(example, copied):
    both = analysis.load(example.experiment, copied)
    one = analysis.load(copied)
    assert list(both.trials.columns) == ["experiment", *one.trials.columns]
    assert both.trials["experiment"].value_counts().tolist() == [len(one.trials)] * 2
    second = both.epochs[both.epochs["experiment"] != both.epochs["experiment"].iloc[0]].drop(columns="experiment")
    pd.testing.assert_frame_equal(second.reset_index(drop=True), one.epochs, check_like=True)
    assert both.trials.attrs["columns"]["experiment"]["meaning"]


def test_a_column_is_added_in_one_place(example, tmp_path, monkeypatch):
    """Frames, types, files, their documentation and the report's table follow TRIAL_COLUMNS."""
    shown = Shown(75, "twice its number", lambda value, _: f"is {value}")
    doubled = Column("trials", "twice the number", "Int64", lambda record: 2 * record.number, shown)
    monkeypatch.setitem(TRIAL_COLUMNS, "doubled", doubled)
    data = report_data(read(example.experiment))
    assert data.frames.trials["doubled"].tolist() == [2 * trial.number for trial in example.trials]
    assert data.frames.trials["doubled"].dtype == "Int64"
    export(data.frames, tmp_path)
    assert "doubled" in pd.read_csv(tmp_path / "trials.csv")
    documented = pd.read_csv(tmp_path / "columns.csv").set_index(["table", "column"])
    assert documented.loc[("trials", "doubled"), "meaning"] == "twice the number"
    table = trials_table(data)
    place = [head.text for head in table.heads].index("twice its number")
    assert table.heads[place - 1].text == "time" and table.heads[place + 1].text == "why it ended"
    assert table.rows[0].cells[place] == f"is {2 * example.best.number}"
