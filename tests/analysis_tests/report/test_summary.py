import json
import shutil

from analysis.render.wording import percent
from analysis.report.sections.final_model import oversampling_sentences
from analysis.report.summary import budget, sentences, tiles


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
    assert budget(example_data) == (run, 9 * 20 - run)
    assert f"saved {180 - run} of 180 epochs" in " ".join(sentences(example_data))


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
