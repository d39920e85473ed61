"""trainables/probe/commands.py: the command `probe`, and its model in the other commands."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.trainables_tests.conftest import Command
from tests.trainables_tests.training_example import unread
from trainables.data.dataset import Dataset
from trainables.files.output import read_rows

SMALL = ("--backbone", "mobilenet_v2", "--weights", "random", "--image-size", "32", "--threads", "1")


@pytest.fixture(scope="module")
def probed(
    small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, run: Command
) -> tuple[Path, CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("probed") / "probe"
    return out, run("probe", unread(small_dataset).folder, "--out", out, *SMALL)


def test_the_command_writes_a_whole_folder_and_says_what_it_did(probed: tuple[Path, CompletedProcess[str]]) -> None:
    out, done = probed
    assert done.returncode == 0, done.stderr
    assert done.stderr == "warning: mobilenet_v2 starts from random weights, as asked\n"
    assert done.stdout.startswith("the splits are disjoint by photo id, content and group")
    assert "fitted again on train and validation" in done.stdout
    assert done.stdout.endswith(f"model, tables and metrics are in {out}\n")
    assert sorted(file.name for file in out.iterdir()) == [
        *("families.csv", "labels.json", "metrics.json", "model.keras", "predictions.csv")
    ]


def test_its_metrics_are_those_of_its_tables(probed: tuple[Path, CompletedProcess[str]]) -> None:
    out, _ = probed
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["chosen"] == "probe" and metrics["weights"]["warning"]
    assert metrics["leaks"]["passed"] is True
    rows = read_rows(out / "predictions.csv")
    for split in ("validation", "test"):
        answers = [row["predicted"] == row["family"] for row in rows if row["split"] == split]
        assert metrics["stages"]["probe"][split]["accuracy"] == pytest.approx(sum(answers) / len(answers))
    families = read_rows(out / "families.csv")
    scores = [float(row["test_f1"]) for row in families if row["test_f1"]]
    assert metrics["stages"]["probe"]["test"]["macro_f1"] == pytest.approx(sum(scores) / len(scores), abs=1e-5)


def test_predict_explain_and_export_take_its_model(
    probed: tuple[Path, CompletedProcess[str]], small_dataset: Dataset, run: Command, tmp_path: Path
) -> None:
    out, _ = probed
    photo = small_dataset.folder.parent / "photos" / "red_square" / "000.png"
    predicted = run("predict", out, photo, "--top", 1)
    assert predicted.returncode == 0, predicted.stderr
    assert "red_square" in predicted.stdout
    explained = run("explain", out, photo, "--out", tmp_path)
    assert explained.returncode == 0, explained.stderr
    assert (tmp_path / "000_cam.jpg").is_file()
    exported = run("export", out, "--format", "tflite", "--out", tmp_path / "exported")
    assert exported.returncode == 0, exported.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--image-size", "8"], "--image-size: input should be greater than or equal to 32, not 8"),
        (["--weights", "nowhere.h5"], "weights: there is no file 'nowhere.h5'"),
        (["--out", "{full}"], "is not empty (something)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    small_dataset: Dataset, run: Command, tmp_path: Path, words: list[str], line: str
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").write_text("")
    out = [] if "--out" in words else ["--out", str(tmp_path / "out")]
    done = run("probe", small_dataset.folder, *out, *(word.format(full=full) for word in words))
    assert done.returncode == 2
    assert line in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_dataset_is_one_line_and_the_default_folder_lies_beside_it(run: Command, tmp_path: Path) -> None:
    done = run("probe", tmp_path / "nowhere")
    assert done.returncode == 2 and "is not a folder" in done.stderr
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "something").write_text("")
    done = run("probe", tmp_path / "nowhere")
    assert done.returncode == 2 and f"{tmp_path / 'probe'} is not empty" in done.stderr
