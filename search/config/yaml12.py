"""YAML 1.2 core schema, read and written: `010` is ten, a date or `yes` is text.

PyYAML knows YAML 1.1, in which `1:30` is 90 and `2026-11-27` a date; ruamel.yaml 0.19 reads dates too.
"""

import re
from typing import Any

import yaml

_TAG = "tag:yaml.org,2002:"
# https://yaml.org/spec/1.2.2/#1032-tag-resolution
_CORE = {
    "null": (r"null|Null|NULL|~|", "nN~"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    """Plain scalars by the core schema alone; a key that stands twice is refused, as the specification demands."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            keys.append(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        return float(str(self.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as something else."""


_Loader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in _CORE.items():
    for _class in (_Loader, _Dumper):
        _starts = [*_first, ""] if _name == "null" else [*_first]
        _class.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"^(?:{_pattern})$"), _starts)
for _name, _construct in (("int", _Loader.construct_yaml_int), ("float", _Loader.construct_yaml_float)):
    _Loader.add_constructor(f"{_TAG}{_name}", _construct)
# A tag that a value bears must be one of the core schema, too: `!!timestamp` is YAML 1.1.
_TAGS = [f"{_TAG}{name}" for name in (*_CORE, "str", "seq", "map")]
_Loader.yaml_constructors = {tag: _Loader.yaml_constructors[tag] for tag in [*_TAGS, None]}


def parse_yaml(text: str) -> Any:
    """Parse a YAML document.

    Raises:
        yaml.YAMLError: it is none, or a mapping has a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deep") from None
    except (ValueError, KeyError) as error:  # Of a tag whose value is none, as in `!!int a`, or of endless digits.
        raise yaml.YAMLError(f"a value cannot be read: {error}") from None


def dump_yaml(values: Any) -> str:
    """Write plain values as YAML that readers of version 1.1 and 1.2 take for the same."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
