import shutil

import pytest

from analysis.render.wording import percent
from analysis.report.sections import confusion, dataset, families, final_model

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
