"""Sweeps as jobs of a cluster, which outlive the laptop that sent them."""

import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from cluster.errors import ClusterError, one_line
from cluster.submit import command

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("search", "trainables", "cluster", "analysis")

# A sweep ends cleanly on Ctrl-C: its trials are accounted for, best.json is written. Ray's own way is SIGTERM and 3 s.
STOP_SECONDS = 60

_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


def client(address: str) -> JobSubmissionClient:
    """Return a client of the cluster whose dashboard is at `address` (http://host:port).

    Raises:
        ClusterError: nothing answers there, or the token is refused.
    """
    try:
        return JobSubmissionClient(address)
    except Exception as error:
        why = f"{one_line(error)}; is its dashboard forwarded?"
        raise ClusterError(f"no cluster answers at {address}: {why}") from None


def submit(
    jobs: JobSubmissionClient, arguments: Sequence[str], name: str | None = None, cpus: float = 0, gpus: float = 0
) -> str:
    """Send a command (as `cluster.submit.command` reads it) with the code it needs; return the job's name.

    The job's own process gets `cpus` and `gpus`: a sweep's driver needs none, the final stage cores and a GPU.

    Raises:
        ClusterError: a file that it names is missing, or a job has this name.
    """
    with staged(arguments) as (folder, words):
        environment = {
            # A sweep joins the cluster with a runtime environment of its own, made of this one's working_dir.
            "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
        }
        try:
            return str(
                jobs.submit_job(
                    entrypoint=shlex.join(command(words, "python")),
                    submission_id=name,
                    runtime_env={"working_dir": str(folder), "env_vars": environment},
                    entrypoint_num_cpus=cpus or None,
                    entrypoint_num_gpus=gpus or None,
                )
            )
        except RuntimeError as error:
            # Ray puts its server's traceback before the reason.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ClusterError(f"the cluster refused the job: {reason.strip()}") from None


@contextmanager
def staged(arguments: Sequence[str]) -> Iterator[tuple[Path, list[str]]]:
    """Lay out what travels: the packages, and the files that the command names; yield the folder and the words.

    A file of the checkout keeps its place (and its folder comes along); one from elsewhere goes to `sent/`. A path
    that is not here, such as an experiment on the cluster's storage, stays as it is.

    Raises:
        ClusterError: the sweep file or script is missing.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for package in PACKAGES:
            _copy(CHECKOUT / package, folder / package)
        shutil.copy(CHECKOUT / "requirements.txt", folder)
        if arguments[0].endswith((".py", ".yaml", ".yml")) and not Path(arguments[0]).is_file():
            raise ClusterError(f"{arguments[0]} is not a file here")
        yield folder, [_bring(word, folder) for word in arguments]


def _bring(word: str, folder: Path) -> str:
    file = Path(word)
    if not file.is_file() or file.suffix not in (".py", ".yaml", ".yml"):
        return word
    file = file.resolve()
    if not file.is_relative_to(CHECKOUT):
        (folder / "sent").mkdir(exist_ok=True)
        shutil.copy(file, folder / "sent")
        return f"sent/{file.name}"
    inside = file.relative_to(CHECKOUT)
    top = inside.parts[0]
    if inside == Path(top):
        shutil.copy(file, folder)
    elif not (folder / top).exists():
        _copy(CHECKOUT / top, folder / top)
    return str(inside)


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))


def table(jobs: JobSubmissionClient) -> list[str]:
    """Return the lines that list all jobs, oldest first: name, status, start, duration, command."""
    lines = []
    for job in sorted(jobs.list_jobs(), key=lambda job: job.start_time or 0):
        if not job.submission_id:
            continue
        start = (job.start_time or 0) / 1000
        end = job.end_time / 1000 if job.end_time else time.time()
        minutes, seconds = divmod(int(max(0.0, end - start)), 60)
        span = f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{seconds:02d}s"
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start))
        lines.append(f"{job.submission_id:<34} {job.status.value:<9} {started} {span:>8}  {job.entrypoint}")
    return lines or ["no jobs"]


def describe(jobs: JobSubmissionClient, name: str) -> JobDetails:
    """Return a job's details.

    Raises:
        ClusterError: there is no such job.
    """
    try:
        return jobs.get_job_info(name)
    except RuntimeError:
        known = ", ".join(job.submission_id for job in jobs.list_jobs() if job.submission_id) or "none"
        raise ClusterError(f"there is no job {name}; there are: {known}") from None


def follow(jobs: JobSubmissionClient, name: str, write: Callable[[str], Any]) -> JobStatus:
    """Write a job's log as it grows until the job has ended; return how."""
    written = 0
    while True:
        # The status first: what was logged before the end is in the log that is read after it.
        status = describe(jobs, name).status
        log = jobs.get_job_logs(name)
        write(log[written:])
        written = len(log)
        if status in _ENDED:
            return status
        time.sleep(1)


def stop(jobs: JobSubmissionClient, name: str) -> JobStatus:
    """Ask a job to end as Ctrl-C would, and wait for it."""
    describe(jobs, name)
    jobs.stop_job(name)
    deadline = time.monotonic() + STOP_SECONDS + 10
    while (status := describe(jobs, name).status) not in _ENDED and time.monotonic() < deadline:
        time.sleep(0.5)
    return status
