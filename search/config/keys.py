"""Help text of a sweep file's keys, from the models' fields."""

import textwrap
from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from search.config.schema import SweepConfig
from search.config.space import DEFAULT_SPACE, Range, in_words, parse_space
from trainables.config import SWEEP_WIDE, TrialConfig


def keys_help() -> str:
    """Return a line or more for each key, dotted where it is nested: its meaning, and its default in brackets."""
    lines = ["keys of a sweep file (defaults in brackets; every key can be given as --set key=value):"]
    keys = dict(_keys(SweepConfig, ""))
    column = max(map(len, keys)) + 4
    for key, text in keys.items():
        whole = textwrap.TextWrapper(120, f"  {key}".ljust(column), " " * column, break_long_words=False)
        whole.break_on_hyphens = False
        lines += whole.wrap(text)
    return "\n".join(lines)


def _keys(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        text = field.description or ""
        parts = (field.annotation, *get_args(field.annotation))
        section = next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)
        if prefix + name == "space":
            text += f" [{', '.join(f'{knob} {in_words(spec)}' for knob, spec in parse_space(DEFAULT_SPACE).items())}]"
        elif prefix + name == "trial":
            text += f" [{', '.join(_knobs(TrialConfig, ''))}]"
        elif not (text.endswith("]") or (section and not field.is_required() and field.default is not None)):
            text += f" [{_shown(field)}]"
        yield prefix + name, text
        if prefix + name == "space":
            yield from _keys(Range, "space.KNOB.")
        if section is not None:
            yield from _keys(section, f"{prefix}{name}.")


def _knobs(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel) and name not in SWEEP_WIDE:
            yield from _knobs(type(field.default), f"{name}.")
        elif name not in ("seed", *SWEEP_WIDE):
            yield f"{prefix}{name} {_shown(field)}"


def _shown(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return "none" if default in (None, ()) else str(default)
