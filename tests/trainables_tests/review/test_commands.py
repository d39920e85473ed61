from pathlib import Path

import pytest

from tests.trainables_tests.drawn_photos import write_photos
from trainables.command_line import CommandParser
from trainables.errors import run_command
from trainables.review import commands as review_commands


def run(*words: object) -> int:
    parser = CommandParser()
    review_commands.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(word) for word in words])
    return run_command(lambda: int(arguments.run(arguments)))


def test_review_says_what_it_found_and_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = tmp_path / "my photos", tmp_path / "out"
    write_photos(photos, {"a": 12, "b": 9})
    (photos / "a/broken.jpg").write_bytes(b"x")
    assert run("review", photos, out, "--weights", "random", "--image-size", 75, "--top", 6, "--workers", 1) == 0
    reported = capsys.readouterr().out
    assert "warning: inception_v3 starts from random weights, as asked" in reported
    assert f"6 irrelevant, 1 undecodable, 0 tiny, 0 blank, 0 near-duplicate, listed in {out / 'review.csv'}" in reported
    assert f"python -m trainables prepare '{photos}' DATASET --exclude exclude.csv" in reported
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "review.csv"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--top", 0], "--top: input should be greater than or equal to 1, not 0"),
        (["--tiny", 0], "--tiny: input should be greater than or equal to 1, not 0"),
        (["--seed", -1], "--seed: input should be greater than or equal to 0, not -1"),
        (["--weights", "nowhere.h5"], "weights: there is no file 'nowhere.h5'"),
    ],
)
def test_bad_options_are_one_line(
    words: list[object], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", {"a": 3, "b": 3})
    assert run("review", tmp_path / "photos", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {line}")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
