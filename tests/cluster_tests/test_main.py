from pathlib import Path

import pytest

from cluster import jobs
from cluster.__main__ import main
from cluster.launcher import ClusterError, expected_nodes
from tests.checkout import ROOT

CLUSTER = ROOT / "cluster"


def test_the_words_of_a_sweep_are_not_taken_for_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(jobs, "submit", lambda options: seen.append(options.words) or 0)
    assert main(["submit", "--gpus", "1", "--", "s.yaml", "--set", "trials=3", "--experiment", "/mnt/e"]) == 0
    assert seen == [["s.yaml", "--set", "trials=3", "--experiment", "/mnt/e"]]


def test_a_sweep_is_resumed_by_its_place_on_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    monkeypatch.setattr(jobs, "submit", lambda options: seen.append(options.words) or 0)
    assert main(["resume", "/mnt/first", "--set", "trials=40"]) == 0
    assert seen == [["resume", "/mnt/first", "--set", "trials=40"]]


def test_a_sweep_to_resume_is_not_named_as_the_laptop_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "runs/first"]) == 2
    assert capsys.readouterr().err.startswith("error: experiment: runs/first is not an absolute path")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--nodez 4", "unrecognized arguments: --nodez 4"),
        ("--shared '/mnt", "argument --doctor: must be words as a shell reads them, not"),
    ],
)
def test_options_that_the_doctor_does_not_take_are_refused_before_anything_is_sent(
    options: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["submit", f"--doctor={options}", "--", "s.yaml"])
    assert line in capsys.readouterr().err


@pytest.mark.parametrize("words", [["down", "none.yaml"], ["doctor", "--cluster", "none.yaml"]])
def test_a_missing_cluster_file_is_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: none.yaml cannot be read")
    assert printed.count("\n") == 1


def test_a_file_that_is_no_cluster_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.yaml").write_text("trials: 3\n")
    assert main(["down", str(tmp_path / "sweep.yaml")]) == 2
    assert "it has no `provider`" in capsys.readouterr().err


def test_the_cluster_file_says_how_many_nodes_to_expect(tmp_path: Path) -> None:
    assert expected_nodes(CLUSTER / "onprem.yaml") == ["192.0.2.10", "192.0.2.11", "192.0.2.12"]
    assert expected_nodes(CLUSTER / "aws.yaml") == 1
    with pytest.raises(ClusterError, match="say --nodes N"):
        expected_nodes(tmp_path / "none.yaml")
