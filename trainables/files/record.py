"""Typed reading of the JSON records that commands leave for each other."""

from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from trainables.errors import UserError, one_line
from trainables.files.output import named_errors

Kind = TypeVar("Kind")


def read_record(file: Path, kind: type[Kind], hint: str, problem: str = "is damaged") -> Kind:
    """Read a JSON file and check that it holds what it should.

    Args:
        kind: a pydantic model, or a type such as `dict[str, Any]`.
        hint: what would be valid, or what writes the file again.
        problem: what the file is then; of one that a user names, which may be any, that it is not of this kind.

    Raises:
        UserError: the file is missing, cannot be read, is not JSON, or holds something else.
    """
    with named_errors(file, hint):
        content = file.read_bytes()
    return parse_record(content, kind, f"{file} {problem}", hint)


def parse_record(content: bytes | str, kind: type[Kind], problem: str, hint: str) -> Kind:
    """Read a record from its text; `problem` is what an error's line begins with.

    Raises:
        UserError: it is not JSON, or holds something else than `kind`.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        return cast(Kind, adapter.validate_json(content))
    except ValidationError as error:
        model = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else BaseModel
        raise UserError(f"{problem}: {one_line(error, model)}; {hint}") from None
