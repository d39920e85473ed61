import pandas as pd

from analysis.report.sections.confusion import PAIRS_SHOWN, confused_pairs, confusion, describe, pairs_table

PHOTOS = pd.DataFrame(
    [("a_x", "a_x")] * 5 + [("a_x", "a_y")] * 3 + [("a_y", "a_x")] * 3 + [("a_y", "a_z")] + [("a_z", "a_z")] * 4,
    columns=["family", "predicted"],
)


def test_the_most_frequent_mistake_comes_first_and_among_equals_the_larger_share():
    pairs = confused_pairs(PHOTOS)
    assert [(pair.family, pair.predicted, pair.photos, pair.of) for pair in pairs] == [
        ("a_y", "a_x", 3, 4),
        ("a_x", "a_y", 3, 8),
        ("a_y", "a_z", 1, 4),
    ]


def test_rows_count_all_photos_of_the_family():
    data = confusion(PHOTOS)
    assert data.index.tolist() == ["y", "x", "z"]
    assert data.to_numpy().tolist() == [[0, 3, 1, 0], [3, 5, 0, 0], [0, 0, 4, 0]]
    assert data.sum(axis=1).tolist() == [4, 8, 4]


def test_predictions_of_families_that_are_not_shown_fall_into_the_last_column():
    data = confusion(PHOTOS, limit=2)
    assert data.index.tolist() == ["y", "x"]
    assert data.to_numpy().tolist() == [[0, 3, 1], [3, 5, 0]]


def test_a_model_without_mistakes_has_no_matrix():
    right = PHOTOS[PHOTOS["family"] == PHOTOS["predicted"]]
    assert confused_pairs(right) == []
    assert confusion(right).empty


def test_the_description_names_the_largest_mistakes():
    assert "3 of y taken for x" in describe(confusion(PHOTOS))


def test_mistakes_are_counted(example_data):
    photos = example_data.final.test_predictions
    table = pairs_table(example_data)
    wrong = int((photos["family"] != photos["predicted"]).sum())
    assert table.note.startswith(f"{wrong} test photos of {len(photos)} were named wrongly")
    assert len(table.rows) == PAIRS_SHOWN
