import errno
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from trainables.errors import UserError
from trainables.files.output import (
    check_free,
    check_room,
    data_uri,
    named_errors,
    parse_table,
    read_rows,
    read_text,
    replacing,
    unfinished,
    whole_or_elsewhere,
    whole_or_nothing,
    write_json,
    write_rows,
    write_text,
)


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


def test_a_file_is_replaced_when_all_of_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file.txt"
    write_text("old", file)
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    with pytest.raises(OSError, match="full"), replacing(file) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert file.read_text() == "new"
    assert [path.name for path in file.parent.iterdir()] == ["file.txt"]


def test_an_unfinished_file_may_take_another_name_and_is_hidden_till_then(tmp_path: Path) -> None:
    with unfinished(tmp_path / "some") as temporary:
        temporary.write_text("x")
        assert temporary.parent == tmp_path and temporary.name.startswith(".some.")
        temporary.rename(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_json_is_readable_text(tmp_path: Path) -> None:
    write_json({"a": "ü", "b": [1]}, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == '{\n "a": "ü",\n "b": [\n  1\n ]\n}\n'.encode()


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    rows = [["ü", 'a "b", c', "two\nlines"], [1, 2.5, ""]]
    write_rows(tmp_path / "x.csv", ("a", "b", "c"), rows)
    assert read_rows(tmp_path / "x.csv") == [dict(zip("abc", map(str, row), strict=True)) for row in rows]


def test_a_table_knows_its_columns_and_lines_and_takes_files_of_spreadsheets(tmp_path: Path) -> None:
    assert parse_table("")[0] == []
    columns, rows = parse_table('a,b\r\n"x\r\ny",1\r\nz,2\r\n')
    assert columns == ["a", "b"]
    assert list(rows) == [(3, {"a": "x\r\ny", "b": "1"}), (4, {"a": "z", "b": "2"})]
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa\r\n1\r\n")
    assert read_rows(tmp_path / "x.csv") == [{"a": "1"}]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "does not exist; give text"),
        (b"a\n\xe9", r"is not UTF-8 text \(byte 2\); give text"),
        (b'a\n"' + b"x" * 200_000, "is not a CSV file: field larger .*; give text"),
    ],
)
def test_a_file_of_the_user_s_that_cannot_be_read_is_one_line(content: bytes | None, line: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=line), named_errors(file, "give text"):
        list(parse_table(read_text(file))[1])
    with pytest.raises(UserError, match="cannot be read: Is a directory; give text"), named_errors(file, "give text"):
        read_text(tmp_path)


def test_a_picture_is_a_data_uri() -> None:
    assert data_uri(b"\xff\xd8") == "data:image/jpeg;base64,/9g="
    assert data_uri(b"x", "image/png") == "data:image/png;base64,eA=="


def test_what_a_name_promises_is_on_the_disk_before_it_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name.partition('.partial')[0]}")
        sync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append(f"rename to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    with whole_or_nothing(tmp_path / "new" / "out") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("a")
        (folder / "b").write_text("b")
    assert done[0] == f"sync {tmp_path.name}", "the folder that was made for it"
    assert sorted(done[1:5]) == ["sync .out", "sync a", "sync b", "sync inner"]
    assert done[5:] == ["rename to out", "sync new"]
    done.clear()
    write_text("x", tmp_path / "c")
    assert [each.partition(" ")[0] for each in done] == ["sync", "rename", "sync"]
    assert done[1:] == ["rename to c", f"sync {tmp_path.name}"]


def test_what_a_killed_process_left_unfinished_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    host = socket.gethostname()
    names = {f".out.partial-{host}-{pid}": pid == os.getppid() for pid in (killed.pid, os.getpid(), os.getppid())}
    names |= {f".out.partial-elsewhere-{killed.pid}": True, f".outer.partial-{host}-{killed.pid}": True}
    for name in names:
        (tmp_path / name).mkdir()
    with whole_or_nothing(tmp_path / "out"):
        pass
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_a_place_without_room_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_room(tmp_path / "new" / "out", 1000)
    with pytest.raises(UserError, match=r"out: [\d,]+ bytes are free there, and about 1,0"):
        check_room(tmp_path / "new" / "out", 10**15)

    def refused(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    with pytest.raises(UserError, match=r"new/out cannot be written: Read-only file system; name another folder"):
        check_room(tmp_path / "new" / "out", 1000)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_in_its_place_is_kept_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "second"))
    (tmp_path / "second").mkdir()

    def write(folder: Path) -> None:
        if "second" not in str(folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        (folder / "model").write_text("hours of work")

    with pytest.raises(UserError, match="the disk is full; nothing was kept; but all of it is in ") as raised:
        whole_or_elsewhere(tmp_path / "final", write)
    second = Path(str(raised.value).partition("all of it is in ")[2].partition(":")[0])
    assert (second / "model").read_text() == "hours of work" and not (tmp_path / "final").exists()


FORMULAS = ["=HYPERLINK(1)", "+1+cmd|'/c calc'!A1", "@SUM(A1)", "-lynx", "\t=1", "'=1", "''=1", "=1\n2"]
PLAIN = ["Lynx lynx", "-0.5", "+3", "-1e-9", "'quoted'", "", "a=b", "O'Brien"]


def test_a_table_holds_no_formula_and_is_read_as_it_was(tmp_path: Path) -> None:
    file, texts = tmp_path / "t.csv", [*FORMULAS, *PLAIN]
    write_rows(file, ("text", "number"), [(text, -0.5) for text in texts])
    assert [row["text"] for row in read_rows(file)] == texts
    assert {row["number"] for row in read_rows(file)} == {"-0.5"}
    raw = [row["text"] for _, row in parse_table(read_text(file))[1]]
    assert all(text.startswith("'") for text in raw[: len(FORMULAS)]) and raw[len(FORMULAS) :] == PLAIN
