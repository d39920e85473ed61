"""Times as cameras, tools and archives write them; what can mean two things is no time."""

from datetime import UTC, datetime

# Not by pandas or dateutil: they read EXIF's colons as the year 1 or as today, and guess which of 3/4 is the month.
_FORMS = ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y:%m:%d", "%Y/%m/%d", "%a %b %d %H:%M:%S %Y")

TIME_COLUMNS = ("datetime", "date", "time", "eventDate")
"""What a table calls the time of a photo; the first that is there counts."""


def parse_time(text: str | None) -> datetime | None:
    """A time with or without a zone; None where the text is empty or no such time.

    ISO 8601 (of a range its beginning), EXIF's `2020:05:30 04:57:37`, and a few more with the year in front.
    """
    text = (text or "").strip().split("/")[0] if "T" in (text or "") else (text or "").strip()
    if len(text) == 4 and text.isdecimal():
        return datetime(int(text), 1, 1) if int(text) else None
    if len(text) == 7 and text[4] == "-":
        text += "-01"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def instant(time: datetime) -> float:
    """Seconds since 1970, for sorting; a time without a zone is taken as UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
