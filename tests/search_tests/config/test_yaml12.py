"""search/config/yaml12.py: values mean what YAML 1.2 says, and what is written reads the same everywhere."""

from typing import Any

import pytest
import yaml

from search.config.yaml12 import dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1e-5, 1E3, -2e+2, 1.5e-3, +.5, 1.]", [1e-5, 1000.0, -200.0, 0.0015, 0.5, 1.0]),
        ("[010, 08, -012, 0o10, 0x1F]", [10, 8, -12, 8, 31]),
        ("[.inf, -.INF]", [float("inf"), -float("inf")]),
        ("[null, ~, Null, ]", [None, None, None]),
        ("[true, False]", [True, False]),
        ("", None),
        # Numbers, dates, truths and joins of YAML 1.1, and what only looks like a number.
        ("[1:30, 1_000, 0b11, 2026-11-27, yes, off, =, e-5, 1e]",
         ["1:30", "1_000", "0b11", "2026-11-27", "yes", "off", "=", "e-5", "1e"]),
        ("{<<: 1}", {"<<": 1}),
    ],
)  # fmt: skip
def test_a_plain_value_is_what_the_core_schema_says(text: str, value: Any) -> None:
    assert parse_yaml(text) == value
    assert repr(parse_yaml(text)) == repr(value)


@pytest.mark.parametrize(
    "value", ["010", "1:30", "2026-11-27", "yes", "1e-5", "0o10", "1_000", "", "~", "=", "<<", "a #2", 1e-5, 10, None]
)
def test_what_is_written_is_read_back_by_both_versions_of_yaml(value: Any) -> None:
    text = dump_yaml({"key": value})
    assert parse_yaml(text) == yaml.safe_load(text) == {"key": value}


def test_a_key_that_stands_twice_is_refused_where_it_stands_again() -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key 'a' stands twice\n.*line 2, column 1"):
        parse_yaml("a: 1\na: 2")


@pytest.mark.parametrize(
    "text", ["!!int a", "!!float 1:30", "!!bool maybe", "!!timestamp 2026-13-45", "!!binary eA==", "9" * 5000]
)
def test_a_tag_that_is_not_of_the_core_schema_or_does_not_fit_its_value_is_no_yaml(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        parse_yaml(text)
