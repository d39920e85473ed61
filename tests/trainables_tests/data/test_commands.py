import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.trainables_tests.data.test_leaks import honest, written
from tests.trainables_tests.drawn_photos import write_photos
from trainables.command_line import CommandParser
from trainables.data import commands as data_commands
from trainables.data.dataset import open_dataset
from trainables.errors import run_command


def run(*words: object) -> int:
    parser = CommandParser()
    data_commands.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args([str(word) for word in words])
    return run_command(lambda: int(arguments.run(arguments)))


def test_prepare_then_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "photos", {"a": 12, "b": 8, "tiny": 2})
    (tmp_path / "photos/a/broken.jpg").write_bytes(b"x")
    options = ("--seed", 4, "--fractions", 0.6, 0.2, 0.2, "--group", "none", "--workers", 1)
    assert run("prepare", tmp_path / "photos", tmp_path / "out", *options) == 0
    reported = capsys.readouterr()
    assert f"left out: 1 unreadable; each is listed in {tmp_path / 'out/excluded.csv'}" in reported.out
    assert reported.err == "warning: 1 families are in training only, for want of 3 groups: tiny\n"
    manifest = open_dataset(tmp_path / "out").manifest
    assert (manifest.seed, manifest.fractions, manifest.grouping) == (4, (0.6, 0.2, 0.2), ["none"])
    assert run("check", tmp_path / "out") == 0
    assert "the splits are disjoint" in capsys.readouterr().out


def test_check_names_each_leak_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, [*honest(), ("p90", "test", honest()[0][2]), ("p91", "test", honest()[1][2])])
    assert run("check", tmp_path) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "content hash" in line]
    assert lines == [
        "error: leak by content hash: p00 (p00.jpg) is in train, p90 (p90.jpg) in test",
        "error: leak by content hash: p01 (p01.jpg) is in train, p91 (p91.jpg) in test",
    ]


def test_check_names_each_damaged_shard_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for shard in written(tmp_path, honest()).manifest.shards[:2]:
        content = (tmp_path / shard.file).read_bytes()
        (tmp_path / shard.file).write_bytes(content[:99] + b"!" + content[100:])
    assert run("check", tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" is not")[0] for line in lines] == [
        f"error: {tmp_path / name}-00000-of-00001.tfrecord" for name in ("train", "validation")
    ]


def test_demo_photos_can_be_prepared_and_pass_the_check(tmp_path: Path) -> None:
    assert run("demo-photos", tmp_path / "photos") == 0
    assert run("prepare", tmp_path / "photos", tmp_path / "out", "--workers", 1) == 0
    assert open_dataset(tmp_path / "out").manifest.train_only_families == []
    assert run("check", tmp_path / "out") == 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--seed", -1], "--seed: input should be greater than or equal to 0, not -1"),
        (["--min-photos", 0], "--min-photos: input should be greater than or equal to 1, not 0"),
        (["--workers", 0], "--workers: input should be greater than or equal to 1, not 0"),
        (["--group", "scene"], "no grouping rule is called 'scene'"),
    ],
)
def test_bad_options_are_one_line(
    words: list[object], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", {"a": 3, "b": 3})
    assert run("prepare", tmp_path / "photos", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {line}")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_check_of_no_dataset_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} holds no manifest.json")


@pytest.mark.parametrize("name", ["review", "prepare", "check", "demo-photos"])
def test_help_shows_a_real_command_and_loads_nothing_heavy(name: str) -> None:
    program = (
        "import sys\n"
        "from trainables.__main__ import main\n"
        f"sys.argv[1:] = ['{name}', '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'sklearn', 'numpy', 'PIL', 'jinja2'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    root = ROOT
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"  python -m trainables {name} " in done.stdout
