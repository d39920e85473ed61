"""Sub-commands and options of python -m trainables, from pydantic models."""

import argparse
import pkgutil
import types
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

if TYPE_CHECKING:  # `--help` answers sooner without pydantic.
    from pydantic import BaseModel

Options = TypeVar("Options", bound="BaseModel")


class CommandParser(argparse.ArgumentParser):
    """A parser that adds the options of its model only when it is asked to parse: models take time to import."""

    model = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See argparse."""
        if self.model:
            model, self.model = self.model, ""
            add_options(self, pkgutil.resolve_name(model))
        return super().parse_known_args(args, namespace)


def command(subparsers: Any, name: str, help_line: str, text: str, model: str = "") -> CommandParser:
    """Add a sub-command to those of a `CommandParser`.

    Args:
        text: stands below its options as it is written.
        model: "module:class" of the model whose fields are its options (`add_options`).
    """
    parser: CommandParser = subparsers.add_parser(
        name,
        help=help_line,
        description=help_line,
        epilog=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.model = model
    return parser


def add_options(parser: argparse.ArgumentParser, model: "type[BaseModel]") -> None:
    """Add the option --some-name for each field `some_name` of `model` that has a description.

    The description is the help; the default is added to it, unless it is None or the description speaks of it.
    `json_schema_extra={"metavar": "N"}` names the value, or a list of names the values of a tuple. X | None takes
    an X, tuple[X, ...] one or more, tuple[X, X] two, Literal one of its values, tuple[Literal, ...] some of them; a
    bool is a switch.
    """
    for name, field in model.model_fields.items():
        text, kind, extra = field.description, field.annotation, field.json_schema_extra
        if text is None:
            continue
        default = field.get_default(call_default_factory=True)
        if get_origin(kind) in (Union, types.UnionType):
            [kind] = [part for part in get_args(kind) if part is not types.NoneType]
        found: dict[str, Any] = {"type": kind}
        parts = get_args(kind)
        if kind is bool:
            found = {"action": argparse.BooleanOptionalAction if default else "store_true"}
        elif get_origin(kind) is Literal:
            found = {"type": type(parts[0]), "choices": parts}
        elif get_origin(kind) is tuple:
            found = {"type": parts[0], "nargs": "+" if parts[-1] is Ellipsis else len(parts)}
            if get_origin(parts[0]) is Literal:
                found |= {"type": str, "choices": get_args(parts[0])}
        if isinstance(extra, dict) and "metavar" in extra:
            metavar = extra["metavar"]
            found["metavar"] = tuple(metavar) if isinstance(metavar, list) else metavar
        if default is not None and kind is not bool and "default" not in text:
            text += f" (default {' '.join(map(str, default)) if isinstance(default, tuple) else default})"
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=text.replace("%", "%%"), **found)


def options_from(arguments: argparse.Namespace, model: type[Options], **values: object) -> Options:
    """Return the `model` of the arguments that are its fields, and of `values`, checked.

    Raises:
        UserError: one of them is out of range; the line says which, and what is allowed.
    """
    from pydantic import ValidationError

    from trainables.errors import UserError, one_line

    given = {name: value for name, value in vars(arguments).items() if name in model.model_fields}
    try:
        return model(**given | values)
    except ValidationError as error:
        line = one_line(error, model)
        for name in error.errors(include_url=False)[0]["loc"][:1]:  # None where all of them together are refused.
            line = line.replace(str(name), f"--{str(name).replace('_', '-')}", 1)
        raise UserError(line) from None
