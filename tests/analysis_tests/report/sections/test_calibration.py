import pandas as pd
import pytest

from analysis.report.sections.calibration import calibration, describe, guarantee_table
from analysis.report.sections.ranks import ranks_table


def photos(rows):
    frame = pd.DataFrame(rows, columns=["right", "probability"])
    return frame.assign(family="a", predicted=["a" if right else "b" for right in frame["right"]])


def test_a_model_that_means_what_it_says_has_no_error():
    data = calibration(photos([(True, 0.75)] * 3 + [(False, 0.75)] + [(True, 1.0)] * 2))
    assert data.confidence.tolist() == [0.75, 1.0]
    assert data.accuracy.tolist() == [0.75, 1.0]
    assert data.photos.tolist() == [4, 2]
    assert data.error == 0
    assert ": about as sure as it should be." in describe(data)


def test_the_error_weighs_bins_by_their_photos():
    data = calibration(photos([(False, 0.95)] * 3 + [(True, 0.35)]))
    assert data.error == pytest.approx((3 * 0.95 + 0.65) / 4)
    assert ": surer than it should be." in describe(data)


def test_too_little_confidence_is_told_too():
    assert ": less sure than it should be." in describe(calibration(photos([(True, 0.5)] * 4)))


def test_certainty_falls_into_the_last_bin():
    assert calibration(photos([(True, 1.0), (True, 0.95)])).photos.tolist() == [2]


def test_the_description_says_how_many_photos_it_rests_on():
    assert "4 test photos" in describe(calibration(photos([(True, 0.5)] * 4)))


def test_calibrated_probabilities_are_shown_where_there_are_any():
    rows = photos([(True, 0.5)] * 4).assign(calibrated=1.0)
    assert calibration(rows).confidence.tolist() == [1.0]
    assert calibration(rows.assign(calibrated=float("nan"))).confidence.tolist() == [0.5]


def test_the_guarantee_is_told_with_what_became_of_rare_families():
    interval = {"value": 0.912, "low": 0.88, "high": 0.94}
    test = {
        **{"photos": 567, "asked": 0.9, "coverage": interval, "rare_photos": 60, "rare": interval, "size": 1.284},
        **{"single": 0.8, "error_before": 0.04, "error": 0.022, "alarms": 0.05},
    }
    table = guarantee_table({"photos": 571, "temperature": 0.8, "coverage": 0.9, "rare_below": 40, "test": test})
    cells = dict(row.cells for row in table.rows)
    assert cells["families in a set, on average"] == "1.28"
    assert any("fewer than 40 photos (60 photos)" in name for name in cells)
    assert (
        len(
            guarantee_table(
                {**{"photos": 5, "temperature": 1.0, "coverage": 0.9}, "test": test | {"rare_photos": 0}}
            ).rows
        )
        == 6
    )


def test_mistakes_are_told_by_rank():
    ranks = [{"rank": "phylum", "taxa": 3, "tested": 3, "accuracy": 0.98, "macro_f1": 0.97}]
    table = ranks_table({"ranks": ranks, "mistakes": {"all": 9, "phylum": 8, "none": 1}})
    assert table.note.startswith("Of 9 mistakes on test, 8 are right in the phylum and 1 at no rank.")
