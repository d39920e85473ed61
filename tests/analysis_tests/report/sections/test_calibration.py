import pandas as pd
import pytest

from analysis.report.sections.calibration import calibration, describe


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
