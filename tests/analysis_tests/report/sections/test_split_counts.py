import numpy as np

from analysis.report.sections.split_counts import counts_table, describe, split_counts, splits_table

MANIFEST = {
    "class_names": ["a_x", "a_y", "a_z"],
    "counts": {
        "train": {"a_x": 2, "a_y": 70, "a_z": 7},
        "validation": {"a_y": 15, "a_z": 2},
        "test": {"a_y": 15, "a_z": 1},
    },
}


def test_families_stand_with_most_photos_first():
    data = split_counts(counts_table(MANIFEST))
    assert data.names == ("y", "z", "x")
    assert data.counts.tolist() == [[70, 7, 2], [15, 2, 0], [15, 1, 0]]
    assert np.array_equal(data.totals, [100, 10, 2])
    assert "from y with 100 photos to x with 2; the middle one has 10" in describe(data)


def test_without_a_manifest_there_are_no_counts():
    assert len(counts_table(None)) == 0


def test_splits_add_up_to_the_manifest(example_data):
    rows = splits_table(example_data).rows
    counts = example_data.experiment.manifest["counts"]
    assert [row.cells[1] for row in rows] == [f"{sum(counts[s].values()):,}" for s in ("train", "validation", "test")]
