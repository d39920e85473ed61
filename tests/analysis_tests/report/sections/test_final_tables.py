import shutil

import pytest

from analysis.render.wording import percent
from analysis.report.sections import final_tables

TABLES = ("final_table", "families_table", "pairs_table", "disjoint_table", "splits_table")


@pytest.mark.parametrize("name", TABLES)
def test_every_row_has_a_cell_for_every_heading(example_data, name):
    table = getattr(final_tables, name)(example_data)
    assert {len(row.cells) for row in table.rows} == {len(table.heads)}


@pytest.mark.parametrize("name", TABLES[:4])
def test_without_a_final_stage_there_is_no_such_table(changed, name):
    found = changed(lambda folder: shutil.rmtree(folder / "final"))
    assert getattr(final_tables, name)(found) is None


def test_scores_are_those_of_the_final_stage_before_and_after(example_data):
    rows = final_tables.final_table(example_data).rows
    assert [row.cells[:2] for row in rows] == [
        (stage, split) for stage in ("before", "after") for split in ("training", "validation", "test")
    ]
    assert [row.best for row in rows] == [False] * 3 + [True] * 3
    test = example_data.final.figures("after", "test")
    assert rows[-1].cells[2:4] == (percent(test["accuracy"]), percent(test["macro_f1"]))
    assert rows[-1].cells[4:] == (f"{test['loss']:.3f}", f"{test['cross_entropy']:.3f}")


def test_families_stand_lowest_first_and_untested_ones_last(example_data):
    rows = final_tables.families_table(example_data).rows
    assert len(rows) == 30
    assert rows[-1].cells[0] == "mussidae"
    assert set(rows[-1].cells[4:]) == {"–"}
    after = [float(row.cells[7].split("\u202f")[0]) for row in rows[:-1]]
    assert after == sorted(after)
    marked = {row.cells[0] for row in rows if row.cells[0].endswith(" +")}
    assert len(marked) == len(example_data.final.metrics["oversampled_families"])


def test_mistakes_are_counted(example_data):
    photos = example_data.final.test_predictions
    table = final_tables.pairs_table(example_data)
    wrong = int((photos["family"] != photos["predicted"]).sum())
    assert table.note.startswith(f"{wrong} test photos of {len(photos)} were named wrongly")
    assert len(table.rows) == final_tables.PAIRS_SHOWN


def test_the_proof_has_a_row_per_pair_of_splits(example_data):
    table = final_tables.disjoint_table(example_data)
    assert table.caption == "No photo is in two splits"
    assert [row.cells[0] for row in table.rows] == [
        "training and validation",
        "training and test",
        "validation and test",
    ]
    assert {cell for row in table.rows for cell in row.cells[1:]} == {"0 shared"}


def test_splits_add_up_to_the_manifest(example_data):
    rows = final_tables.splits_table(example_data).rows
    counts = example_data.experiment.manifest["counts"]
    assert [row.cells[1] for row in rows] == [f"{sum(counts[s].values()):,}" for s in ("train", "validation", "test")]
