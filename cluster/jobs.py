"""Sweeps as jobs of a cluster, which outlive the laptop."""

import argparse
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from cluster.launcher import ClusterError, dashboard, one_line
from cluster.submit import command

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("search", "trainables", "cluster", "analysis")

# A sweep ends cleanly on Ctrl-C: its trials are accounted for, best.json is written. Ray's own way is SIGTERM and 3 s.
STOP_SECONDS = 60

_ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED)


def submit(options: argparse.Namespace) -> int:
    """Send a sweep or another command; with --follow, show its log and return 1 unless it succeeds."""
    with connected(options) as client:
        name = send(client, options.words, options.name, options.cpus, options.gpus, options.doctor)
        print(f"job {name}", flush=True)
        return follow(client, name) if options.follow else 0


def resume(options: argparse.Namespace) -> int:
    """Send a driver that resumes a sweep, as `python -m search resume` does.

    Raises:
        ClusterError: the experiment's path is relative.
    """
    experiment = options.experiment
    if not experiment.startswith("/") and "://" not in experiment:
        place = "a job has a working folder of its own; say where it lies on the cluster, from / on"
        raise ClusterError(f"experiment: {experiment} is not an absolute path; {place}")
    options.words = ["resume", experiment, *(word for change in options.set for word in ("--set", change))]
    return submit(options)


def table(options: argparse.Namespace) -> int:
    """List all jobs, oldest first: name, status, start, duration, command."""
    with connected(options) as client:
        named = [job for job in client.list_jobs() if job.submission_id]
    for job in sorted(named, key=lambda job: job.start_time or 0):
        start = (job.start_time or 0) / 1000
        end = job.end_time / 1000 if job.end_time else time.time()
        minutes, seconds = divmod(int(max(0.0, end - start)), 60)
        span = f"{minutes // 60}h{minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m{seconds:02d}s"
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start))
        print(f"{job.submission_id:<34} {job.status.value:<9} {started} {span:>8}  {job.entrypoint}")
    if not named:
        print("no jobs")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print a job's status and command; return 1 when it failed."""
    with connected(options) as client:
        job = describe(client, options.job)
    print(f"{job.status.value}: {job.entrypoint}")
    if job.message:
        print(job.message)
    return 1 if job.status is JobStatus.FAILED else 0


def logs(options: argparse.Namespace) -> int:
    """Show a job's log, with --follow until its end."""
    with connected(options) as client:
        if options.follow:
            return follow(client, options.job)
        describe(client, options.job)
        print(client.get_job_logs(options.job), end="", flush=True)
    return 0


def stop(options: argparse.Namespace) -> int:
    """Ask a job to end as Ctrl-C would, and wait for it."""
    with connected(options) as client:
        describe(client, options.job)
        client.stop_job(options.job)
        deadline = time.monotonic() + STOP_SECONDS + 10
        while (status := describe(client, options.job).status) not in _ENDED and time.monotonic() < deadline:
            time.sleep(0.5)
    print(f"job {options.job}: {status.value}")
    return 0


@contextmanager
def connected(options: argparse.Namespace) -> Iterator[JobSubmissionClient]:
    """Yield a client of the cluster whose file is `options.cluster` or whose dashboard is at `options.address`.

    Raises:
        ClusterError: nothing answers there, or the token is refused.
    """
    with dashboard(options.cluster) if options.cluster else nullcontext(options.address) as address:
        try:
            client = JobSubmissionClient(address)
        except Exception as error:
            why = f"{one_line(error)}; is its dashboard forwarded?"
            raise ClusterError(f"no cluster answers at {address}: {why}") from None
        yield client


def send(
    jobs: JobSubmissionClient,
    arguments: Sequence[str],
    name: str | None = None,
    cpus: float = 0,
    gpus: float = 0,
    doctor: Sequence[str] | None = None,
) -> str:
    """Send a command (see `cluster.submit.command`) with the packages and files that it needs; return the job's name.

    The job's own process gets `cpus` and `gpus`: a sweep's driver needs none, the final stage cores and a GPU.

    Args:
        doctor: options of the doctor, which then examines the cluster first; where it finds a problem, the job fails.

    Raises:
        ClusterError: the sweep file or script is missing, or the cluster refuses the job, such as for its name.
    """
    environment = {
        # A sweep joins the cluster with a runtime environment of its own, made of this one's working_dir.
        "RAY_OVERRIDE_JOB_RUNTIME_ENV": "1",
        "RAY_JOB_STOP_SIGNAL": "SIGINT",
        "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
    }
    if arguments[0].endswith((".py", ".yaml", ".yml")) and not Path(arguments[0]).is_file():
        raise ClusterError(f"{arguments[0]} is not a file here")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for package in PACKAGES:
            _copy(CHECKOUT / package, folder / package)
        shutil.copy(CHECKOUT / "requirements.txt", folder)
        entrypoint = shlex.join(command([_bring(word, folder) for word in arguments], "python"))
        if doctor is not None:  # `exec`: the job's signal to end must reach the command itself.
            entrypoint = f"{shlex.join(['python', '-m', 'cluster', 'doctor', *doctor])} && exec {entrypoint}"
        try:
            return str(
                jobs.submit_job(
                    entrypoint=entrypoint,
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


def _bring(word: str, folder: Path) -> str:
    """Copy the file that a word of the command names into `folder`; return the word for there.

    A file of the checkout keeps its place (and its folder comes along); one from elsewhere goes to `sent/`. A path
    that is not here, such as an experiment on the cluster's storage, stays as it is.
    """
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


def follow(jobs: JobSubmissionClient, name: str) -> int:
    """Print a job's log as it grows until the job has ended; return 1 unless it succeeded."""
    written = 0
    while True:
        # The status first: what was logged before the end is in the log that is read after it.
        status = describe(jobs, name).status
        log = jobs.get_job_logs(name)
        print(log[written:], end="", flush=True)
        written = len(log)
        if status in _ENDED:
            break
        time.sleep(1)
    print(f"job {name}: {status.value}")
    return 0 if status is JobStatus.SUCCEEDED else 1
