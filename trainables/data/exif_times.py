"""When photos were taken, by their EXIF data, where no list says so."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from PIL import ExifTags, Image

from trainables.data.formats.times import parse_time
from trainables.data.photo_files import PhotoFile


def with_times(root: Path, photos: Iterable[PhotoFile]) -> list[PhotoFile]:
    """The photos below `root`, those without a time with that of their EXIF data, if it has one."""
    times: dict[str, str | None] = {}
    found = []
    for photo in photos:
        if photo.time is None:
            if photo.source not in times:  # Crops of one photo share it.
                times[photo.source] = _taken(root / photo.source)
            photo = photo._replace(time=parse_time(times[photo.source]))
        found.append(photo)
    return found


def _taken(file: Path) -> str | None:
    """DateTimeOriginal, else DateTime, as the camera wrote it; cameras write damaged EXIF data too."""
    with suppress(Exception), Image.open(file) as picture:
        exif = picture.getexif()
        original = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        text = original or exif.get(ExifTags.Base.DateTime)
        return str(text) if text else None
    return None
