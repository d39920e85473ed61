"""The command line of python -m trainables, shared by its groups of commands."""

import argparse
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel


Options = TypeVar("Options", bound="BaseModel")


def command(subparsers: Any, name: str, help_line: str, text: str) -> argparse.ArgumentParser:
    """Add a sub-command; `text` stands below its options as it is written."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help_line,
        description=help_line,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    return parser


def options_from(arguments: argparse.Namespace, model: "type[Options]") -> "Options":
    """The arguments that are fields of `model`, checked.

    Raises:
        UserError: one of them is out of range; the line says which, and what is allowed.
    """
    from pydantic import ValidationError

    from trainables.config import one_line
    from trainables.errors import UserError

    try:
        return model(**{name: getattr(arguments, name) for name in model.model_fields})
    except ValidationError as error:
        raise UserError(one_line(error, model)) from None
