import json

import pandas as pd
import pytest


def test_the_best_trial_is_the_one_that_was_handed_over(example, example_data):
    assert example_data.best == example.best.number
    assert example_data.best_value == pytest.approx(example.best.best)
    assert example_data.config["learning_rate"] == example.best.params["learning_rate"]
    assert example_data.ranked["trial"].iloc[0] == example_data.best


def test_before_the_end_the_best_is_the_best_so_far(example, changed):
    found = changed(lambda folder: (folder / "best.json").unlink())
    assert found.best == example.best.number
    assert found.config["dense_units"] == example.best.params["dense_units"]


def test_the_interval_surrounds_what_the_final_stage_reported(example_data):
    reported = example_data.final.figures("after", "test")
    for name in ("accuracy", "macro_f1"):
        found = example_data.test_interval(name)
        assert found.value == pytest.approx(reported[name])
        assert found.low < reported[name] < found.high


def test_no_interval_is_given_when_predictions_and_metrics_disagree(changed):
    def spoil(folder):
        metrics = json.loads((folder / "final" / "metrics.json").read_text())
        metrics["stages"]["after"]["test"]["macro_f1"] += 0.01
        (folder / "final" / "metrics.json").write_text(json.dumps(metrics))

    found = changed(spoil)
    assert found.test_interval("macro_f1") is None
    assert found.test_interval("accuracy") is not None


def test_test_predictions_are_those_of_the_kept_model(changed):
    def keep_before(folder):
        metrics = json.loads((folder / "final" / "metrics.json").read_text())
        (folder / "final" / "metrics.json").write_text(json.dumps(metrics | {"chosen": "before"}))

    found = changed(keep_before)
    assert set(found.final.test_predictions["stage"]) == {"before"}
    assert set(found.final.test_predictions["split"]) == {"test"}
    assert found.test_interval("macro_f1").value == pytest.approx(found.final.figures("before", "test")["macro_f1"])


def test_without_a_final_stage_nothing_is_made_up(changed):
    import shutil

    found = changed(lambda folder: shutil.rmtree(folder / "final"))
    assert found.final is None
    assert found.test is None
    assert found.test_interval("macro_f1") is None


def test_numbers_of_the_final_stage_are_numbers(example_data):
    assert example_data.final.predictions["probability"].between(0, 1).all()
    assert example_data.final.families["oversampled"].dtype == bool
    assert pd.api.types.is_float_dtype(example_data.final.families["test_f1_after"])
