"""Errors of a trial and of a user, on one line."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `--help` answers sooner without pydantic.
    from pydantic import BaseModel, ValidationError


class TrialFailed(Exception):
    """One trial cannot go on (non-finite loss, out of memory): it ends with this reason, the sweep goes on."""


class OutOfMemory(TrialFailed):
    """The device's memory did not suffice, at least not for this trial beside its neighbours."""


class UserError(Exception):
    """Nothing can go on (bad config, missing data, unreachable storage).

    The message is one line: the rule, the value, what would be valid. Commands print it and exit with status 2.
    """


def run_command(main: Callable[[], int]) -> int:
    """Run a command's body; a `UserError` becomes one line on stderr and exit status 2."""
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130


def message_of(error: BaseException) -> str:
    """Return what an error says, on one line; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: "ValidationError", model: "type[BaseModel]") -> str:
    """Say the first problem of a pydantic error as the house does: key, value, rule."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    others = "" if error.error_count() == 1 else f" (and {error.error_count() - 1} more)"
    if first["type"] == "extra_forbidden":
        for part in first["loc"][:-1]:  # To the model in which the key stands, as far as there are models.
            inner: Any = getattr(model.model_fields.get(str(part)), "annotation", None)
            if not hasattr(inner, "model_fields"):
                break
            model = inner
        return f"unknown key {key!r}; the keys here are: {', '.join(sorted(model.model_fields))}{others}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing{others}"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key}: {message}, not {first['input']!r}{others}" if key else f"{message}{others}"
