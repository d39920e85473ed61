import pytest

from trainables.data.formats.times import instant, parse_time


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2020:05:30 04:57:37", "2020-05-30T04:57:37"),  # pandas 3.1.1 reads the year 1
        ("2020-05-30T04:57:37+0200", "2020-05-30T04:57:37+02:00"),
        ("2020-05-30T04:57Z/2020-06-01", "2020-05-30T04:57:00+00:00"),
        ("2020-05-30", "2020-05-30T00:00:00"),
        ("2020-05", "2020-05-01T00:00:00"),
        ("2020", "2020-01-01T00:00:00"),
        ("Sat May 30 04:57:37 2020", "2020-05-30T04:57:37"),
        ("3/4/2020", None),  # of March or of April
        ("", None),
        (None, None),
        ("0000:00:00 00:00:00", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_what_it_says_or_none(text: str | None, iso: str | None) -> None:
    time = parse_time(text)
    assert (time.isoformat() if time else None) == iso


def test_times_with_and_without_a_zone_can_be_sorted() -> None:
    early, late = parse_time("2020-05-30T04:00:00+02:00"), parse_time("2020-05-30 04:00:00")
    assert early and late and instant(late) - instant(early) == 7200
