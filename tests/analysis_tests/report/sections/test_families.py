import numpy as np
import pandas as pd

from analysis.report.sections.families import DRAWN, compared, describe, families, families_table


def table(rows):
    columns = ["family", "oversampled", "val_f1_before", "val_f1_after", "test_f1_before", "test_f1_after"]
    return pd.DataFrame(rows, columns=columns)


def test_families_are_sorted_with_the_weakest_at_the_top():
    data = families(table([("a_x", False, 0.5, 0.6, 0.4, 0.5), ("a_y", True, 0.2, 0.6, 0.1, 0.5)]))
    assert data["name"].tolist() == ["x", "y"]  # drawn from below upwards
    assert data["oversampled"].tolist() == [False, True]
    assert data["test_f1_before"].tolist() == [0.4, 0.1]
    assert data["val_f1_after"].tolist() == [0.6, 0.6]


def test_families_without_any_score_are_left_out():
    data = families(table([("a_x", False, 0.5, 0.6, 0.4, 0.5), ("a_y", False, None, None, None, None)]))
    assert data["name"].tolist() == ["x"]


def test_of_many_families_the_oversampled_are_all_drawn():
    rows = [(f"a_{i}", i == 199, 0.9, 0.9, i / 200, 0.9) for i in range(200)]
    data = families(table(rows))
    assert len(data) == DRAWN
    assert "199" in set(data["name"])
    assert "0" in set(data["name"])


def test_without_oversampling_there_is_nothing_to_compare():
    data = families(table([("a_x", False, 0.5, None, 0.4, None), ("a_y", False, 0.5, None, 0.2, None)]))
    assert not compared(data)
    assert "Lowest on test: y" in describe(data, 2)


def test_the_description_counts_who_rose_and_who_fell(example_data):
    own = example_data.final.families
    change = (own["test_f1_after"] - own["test_f1_before"]).to_numpy(float)
    said = describe(families(own), len(own))
    assert f"{np.sum(change > 0)} rose and {np.sum(change < 0)} fell" in said


def test_families_stand_lowest_first_and_untested_ones_last(example_data):
    rows = families_table(example_data).rows
    assert len(rows) == 30
    assert rows[-1].cells[0] == "mussidae"
    assert set(rows[-1].cells[4:]) == {"–"}
    after = [float(row.cells[7].split("\u202f")[0]) for row in rows[:-1]]
    assert after == sorted(after)
    marked = {row.cells[0] for row in rows if row.cells[0].endswith(" +")}
    assert len(marked) == len(example_data.final.metrics["oversampled_families"])
