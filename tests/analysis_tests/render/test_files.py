import pytest

from analysis.render.files import output_folder, write_file
from trainables.errors import UserError


def test_a_file_is_replaced_in_one_step_and_leaves_no_temporary_one(tmp_path):
    write_file(tmp_path / "deep" / "page.html", "old")
    write_file(tmp_path / "deep" / "page.html", "new – ü")
    assert (tmp_path / "deep" / "page.html").read_text(encoding="utf-8") == "new – ü"
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    write_file(tmp_path / "page.html", "old")

    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match="No space left"):
        write_file(tmp_path / "page.html", "new")
    assert (tmp_path / "page.html").read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="cannot be made"):
        output_folder(tmp_path / "file" / "out")
