import argparse
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from trainables.command_line import CommandParser, add_options, command, options_from
from trainables.errors import UserError


class Options(BaseModel):
    share: float = Field(default=0.3, ge=0, le=1, description="how much, of 100 %")
    most_photos: int | None = Field(default=None, ge=1, description="at most", json_schema_extra={"metavar": "N"})
    folder: Path | None = Field(default=None, description="where (default: here)")
    kind: Literal["one", "two"] = Field(default="one", description="which")
    names: tuple[str, ...] = Field(default=("a",), description="some")
    sides: tuple[Literal["left", "right"], ...] = Field(default=(), description="which of them (default: none)")
    span: tuple[int, int] = Field(default=(1, 2), description="from, to", json_schema_extra={"metavar": ["A", "B"]})
    dry: bool = Field(default=False, description="write nothing")
    colour: bool = Field(default=True, description="in colour")
    internal: int = 7

    @model_validator(mode="after")
    def _in_order(self) -> "Options":
        if self.span[0] > self.span[1]:
            raise ValueError("the span ends before it begins")
        return self


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser, Options)
    return options_from(parser.parse_args(words), Options)


def test_each_described_field_is_an_option_of_its_type_and_default() -> None:
    assert parse() == Options()
    words = (
        "--share 0.5 --most-photos 3 --folder x --kind two --names b c --sides left right --span 4 5 --dry --no-colour"
    )
    assert parse(*words.split()) == Options(
        share=0.5,
        most_photos=3,
        folder=Path("x"),
        kind="two",
        names=("b", "c"),
        sides=("left", "right"),
        span=(4, 5),
        dry=True,
        colour=False,
    )


@pytest.mark.parametrize("words", ["--internal 8", "--share x", "--kind three", "--span 1", "--names", "--sides up"])
def test_what_no_field_takes_is_refused_by_the_parser(words: str) -> None:
    with pytest.raises(SystemExit):
        parse(*words.split())


def test_the_help_has_names_descriptions_and_defaults() -> None:
    parser = argparse.ArgumentParser(
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=60, width=200)
    )
    add_options(parser, Options)
    lines = {" ".join(line.split()) for line in parser.format_help().splitlines()}
    assert {
        "--share SHARE how much, of 100 % (default 0.3)",
        "--most-photos N at most",
        "--folder FOLDER where (default: here)",
        "--kind {one,two} which (default one)",
        "--names NAMES [NAMES ...] some (default a)",
        "--span A B from, to (default 1 2)",
        "--dry write nothing",
    } <= lines


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--share 2", "--share: input should be less than or equal to 1, not 2.0"),
        ("--most-photos 0", "--most-photos: input should be greater than or equal to 1, not 0"),
        ("--span 5 4", "the span ends before it begins"),
    ],
)
def test_a_value_out_of_range_is_one_line_that_names_the_option(words: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        parse(*words.split())
    assert str(error.value) == line


def test_what_is_no_option_may_be_given_beside_them() -> None:
    assert options_from(argparse.Namespace(share=0.1, other=1), Options, internal=8) == Options(share=0.1, internal=8)


def test_a_command_asks_for_its_model_only_when_it_is_parsed() -> None:
    parser = CommandParser()
    subparsers = parser.add_subparsers(required=True)
    command(subparsers, "first", "", "", f"{__name__}:Options")
    command(subparsers, "second", "", "", "no.such.module:Options")
    assert parser.parse_args(["first", "--share", "0.5"]).share == 0.5
    with pytest.raises(ModuleNotFoundError):
        parser.parse_args(["second"])
