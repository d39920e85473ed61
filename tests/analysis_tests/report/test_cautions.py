import json
import shutil

import pytest

from analysis.report.cautions import cautions


def titles(example_data, level="alarm"):
    return [caution.title for caution in cautions(example_data) if caution.level == level]


def edit(file, **changes):
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | changes))


def test_a_clean_experiment_raises_no_alarm(example_data):
    assert titles(example_data) == []


def test_photos_left_out_families_never_tested_and_failed_trials_are_noted(example, example_data):
    text = {caution.title: caution.text for caution in cautions(example_data)}
    assert "5 near-duplicate and 3 unreadable" in text["8 photos left out"]
    assert "cnidaria_mussidae has too few photos" in text["1 family never tested"]
    assert "Out of memory on T4" in text["1 trial failed"]


def test_a_failing_leak_proof_is_an_alarm_that_names_the_splits(changed):
    def leak(folder):
        pairs = [{"a": "train", "b": "test", "by": "content hash", "shared": 3}]
        edit(folder / "final" / "metrics.json", leaks={"passed": False, "pairs": pairs})

    found = changed(leak)
    assert titles(found) == ["The splits overlap"]
    assert "Training and test share 3 by content hash" in cautions(found)[0].text


def test_the_final_stages_own_alarm_is_repeated(changed):
    found = changed(lambda folder: edit(folder / "final" / "metrics.json", alarm="88 % is far above 52 %"))
    assert titles(found) == ["The final score is suspiciously high"]
    assert cautions(found)[0].text == "88 % is far above 52 %"


@pytest.mark.parametrize(
    ("weights", "alarms"),
    [
        ({"kind": "random", "detail": "seed", "warning": "inception_v3 starts from random weights"}, 1),
        ({"kind": "random", "detail": "seed"}, 1),
        ({"kind": "random", "detail": "seed", "warning": None}, 0),  # a model for which there are no other weights
        ({"kind": "imagenet", "detail": "keras", "warning": None}, 0),
    ],
)
def test_random_weights_are_an_alarm(changed, weights, alarms):
    found = changed(lambda folder: edit(folder / "final" / "metrics.json", weights=weights))
    assert titles(found) == ["Random weights"] * alarms


def test_random_weights_of_a_sweep_alone_are_an_alarm_too(changed):
    def change(folder):
        shutil.rmtree(folder / "final")
        edit(folder / "best.json", weights={"requested": "random"})

    assert titles(changed(change)) == ["Random weights"]


def test_an_unfinished_sweep_says_so(changed):
    def unfinish(folder):
        for name in ("best.json", "sweep_summary.json"):
            (folder / name).unlink()
        shutil.rmtree(folder / "final")

    found = changed(unfinish)
    assert titles(found) == ["This sweep is unfinished"]
    assert "20 trials of 20 have ended" in cautions(found)[0].text


def test_a_dataset_that_changed_since_is_an_alarm(changed):
    def change(folder):
        edit(folder / "best.json", dataset_fingerprint="other")
        edit(folder / "final" / "metrics.json", dataset={"folder": "x", "fingerprint": "other"})

    assert titles(changed(change)) == ["The dataset has changed"]


def test_a_final_stage_on_other_data_is_an_alarm(changed):
    other = {"folder": "x", "fingerprint": "other"}
    found = changed(lambda folder: edit(folder / "final" / "metrics.json", dataset=other))
    assert titles(found) == ["Two different datasets"]


def test_a_final_model_of_another_configuration_is_an_alarm(changed):
    found = changed(lambda folder: edit(folder / "final" / "metrics.json", sweep_score=0.5))
    assert titles(found) == ["The final model is not of this sweep's best trial"]


def test_tables_that_contradict_each_other_are_an_alarm(changed):
    def spoil(folder):
        rows = (folder / "final" / "predictions.csv").read_text().splitlines(keepends=True)
        (folder / "final" / "predictions.csv").write_text("".join(rows[:-40]))

    assert titles(changed(spoil)) == ["The final stage's files disagree"]


def test_a_dataset_out_of_reach_is_noted(changed):
    def move(folder):
        sweep = (folder / "sweep.yaml").read_text()
        dataset = next(line.split(": ")[1] for line in sweep.splitlines() if line.startswith("dataset"))
        (folder / "sweep.yaml").write_text(sweep.replace(dataset, "/elsewhere"))

    assert "Dataset out of reach" in titles(changed(move), "note")


def test_warnings_of_the_sweep_and_of_the_final_stage_are_repeated(changed):
    def warn(folder):
        edit(folder / "provenance.json", warnings=["the trials say so"])
        edit(folder / "final" / "metrics.json", warnings=["the imbalance is corrected twice: a reason"])

    text = {caution.title: caution.text for caution in cautions(changed(warn))}
    assert text["From the sweep"] == "The trials say so."
    assert text["From the final stage"] == "The imbalance is corrected twice: a reason."
