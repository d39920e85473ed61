from analysis.report.sections.epochs_spent import BEST, section, spending


def test_every_epoch_is_spent_on_something(example, example_data):
    data = spending(example_data.frames.trials, example_data.best, 9)
    assert data["run"].sum() == example_data.experiment.summary["epochs_run"]
    assert data["trials"].sum() == len(example.trials)
    assert data["saved"].sum() == example_data.experiment.summary["epochs_saved"]


def test_a_trial_that_failed_has_saved_nothing(example_data):
    trials = example_data.frames.trials.head(3).assign(stop_rung=None, epochs=2)
    ended = trials.assign(stop_kind=["failed", "asha", "early_stopping"])
    assert spending(ended, None, 9).set_index("use")["saved"].sort_values().tolist() == [0, 7, 7]


def test_the_best_trial_stands_first_and_rungs_apart(example_data):
    uses = spending(example_data.frames.trials, example_data.best, 9)["use"].tolist()
    assert uses[0] == BEST
    assert {"stopped by ASHA at epoch 1", "stopped by ASHA at epoch 3"} <= set(uses)


def test_a_trial_that_still_runs_has_saved_nothing(example_data):
    trials = example_data.frames.trials.head(1).assign(state="running", stop_kind="running", stop_rung=None, epochs=2)
    assert spending(trials, None, 9)[["run", "saved"]].to_numpy().tolist() == [[2, 0]]


def test_the_table_and_the_words_say_the_same(example_data):
    picture, table = section(example_data).parts
    rows = table.rows
    run, saved = (sum(int(row.cells[column]) for row in rows) for column in (2, 4))
    summary = example_data.experiment.summary
    assert (run, saved) == (summary["epochs_run"], summary["epochs_saved"])
    assert f"{rows[0].cells[0]} {rows[0].cells[3]}" in picture.alt
