import math

import pytest

from analysis.render import wording


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.7554, "75.5\u202f%"), (0, "0.0\u202f%"), (1.0, "100.0\u202f%"), (None, "–"), (math.nan, "–")],
)
def test_shares_are_per_cent_with_one_decimal(share, text):
    assert wording.percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123456, "0.00123"),
        (1.234e-5, "1.23\u202f×\u202f10⁻⁵"),
        (1e-5, "1\u202f×\u202f10⁻⁵"),
        (0.5, "0.5"),
        (12345.6, "12,346"),
        (0.0, "0"),
        (math.inf, "–"),
    ],
)
def test_learning_rates_have_three_significant_digits(value, text):
    assert wording.significant(value) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(0.021, "+2.1"), (-0.046, "−4.6"), (0.0, "0.0"), (-0.0001, "0.0"), (math.nan, "–")]
)
def test_differences_carry_their_sign(difference, text):
    assert wording.points(difference) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.24, "8.2 s"),
        (59.99, "60.0 s"),
        (250, "4 min 10 s"),
        (3599.7, "1 h 00 min"),
        (7385, "2 h 03 min"),
        (None, "–"),
    ],
)
def test_durations_name_the_two_units_that_matter(seconds, text):
    assert wording.duration(seconds).replace("\u202f", " ").replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (256, "256"),
        (31.0, "31"),
        (True, "yes"),
        ("cosine", "cosine"),
        (0.30000000004, "0.3"),
        (None, "–"),
        (math.nan, "–"),
    ],
)
def test_knobs_are_written_as_people_would(value, text):
    assert wording.setting(value) == text


def test_metric_names_become_words():
    assert wording.metric_words("val_macro_f1") == "validation macro F1"
    assert wording.metric_words("train_cross_entropy") == "training cross-entropy"
    assert wording.metric_words("something_else") == "something else"


def test_losses_are_not_shown_as_per_cent():
    assert wording.score(0.5, "val_loss") == "0.5000"
    assert wording.score(0.5, "val_macro_f1") == "50.0\u202f%"


def test_phyla_are_left_out_only_where_the_family_stays_unmistakable():
    short = wording.short_names(["chordata_felidae", "chordata_x", "mollusca_x", "plain"])
    assert short == {
        "chordata_felidae": "felidae",
        "chordata_x": "chordata x",
        "mollusca_x": "mollusca x",
        "plain": "plain",
    }


def test_long_lists_are_cut_and_say_so():
    assert wording.join_words(["a", "b", "c"]) == "a, b and c"
    assert wording.join_words(["a"]) == "a"
    assert wording.join_words([]) == ""
    assert wording.join_words([str(number) for number in range(20)], 2) == "0, 1 and 18 more"


def test_times_are_told_in_utc():
    assert wording.moment("2026-11-23T18:02:11+01:00") == "23 November 2026, 17:02 UTC"
    assert wording.moment("yesterday") == "yesterday"
    assert wording.moment(None) is None
