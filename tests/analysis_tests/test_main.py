import shutil
import subprocess
import sys
import time

import pytest

from analysis.__main__ import main


def test_help_answers_in_less_than_a_second():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "analysis", "--help"], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 1
    assert "python -m analysis report runs/demo" in done.stdout


def test_the_commands_import_nothing_heavy_before_they_run():
    code = "import sys, analysis.__main__; print([m for m in ('pandas', 'matplotlib', 'optuna') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_needs_neither_ray_nor_tensorflow():
    code = (
        "import sys, analysis.report.report;"
        "print([m for m in ('ray', 'tensorflow', 'keras', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("without_drawing")
def test_report_says_where_it_is(copied, capsys):
    assert main(["report", str(copied)]) == 0
    assert capsys.readouterr().out == f"report: {copied / 'report' / 'index.html'}\n"
    assert (copied / "report" / "index.html").is_file()


def test_export_writes_where_it_is_told(copied, tmp_path, capsys):
    assert main(["export", str(copied), "--out", str(tmp_path / "tables")]) == 0
    listed = capsys.readouterr().out.split()
    names = ("trials.csv", "trials.parquet", "epochs.csv", "epochs.parquet", "columns.csv")
    assert listed == [str(tmp_path / "tables" / name) for name in names]


def test_export_takes_several_experiments_and_one_format(example, copied, capsys):
    assert main(["export", str(copied), str(example.experiment), "--format", "csv"]) == 0
    assert capsys.readouterr().out.split()[0] == str(copied / "export" / "trials.csv")
    assert (copied / "export" / "trials.csv").read_text().startswith("experiment,trial,")


@pytest.mark.usefixtures("without_drawing")
def test_compare_says_who_is_better_and_where_the_page_is(example, copied, capsys):
    assert main(["compare", str(copied), str(example.experiment)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("example0/experiment and ") or "cannot be told apart" in said[0]
    assert said[-1] == f"comparison: {copied / 'comparison' / 'index.html'}"


@pytest.mark.parametrize("folders", [["."], [".", "."]])
def test_a_comparison_needs_two_different_experiments(copied, capsys, folders):
    assert main(["compare", *(str(copied / folder) for folder in folders)]) == 2
    assert "experiment" in capsys.readouterr().err


def _remove(name):
    return lambda folder: shutil.rmtree(folder) if name == "." else (folder / name).unlink()


def _write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_remove("."), "holds no sweep.yaml"),
        (_remove("study.db"), "holds no study.db"),
        (_write("study.db", b"x" * 999), "study.db cannot be read"),
        (_write("sweep.yaml", b"a: [1,"), "sweep.yaml is not YAML"),
        (_write("sweep.yaml", b"\xff\xfe\x00"), "sweep.yaml cannot be read"),
        (_write("sweep.yaml", b"name: other\n"), "holds no study 'other'"),
        (_write("best.json", b"{"), "best.json is not a hand-off"),
        (_write("final/metrics.json", b"{}"), "metrics.json has no 'stages'"),
        (_write("final/predictions.csv", b"\xff\xfe\x00"), "is damaged"),
        (_write("final/predictions.csv", b"stage,split,family,predicted\na,b,c,d\n"), "no column 'probability'"),
        (_write("final/families.csv", b"family\nx\n"), "families.csv has no column"),
    ],
)
def test_bad_input_is_one_line_and_status_2(copied, capsys, spoil, said):
    spoil(copied)
    assert main(["report", str(copied)]) == 2
    problem = capsys.readouterr().err
    assert len(problem.splitlines()) == 1
    assert said in problem
    assert not (copied / "report").exists()


def test_an_output_that_is_a_file_is_refused(copied, tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    for command in ("report", "export"):
        assert main([command, str(copied), "--out", str(tmp_path / "out")]) == 2
        assert "is a file; give a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_an_unknown_option_is_refused():
    with pytest.raises(SystemExit, match="2"):
        main(["report", "somewhere", "--colour"])


@pytest.mark.usefixtures("without_drawing")
def test_an_experiment_at_a_url_is_copied_here_and_then_as_any_other(copied, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bucket").mkdir()
    url = shutil.move(copied, tmp_path / "bucket" / "first").as_uri()
    assert main(["report", url]) == 0
    said = capsys.readouterr().out.splitlines()
    copy = next((tmp_path / "runs").glob("first-copy-*"))
    assert said == [f"records      {copy} (a copy of {url})", f"report: {copy / 'report' / 'index.html'}"]
    assert main(["export", url, "--format", "csv"]) == 0
    assert (copy / "export" / "trials.csv").is_file()


@pytest.mark.parametrize("command", ["report", "export", "compare", "dashboard"])
def test_a_url_without_an_experiment_is_one_line_and_status_2(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([command, f"{tmp_path.as_uri()}/none"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path.as_uri()}/none holds no experiment, or there is no")
    assert list(tmp_path.iterdir()) == []
