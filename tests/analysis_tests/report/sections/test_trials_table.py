from analysis.render.wording import percent
from analysis.report.sections import trials_table


def test_every_trial_is_listed_best_first_with_its_reason(example, example_data):
    table = trials_table.trials_table(example_data)
    assert len(table.rows) == len(example.trials)
    first = table.rows[0]
    assert first.best
    assert first.cells[0] == str(example.best.number)
    assert first.cells[2] == percent(example.best.best)
    assert sum(row.best for row in table.rows) == 1
    reasons = {row.cells[0]: row.cells[-1] for row in table.rows}
    for trial in example.trials:
        assert reasons[str(trial.number)].lower() == trial.stop["reason"].lower()


def test_of_many_trials_the_best_are_listed_and_the_file_with_the_rest_is_named(example_data, monkeypatch):
    monkeypatch.setattr(trials_table, "TRIALS_SHOWN", 5)
    table = trials_table.trials_table(example_data)
    assert len(table.rows) == 5
    assert table.rows[0].best
    assert "5 of 20 trials; trials.csv" in table.note
