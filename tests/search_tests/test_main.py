"""python -m search: help at once, and bad input in one line with exit status 2."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from search.__main__ import _RESUME, main
from search.config.schema import SweepConfig
from search.config.space import Range, searchable
from search.study.study import _FIXED, _MAY_CHANGE
from tests.checkout import ROOT
from tests.search_tests.example import empty_dataset
from trainables.data.dataset import MANIFEST

DEFAULT = ROOT / "search" / "sweeps" / "default.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "search", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy_and_shows_real_commands(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from search.__main__ import main\n"
        f"try: main({arguments})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'ray', 'tensorflow', 'keras', 'optuna', 'numpy', 'pandas', 'sklearn'}\n"
        "assert not heavy & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "python -m search run" in done.stdout


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key of a sweep file, dotted where it is nested."""
    for name, field in model.model_fields.items():
        yield prefix + name, field
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from fields(part, f"{prefix}{name}.")


def test_the_help_describes_every_key_of_a_sweep_with_its_default_and_choices() -> None:
    keys = dict(fields(SweepConfig)) | dict(fields(Range, "space.KNOB."))
    assert len(keys) > 40 and [key for key, field in keys.items() if not field.description] == []
    text = run("run", "--help").stdout
    assert max(map(len, text.splitlines())) <= 120
    starts = dict(
        re.findall(r"^  ([A-Za-z_.]+)  +(\S.*(?:\n {30}.*)*)", text[text.index("keys of a sweep file") :], re.M)
    )
    assert starts.keys() == keys.keys()
    for key, field in keys.items():
        said = " ".join(starts[key].split())
        if field.annotation is not None and get_origin(field.annotation) is Literal:
            assert [choice for choice in get_args(field.annotation) if choice not in said] == []
        if isinstance(field.default, int | float | str):
            assert "[" in said and said.endswith("]")
    assert "trials how many trials [20]" in " ".join(text.split())
    assert "learning_rate 1e-05 to 0.01 (log), dropout 0.0 to 0.6" in " ".join(text.split())
    assert [knob for knob in searchable() if f"{knob} " not in " ".join(starts["trial"].split())] == []


def test_resume_shows_its_own_help_alone() -> None:
    text = run("resume", "--help").stdout
    assert "What may be changed with --set" in text and "keys of a sweep file" not in text


def test_the_help_of_resume_and_its_refusal_name_every_key_that_may_be_changed() -> None:
    words = {"name", "experiment", "mirror", "trial", "dataset", "storage"}  # Not to be changed, or told in words.
    keys = [key for key in SweepConfig.model_fields if key not in {*words, *_FIXED.split()}]
    assert "budget" in keys
    for text in (_RESUME, _MAY_CHANGE):
        assert [key for key in keys if not re.search(rf"\b{key}\b", text)] == []


def test_a_bad_sweep_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    done = run("run", str(DEFAULT), "--set", "space.learning_rate={low: 1e-2, high: 1e-5, log: true}")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "error: space.learning_rate: low must be below high, not low 0.01 and high 1e-05\n"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["trails=3"], "unknown key 'trails'"),
        (["metric=val_f1"], "metric: no trial reports 'val_f1'; reported are:"),
        (["trial.weights=/nowhere/w.h5"], "weights: there is no file '/nowhere/w.h5'"),
        (["dataset=/nowhere"], "/nowhere is not a folder"),
        (["dataset={unfinished}"], "holds no manifest.json"),
        (["experiment={used}"], "holds another run"),
        (["trials"], "--set takes key=value, not 'trials'"),
        (["trial.epochs=0"], "trial.epochs: input should be greater than or equal to 1, not 0"),
    ],
)
def test_each_bad_input_is_one_line_with_status_2_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], line: str
) -> None:
    dataset = empty_dataset(tmp_path / "dataset")
    used, unfinished, experiment = tmp_path / "used", tmp_path / "unfinished", tmp_path / "experiment"
    used.mkdir()
    (used / "study.db").touch()
    (empty_dataset(unfinished) / MANIFEST).unlink()
    filled = [override.format(used=used, unfinished=unfinished) for override in overrides]
    places = {"dataset": dataset, "experiment": experiment}
    given = [f"{key}={place}" for key, place in places.items() if not overrides[0].startswith(f"{key}=")] + filled
    status = main(["run", str(DEFAULT), *(part for override in given for part in ("--set", override))])
    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.startswith("error: ") and line in said.err and said.err.count("\n") == 1
    assert not experiment.exists() and [path.name for path in used.iterdir()] == ["study.db"]


def test_the_experiments_folder_has_an_option_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "used").touch()
    assert main(["run", str(DEFAULT), "--experiment", str(tmp_path / "used")]) == 2
    assert "used holds another run" in capsys.readouterr().err


def test_without_a_command_the_usage_is_shown() -> None:
    done = run()
    assert done.returncode == 2 and "COMMAND" in done.stderr
