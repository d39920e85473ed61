import errno
from pathlib import Path

import pytest

from trainables.errors import UserError
from trainables.files.output import check_free, whole_or_nothing


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with whole_or_nothing(tmp_path / "deep" / "out") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"


def test_an_empty_folder_may_be_there_already(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    check_free(tmp_path / "out")
    with whole_or_nothing(tmp_path / "out") as folder:
        (folder / "file").write_text("x")
    assert (tmp_path / "out" / "file").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UserError("bad"), RuntimeError("bug")])
def test_whatever_ends_the_work_nothing_is_left(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)), whole_or_nothing(tmp_path / "out") as folder:
        (folder / "file").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    line = "could not be written: the disk is full; nothing was kept"
    with pytest.raises(UserError, match=line), whole_or_nothing(tmp_path / "out") as folder:
        (folder / "file").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are needed: the disk is full"), whole_or_nothing(tmp_path / "out", 2**60):
        pytest.fail("the body must not run")


def test_a_folder_that_holds_anything_is_refused_by_name(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"is not empty \(a, b, c, d and 2 more\); name a new folder"):
        check_free(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        check_free(tmp_path / "a")


def test_someone_else_s_result_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be written"), whole_or_nothing(tmp_path / "out") as folder:
        (folder / "mine").touch()
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").touch()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]
