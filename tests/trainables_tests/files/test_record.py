"""trainables/files/record.py: one typed loader, one line for whatever is wrong."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from trainables.errors import UserError
from trainables.files.record import read_record


class Told(BaseModel, extra="forbid"):
    epoch: int
    families: dict[str, float] = {}


def test_a_record_is_read_as_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    file.write_text('{"epoch": 3, "families": {"Lynx": 0.5}}')
    assert read_record(file, Told, "hint") == Told(epoch=3, families={"Lynx": 0.5})
    assert read_record(file, dict[str, Any], "hint") == {"epoch": 3, "families": {"Lynx": 0.5}}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "does not exist"),
        (b"", "is damaged: invalid JSON: EOF while parsing"),
        (b'{"epoch": 3, "fam', "is damaged: invalid JSON"),
        (b'{"ep\xffch": 3}', "is damaged: invalid JSON"),
        (bytes(100), "is damaged: invalid JSON"),
        (b"<html>", "is damaged: invalid JSON"),
        (b"[" * 100_000, "is damaged: invalid JSON"),
        (b"[]", "is damaged: "),
        (b"{}", "is damaged: the key 'epoch' is missing"),
        (b'{"epoch": "three"}', "is damaged: epoch: input should be a valid integer"),
        (b'{"epoch": 3, "epohc": 3}', "is damaged: unknown key 'epohc'"),
    ],
)
def test_what_is_damaged_is_one_line_that_names_the_file(tmp_path: Path, content: bytes | None, line: str) -> None:
    file = tmp_path / "told.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_record(file, Told, "`retrain` writes it again")
    said = str(raised.value)
    assert said.startswith(f"{file} {line}") and said.endswith("; `retrain` writes it again") and "\n" not in said


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory; hint"):
        read_record(tmp_path, Told, "hint")
