import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.job_submission import JobStatus

from cluster import jobs
from cluster.__main__ import main
from cluster.launcher import ClusterError
from tests.checkout import ROOT

DEFAULT = str(ROOT / "search" / "sweeps" / "default.yaml")


class Client:
    """A cluster that remembers what it was sent, and ends a job after as many looks at it as there are logs."""

    def __init__(self, *logs: str) -> None:
        self.logs = list(logs)
        self.looks = 0
        self.sent: dict[str, Any] = {}
        self.files: list[str] = []
        self.stopped: list[str] = []

    def submit_job(self, **sent: Any) -> str:
        self.sent = sent
        folder = Path(sent["runtime_env"]["working_dir"])
        self.files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return str(sent["submission_id"] or "made-up")

    def get_job_info(self, name: str) -> Any:
        if name != "known":
            raise RuntimeError("Request failed with status code 404")
        self.looks += 1
        status = JobStatus.SUCCEEDED if self.looks >= len(self.logs) else JobStatus.RUNNING
        return SimpleNamespace(status=status, submission_id="known", entrypoint="x", message="")

    def stop_job(self, name: str) -> None:
        self.stopped.append(name)

    def get_job_logs(self, name: str) -> str:
        return "".join(self.logs[: self.looks])

    def list_jobs(self) -> list[Any]:
        return [
            SimpleNamespace(
                submission_id="known", start_time=1000, end_time=62_000, status=JobStatus.SUCCEEDED, entrypoint="x"
            )
        ]


def test_a_sweep_is_sent_with_the_code_and_without_the_rest() -> None:
    client = Client()
    name = jobs.send(client, [DEFAULT, "--experiment", "/mnt/e"], "mine")
    assert name == "mine"
    assert client.sent["entrypoint"] == "python -m search run search/sweeps/default.yaml --experiment /mnt/e"
    assert {"search/__main__.py", "trainables/trial.py", "cluster/submit.py", "requirements.txt"} <= set(client.files)
    assert not [file for file in client.files if ".venv" in file or "__pycache__" in file or file.startswith("tests")]


@pytest.mark.parametrize(
    ("given", "examined"),
    [("--doctor", ""), ("--doctor=--nodes 2 --shared '/mnt/a b'", " --nodes 2 --shared '/mnt/a b'")],
)
def test_the_doctor_may_be_a_gate_before_a_sweep(monkeypatch: pytest.MonkeyPatch, given: str, examined: str) -> None:
    client = Client()
    monkeypatch.setattr(jobs, "connected", lambda _: contextlib.nullcontext(client))
    assert main(["submit", given, "--", DEFAULT]) == 0
    sweep = "python -m search run search/sweeps/default.yaml"
    assert client.sent["entrypoint"] == f"python -m cluster doctor{examined} && exec {sweep}"


def test_a_sweep_file_from_elsewhere_travels_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("trials: 3\n")
    client = Client()
    jobs.send(client, [str(tmp_path / "mine.yaml")])
    assert client.sent["entrypoint"] == "python -m search run sent/mine.yaml"
    assert "sent/mine.yaml" in client.files


def test_a_script_of_the_checkout_brings_its_folder() -> None:
    client = Client()
    jobs.send(client, [str(ROOT / "tests" / "cluster_tests" / "driver.py"), "/mnt/e"])
    assert client.sent["entrypoint"] == "python tests/cluster_tests/driver.py /mnt/e"
    assert "tests/search_tests/synthetic.py" in client.files


def test_the_final_stage_asks_for_a_gpu() -> None:
    client = Client()
    jobs.send(client, ["-m", "trainables", "retrain", "/mnt/e/best.json"], cpus=4, gpus=1)
    assert client.sent["entrypoint"] == "python -m trainables retrain /mnt/e/best.json"
    assert (client.sent["entrypoint_num_cpus"], client.sent["entrypoint_num_gpus"]) == (4, 1)


def test_a_job_is_ended_as_by_ctrl_c_with_time_to_hand_over() -> None:
    client = Client()
    jobs.send(client, [DEFAULT])
    environment = client.sent["runtime_env"]["env_vars"]
    assert environment["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30


def test_a_missing_sweep_file_is_refused_before_anything_is_sent() -> None:
    client = Client()
    with pytest.raises(ClusterError, match=r"nothing\.yaml is not a file here"):
        jobs.send(client, ["nothing.yaml"])
    assert client.sent == {}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A cluster with one job, which ends with the third part of its log, behind any address."""
    client = Client("one ", "two ", "three")
    monkeypatch.setattr(jobs, "JobSubmissionClient", lambda address: client)
    monkeypatch.setattr(jobs.time, "sleep", lambda seconds: None)
    yield client


def test_following_a_job_shows_every_word_once(cluster: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "known", "--follow"]) == 0
    assert capsys.readouterr().out == "one two threejob known: SUCCEEDED\n"


def test_a_job_that_failed_is_exit_status_1(
    cluster: Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = SimpleNamespace(status=JobStatus.FAILED, entrypoint="x", message="out of memory")
    monkeypatch.setattr(cluster, "get_job_info", lambda name: failed)
    assert main(["status", "known"]) == 1
    assert capsys.readouterr().out == "FAILED: x\nout of memory\n"
    assert main(["logs", "known", "--follow"]) == 1


def test_an_unknown_job_names_the_known_ones(cluster: Client, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("status", "logs", "stop"):
        assert main([command, "other"]) == 2
        assert "there is no job other; there are: known" in capsys.readouterr().err


def test_stopping_waits_for_the_end(cluster: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "known"]) == 0
    assert cluster.stopped == ["known"]
    assert capsys.readouterr().out == "job known: SUCCEEDED\n"


def test_the_list_says_how_each_job_ended_and_how_long_it_took(
    cluster: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[0:2] == ["known", "SUCCEEDED"]
    assert "1m01s" in line


def test_no_cluster_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--address", "http://127.0.0.1:9"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no cluster answers at http://127.0.0.1:9")
    assert printed.count("\n") == 1
