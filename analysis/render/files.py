"""Output folder, and files that are replaced in one step."""

import os
from pathlib import Path

import pandas as pd

from trainables.errors import UserError
from trainables.files.output import as_text, replacing


def output_folder(folder: Path) -> Path:
    """Make the folder for results.

    Raises:
        UserError: there is a file of that name, or it cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder} is a file; give a folder, which is made if it is not there")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {folder} cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise UserError(f"--out {folder} cannot be written to; give another folder with --out")
    return folder


def write_csv(file: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, whose texts are no formulas to a spreadsheet.

    Raises:
        UserError: as `write_file`.
    """
    texts = table.select_dtypes(["object", "string"])
    write_file(file, table.assign(**{str(name): texts[name].map(as_text) for name in texts}).to_csv(index=False))


def write_file(file: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8, under a temporary name, then rename.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
