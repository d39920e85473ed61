import json
import shutil
from dataclasses import replace

import pytest

from analysis.render.wording import percent
from analysis.report.sections.families import families_table
from analysis.report.sections.final_model import final_table, oversampling_sentences
from analysis.report.summary import budget, probe_sentence, sentences, tiles
from tests.analysis_tests.example_probe import add_probe
from tests.probe_example import probe_record


def test_the_summary_tells_who_won_with_what_and_by_how_much(example, example_data):
    said = " ".join(sentences(example_data))
    best = example.best
    assert f"The best, trial {best.number}, reached a validation macro F1 of {percent(best.best)}" in said
    assert f"in epoch {best.best_epoch} with" in said
    assert f"{best.params['dense_units']} dense units" in said
    ended = [trial for trial in example.trials if trial.state.name != "FAIL" and trial is not best]
    second = max(ended, key=lambda trial: trial.best)
    assert f"Next came trial {second.number} with {percent(second.best)}" in said


def test_the_summary_tells_what_was_saved(example, example_data):
    run = sum(len(trial.curve) for trial in example.trials)
    saved = sum(9 - len(trial.curve) for trial in example.trials if trial.state.name != "FAIL")
    assert 0 < saved < 9 * 20 - run  # The failed trial's are lost, not saved.
    assert budget(example_data) == (run, saved)
    assert f"saved {saved} of {run + saved} epochs" in " ".join(sentences(example_data))


def test_a_sweep_that_has_not_ended_is_counted_from_its_trials(example_data, changed):
    found = changed(lambda folder: [(folder / name).unlink() for name in ("best.json", "sweep_summary.json")])
    assert budget(found) == budget(example_data)


def test_the_summary_gives_the_test_score_with_its_interval(example_data):
    said, interval = sentences(example_data)[-1], example_data.test_interval("macro_f1")
    assert (
        f"Its test macro F1, which counts every family alike, is {percent(interval.value)} (95\u202f% interval" in said
    )
    assert f"{100 * interval.low:.1f}\u2060–\u2060{percent(interval.high)}" in said
    assert f"of {len(example_data.final.test_predictions)} test photos" in said


def test_the_largest_numbers_are_those_of_the_final_model(example_data):
    test = example_data.final.figures("after", "test")
    assert [tile.number for tile in tiles(example_data)][:2] == [percent(test["macro_f1"]), percent(test["accuracy"])]


def test_without_a_final_stage_no_test_score_is_claimed(changed):
    found = changed(lambda folder: shutil.rmtree(folder / "final"))
    assert "no final model yet" in sentences(found)[-1]
    assert not any("test" in tile.label for tile in tiles(found))


def test_the_oversampling_is_told(example_data):
    weak = len(example_data.final.metrics["oversampled_families"])
    said = oversampling_sentences(example_data.final)
    assert f"below 30\u202f% for {weak} famil" in said
    assert "2 augmented copies" in said
    assert "after oversampling was kept, because" in said


def test_that_nothing_was_oversampled_is_told_too(changed):
    def none_weak(folder):
        metrics = json.loads((folder / "final" / "metrics.json").read_text())
        metrics |= {"oversampled_families": [], "chosen": "before"}
        metrics["stages"]["after"] = None
        (folder / "final" / "metrics.json").write_text(json.dumps(metrics))

    found = changed(none_weak)
    assert oversampling_sentences(found.final).endswith("so nothing was oversampled.")
    assert "without oversampling" in sentences(found)[-1]


def test_without_a_probe_nothing_is_said_of_one(example_data):
    assert not any("probe" in said.lower() for said in sentences(example_data))


@pytest.mark.parametrize(
    ("behind", "verdict"),
    [
        (0.02, ": the sweep’s best trial beats it by 2.0 points."),
        (-0.02, ", and the sweep did not beat it: its best trial is 2.0 points worse."),
        (0.0, ", and the sweep did not beat it: its best trial is as good."),
    ],
)
def test_the_first_sentences_say_whether_the_sweep_beat_the_probe(example, changed, behind, verdict):
    value = example.best.best - behind
    found = changed(lambda folder: add_probe(folder, val_macro_f1=value))
    probe = "The probe, logistic regression on what the frozen backbone sees (mixed9 + mixed10), has a validation macro"
    assert sentences(found)[2] == f"{probe} F1 of {percent(value)}{verdict}"
    assert "test macro F1" in sentences(found)[-1], "no probe in the final stage, and so no comparison on test"


def test_what_the_best_trials_reached_with_other_seeds_is_told(example, changed):
    def confirmed(folder):
        best = json.loads((folder / "best.json").read_text())
        rows = [{"trial": best["trial"], "first": 0.75, "values": [0.73, 0.74]}]
        best["confirmation"] = {"chosen": best["trial"], "rows": rows, "half_width": 0.004}
        best["config"]["validation"] = {"folds": 5, "reshuffled": False}
        (folder / "best.json").write_text(json.dumps(best))

    said = sentences(changed(confirmed))
    assert said[1].startswith("Each trial trained 5 models")
    assert f"trial {example.best.number} has a mean validation macro F1 of {percent(0.735)}" in said[3]
    assert "± 0.4 points) in 2 further runs with other seeds." in said[3]
    assert said[3].endswith(f"that trial {example.best.number} was first chosen by had flattered it by 1.5 points.")


def test_of_a_metric_that_the_probe_does_not_have_it_says_nothing(example_data):
    experiment = replace(example_data.experiment, probe=probe_record())
    sweep = experiment.sweep | {"metric": "val_loss", "mode": "min"}
    assert probe_sentence(replace(example_data, experiment=replace(experiment, sweep=sweep))) == ""


def test_on_test_the_trained_model_and_the_probe_are_compared_photo_by_photo(changed):
    found = changed(lambda folder: add_probe(folder, wrong=0.5))
    said = sentences(found)[-1]
    assert said.startswith("The trained model is better than the probe: its test macro F1 is ")
    assert f"Both were judged on the same {len(found.final.test_predictions)} test photos" in said
    assert "interval +" in said


def test_a_probe_that_was_handed_over_is_the_final_model(changed):
    found = changed(lambda folder: add_probe(folder, wrong=0.05, handed_over=True))
    final, verdict = sentences(found)[-2:]
    test = found.final.figures("probe", "test")
    because = "the trial does not beat the probe"
    assert final.startswith(
        f"The final model is the probe, fitted again on training and validation photos: {because}. "
    )
    assert f"is {percent(test['macro_f1'])} (95" in final
    assert "the trained model" in verdict.lower() and "the probe alone 0" in verdict
    assert tiles(found)[0].number == percent(test["macro_f1"])
    assert oversampling_sentences(found.final).endswith("kept. The probe was handed over in its place.")
    table = final_table(found)
    assert [line.cells[0] for line in table.rows][-2:] == ["the probe", "the probe"]
    assert [line.best for line in table.rows] == [False] * 6 + [True] * 2
    heads = [(head.text, head.group) for head in families_table(found).heads]
    assert ("probe", "validation F1") in heads and ("probe", "test F1") in heads
