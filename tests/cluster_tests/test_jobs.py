from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.job_submission import JobStatus

from cluster import jobs
from cluster.errors import ClusterError
from tests.checkout import ROOT

DEFAULT = str(ROOT / "search" / "sweeps" / "default.yaml")


class Client:
    """A cluster that remembers what it was sent, and ends a job after as many looks at it as there are logs."""

    def __init__(self, *logs: str) -> None:
        self.logs = list(logs)
        self.looks = 0
        self.sent: dict[str, Any] = {}
        self.files: list[str] = []

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
    name = jobs.submit(client, [DEFAULT, "--experiment", "/mnt/e"], "mine")
    assert name == "mine"
    assert client.sent["entrypoint"] == "python -m search run search/sweeps/default.yaml --experiment /mnt/e"
    assert {"search/__main__.py", "trainables/trial.py", "cluster/submit.py", "requirements.txt"} <= set(client.files)
    assert not [file for file in client.files if ".venv" in file or "__pycache__" in file or file.startswith("tests")]


def test_a_sweep_file_from_elsewhere_travels_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("trials: 3\n")
    client = Client()
    jobs.submit(client, [str(tmp_path / "mine.yaml")])
    assert client.sent["entrypoint"] == "python -m search run sent/mine.yaml"
    assert "sent/mine.yaml" in client.files


def test_a_script_of_the_checkout_brings_its_folder() -> None:
    client = Client()
    jobs.submit(client, [str(ROOT / "tests" / "cluster_tests" / "driver.py"), "/mnt/e"])
    assert client.sent["entrypoint"] == "python tests/cluster_tests/driver.py /mnt/e"
    assert "tests/search_tests/synthetic.py" in client.files


def test_the_final_stage_asks_for_a_gpu() -> None:
    client = Client()
    jobs.submit(client, ["-m", "trainables", "retrain", "/mnt/e/best.json"], cpus=4, gpus=1)
    assert client.sent["entrypoint"] == "python -m trainables retrain /mnt/e/best.json"
    assert (client.sent["entrypoint_num_cpus"], client.sent["entrypoint_num_gpus"]) == (4, 1)


def test_a_job_is_ended_as_by_ctrl_c_with_time_to_hand_over() -> None:
    client = Client()
    jobs.submit(client, [DEFAULT])
    environment = client.sent["runtime_env"]["env_vars"]
    assert environment["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert int(environment["RAY_JOB_STOP_WAIT_TIME_S"]) >= 30


def test_a_missing_sweep_file_is_refused_before_anything_is_sent() -> None:
    client = Client()
    with pytest.raises(ClusterError, match=r"nothing\.yaml is not a file here"):
        jobs.submit(client, ["nothing.yaml"])
    assert client.sent == {}


def test_following_a_job_shows_every_word_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs.time, "sleep", lambda seconds: None)
    written: list[str] = []
    assert jobs.follow(Client("one ", "two ", "three"), "known", written.append) is JobStatus.SUCCEEDED
    assert "".join(written) == "one two three"


def test_an_unknown_job_names_the_known_ones() -> None:
    with pytest.raises(ClusterError, match="there is no job other; there are: known"):
        jobs.describe(Client(), "other")


def test_the_list_says_how_each_job_ended_and_how_long_it_took() -> None:
    (line,) = jobs.table(Client())
    assert line.split()[0:2] == ["known", "SUCCEEDED"]
    assert "1m01s" in line


def test_no_cluster_is_one_line() -> None:
    with pytest.raises(ClusterError, match=r"no cluster answers at http://127\.0\.0\.1:9"):
        jobs.client("http://127.0.0.1:9")
