from pathlib import Path

from PIL import ExifTags

from tests.trainables_tests.drawn_photos import drawn
from trainables.data.exif_times import with_times
from trainables.data.formats.times import parse_time
from trainables.data.photo_files import PhotoFile


def test_the_camera_s_time_is_read_where_no_list_has_one(tmp_path: Path) -> None:
    exif = drawn(0).getexif()
    exif[ExifTags.Base.DateTime] = "2024:01:01 00:00:00"  # when a program wrote the file
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:05:30 04:57:37"
    drawn(0).save(tmp_path / "a.jpg", exif=exif)
    drawn(1).save(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    listed = PhotoFile("d", "a.jpg", "f", time=parse_time("2019-01-01"))
    photos = [*(PhotoFile(name, f"{name}.jpg", "f") for name in "abc"), listed]
    times = [photo.time and photo.time.isoformat() for photo in with_times(tmp_path, photos)]
    assert times == ["2020-05-30T04:57:37", None, None, "2019-01-01T00:00:00"]
