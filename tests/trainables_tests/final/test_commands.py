"""trainables/final/commands.py: the command `retrain`."""

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.trainables_tests.conftest import Command


def test_the_command_writes_final_beside_best_json(one_training: tuple[Path, CompletedProcess[str]]) -> None:
    folder, done = one_training
    assert done.returncode == 0, done.stderr
    assert (folder / "metrics.json").is_file() and (folder.parent / "best.json").is_file()
    assert "macro F1" in done.stdout
    assert done.stdout.endswith(f"model, tables and metrics are in {folder}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere/best.json"], "does not exist"),
        (["{final}/labels.json"], "not a hand-off"),
        (["{final}/labels.json", "--threshold", "2"], "--threshold: input should be less than or equal to 1, not 2"),
    ],
)
def test_bad_input_is_one_line_and_status_2(final: Path, run: Command, arguments: list[str], says: str) -> None:
    done = run("retrain", *[argument.format(final=final) for argument in arguments])
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
