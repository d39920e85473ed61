import json
import shutil

import pandas as pd
import pytest

from analysis.render.wording import percent
from analysis.report.sections import confusion, dataset, families, final_model
from analysis.report.summary import sentences

TABLES = (final_model.final_table, families.families_table, confusion.pairs_table, dataset.disjoint_table)


@pytest.mark.parametrize("table", TABLES)
def test_without_a_final_stage_there_is_no_such_table(changed, table):
    found = changed(lambda folder: shutil.rmtree(folder / "final"))
    assert table(found) is None


def test_scores_are_those_of_the_final_stage_before_and_after(example_data):
    rows = final_model.final_table(example_data).rows
    assert [row.cells[:2] for row in rows] == [
        (stage, split) for stage in ("before", "after") for split in ("training", "validation", "test")
    ]
    assert [row.best for row in rows] == [False] * 3 + [True] * 3
    test = example_data.final.figures("after", "test")
    assert rows[-1].cells[2:4] == (percent(test["accuracy"]), percent(test["macro_f1"]))
    assert rows[-1].cells[4:] == (f"{test['loss']:.3f}", f"{test['cross_entropy']:.3f}")


def rewritten(folder, change):
    """Apply `change` to metrics.json of the final stage."""
    file = folder / "final" / "metrics.json"
    metrics = json.loads(file.read_text())
    change(metrics)
    file.write_text(json.dumps(metrics))


def without_oversampling(folder):
    """As the final stage leaves it where no family was weak."""
    rewritten(folder, lambda metrics: metrics["stages"].update(after=None))
    rewritten(folder, lambda metrics: metrics.update(chosen="before", trial_chosen="before", oversampled_families=[]))
    families = pd.read_csv(folder / "final" / "families.csv")
    families[["val_f1_after", "test_f1_after"]] = None
    families.assign(oversampled=False).to_csv(folder / "final" / "families.csv", index=False)
    for name in ("predictions.csv", "history.csv"):
        table = pd.read_csv(folder / "final" / name)
        table[table["stage"] == "before"].to_csv(folder / "final" / name, index=False)


def test_where_nothing_was_oversampled_no_column_speaks_of_it(changed):
    data = changed(without_oversampling)
    final, table = final_model.final_table(data), families.families_table(data)
    assert final.heads[0].text == "model" and {row.cells[0] for row in final.rows} == {"the training"}
    assert [(head.group, head.text) for head in table.heads[4:]] == [
        *(("validation", "F1"), ("test", "F1"), ("test", "precision"), ("test", "recall"))
    ]
    assert "oversampl" not in table.note
    (picture, _) = families.section(data).parts
    assert "oversampl" not in picture.note


def test_an_ensemble_that_is_handed_over_is_the_model_that_is_quoted(changed):
    def ensemble(folder):
        predictions = pd.read_csv(folder / "final" / "predictions.csv")
        own = predictions[predictions["stage"] == "after"].assign(stage="ensemble")
        own["predicted"] = own["family"]
        pd.concat([predictions, own]).to_csv(folder / "final" / "predictions.csv", index=False)
        figures = {"accuracy": 1.0, "loss": 0.1, "cross_entropy": 0.1, "macro_f1": 1.0}
        chosen = {"chosen": "ensemble", "trial_chosen": "after", "chosen_because": "the mean of 3 of 5 trainings"}
        rewritten(folder, lambda metrics: metrics.update(chosen))
        splits = dict.fromkeys(("train", "validation", "test"), figures)
        rewritten(folder, lambda metrics: metrics["stages"].update(ensemble=splits))
        table = pd.read_csv(folder / "final" / "families.csv").assign(val_f1_ensemble=1.0, test_f1_ensemble=1.0)
        table.to_csv(folder / "final" / "families.csv", index=False)
        history = pd.read_csv(folder / "final" / "history.csv")
        member = history[history["stage"] == "after"].assign(stage="member_2")
        pd.concat([history, member]).to_csv(folder / "final" / "history.csv", index=False)

    data = changed(ensemble)
    rows = [row for row in final_model.final_table(data).rows if row.best]
    assert [row.cells[0] for row in rows] == ["the ensemble"] * 3
    heads = [(head.group, head.text) for head in families.families_table(data).heads]
    assert ("validation F1", "ensemble") in heads and ("test F1", "ensemble") in heads
    assert data.test.accuracy.value == 1
    said = " ".join(sentences(data))
    assert "weak families oversampled; it is an ensemble: the mean of 3 of 5 trainings." in said
    assert "The ensemble was handed over in its place." in final_model.oversampling_sentences(data.final)
    assert "because the mean" not in final_model.oversampling_sentences(data.final)


def test_a_last_fit_that_was_tested_is_the_model_that_is_quoted(changed):
    def last_fit(folder):
        predictions = pd.read_csv(folder / "final" / "predictions.csv")
        own = predictions[(predictions["stage"] == "after") & (predictions["split"] == "test")].assign(stage="refit")
        own["predicted"] = own["family"]
        pd.concat([predictions, own]).to_csv(folder / "final" / "predictions.csv", index=False)
        refit = {"splits": ["train", "validation"], "epochs": 3, "tested": True}
        figures = {"accuracy": 1.0, "loss": 0.1, "cross_entropy": 0.1, "macro_f1": 1.0}
        rewritten(folder, lambda metrics: metrics.update(refit=refit))
        rewritten(folder, lambda metrics: metrics["stages"].update(refit={"test": figures}))
        table = pd.read_csv(folder / "final" / "families.csv").assign(test_f1_refit=1.0)
        table.to_csv(folder / "final" / "families.csv", index=False)

    data = changed(last_fit)
    (row,) = [row for row in final_model.final_table(data).rows if row.best]
    assert row.cells[:3] == ("the last fit", "test", percent(1.0))
    assert data.test.accuracy.value == 1 and data.test_interval("accuracy").high == 1
    assert data.test_interval("accuracy").low < 1
    assert "and once more on training and validation photos" in " ".join(sentences(data))
    assert "last fit" in [head.text for head in families.families_table(data).heads]


def test_after_a_fit_on_all_photos_the_test_figures_are_said_to_be_of_the_model_before(changed):
    refit = {"splits": ["train", "validation", "test"], "epochs": 3, "tested": False}
    data = changed(lambda folder: rewritten(folder, lambda metrics: metrics.update(refit=refit)))
    said = " ".join(sentences(data))
    assert "validation and test photos (the test figures are of the model before that)" in said
    (row,) = [row for row in final_model.final_table(data).rows if row.best and row.cells[1] == "test"]
    assert row.cells[0] == "after"


def test_without_test_photos_nothing_is_quoted_as_a_test_score(changed):
    def untested(folder):
        without_oversampling(folder)
        rewritten(folder, lambda metrics: [metrics["stages"]["before"].pop("test")])
        predictions = pd.read_csv(folder / "final" / "predictions.csv")
        predictions[predictions["split"] != "test"].to_csv(folder / "final" / "predictions.csv", index=False)
        table = pd.read_csv(folder / "final" / "families.csv")
        table[["test_f1_before", "test_precision", "test_recall"]] = None
        table.assign(test_photos=0).to_csv(folder / "final" / "families.csv", index=False)

    data = changed(untested)
    assert data.test is None
    assert "nothing here says how good it is on new photos" in " ".join(sentences(data))
    texts = [part.text for part in final_model.section(data).parts if hasattr(part, "text")]
    assert any("No photo was kept for test" in text for text in texts)
    assert [(head.group, head.text) for head in families.families_table(data).heads[4:]] == [("validation", "F1")]
    assert confusion.section(data) is None
