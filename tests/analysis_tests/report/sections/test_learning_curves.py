import pandas as pd

from analysis.report.sections.learning_curves import DRAWN, HIGHLIGHTED, learning_curves, stage_curves, stages_picture


def test_the_best_trials_are_ranked_and_drawn_last(example, example_data):
    data = learning_curves(example_data.frames.trials, example_data.frames.epochs, "val_macro_f1", "max")
    ranked = sorted((trial for trial in example.trials if trial.state.name != "FAIL"), key=lambda trial: -trial.best)
    assert [curve.rank for curve in data.curves[-HIGHLIGHTED:]] == [5, 4, 3, 2, 1]
    assert [curve.trial for curve in data.curves[-HIGHLIGHTED:]] == [t.number for t in ranked[:HIGHLIGHTED]][::-1]
    assert data.curves[-1].values == tuple(example.best.curve)


def test_curves_say_which_trials_were_stopped(example, example_data):
    data = learning_curves(example_data.frames.trials, example_data.frames.epochs, "val_macro_f1", "max")
    pruned = {trial.number for trial in example.trials if trial.state.name == "PRUNED"}
    assert {curve.trial for curve in data.curves if curve.stopped} == pruned


def test_of_many_trials_the_best_are_always_drawn():
    trials = pd.DataFrame({"trial": range(1000), "value": [(i * 37 % 1000) / 1000 for i in range(1000)]})
    trials["state"] = "complete"
    epochs = pd.DataFrame({"trial": range(1000), "epoch": 1, "val_macro_f1": trials["value"]})
    data = learning_curves(trials, epochs, "val_macro_f1", "max")
    assert len(data.curves) <= DRAWN + HIGHLIGHTED
    assert data.curves[-1].values == (0.999,)
    assert data.total == 1000


def test_both_stages_of_the_final_training_have_their_own_curves(example_data):
    curves = stage_curves(example_data.final.history, "macro_f1")
    rows = example_data.final.history.query("stage == 'after'")
    assert list(curves) == ["before", "after"]
    assert curves["after"]["val"].tolist() == rows["val_macro_f1"].tolist()
    assert curves["after"]["train"].tolist() == rows["train_macro_f1"].tolist()
    said = stages_picture("name", "title", example_data.final.history, "note").alt
    assert f"Macro F1 in epoch {int(rows['epoch'].max())}, after oversampling" in said


def test_a_metric_that_was_not_logged_gives_no_curve(example_data):
    assert stage_curves(example_data.final.history, "auc") == {}
