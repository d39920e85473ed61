"""The sub-commands about jobs; a module apart because importing Ray takes a second."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

from ray.job_submission import JobSubmissionClient

from cluster import jobs
from cluster.errors import ClusterError
from cluster.launcher import dashboard

_write = partial(print, end="", flush=True)


def submit(options: argparse.Namespace) -> int:
    """Send a sweep or another command; with --follow, show its log and return 1 unless it succeeds."""
    with _client(options) as client:
        name = jobs.submit(client, options.words, options.name, options.cpus, options.gpus)
        print(f"job {name}", flush=True)
        return _follow(client, name) if options.follow else 0


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
    """List all jobs."""
    with _client(options) as client:
        print("\n".join(jobs.table(client)))
    return 0


def status(options: argparse.Namespace) -> int:
    """Print a job's status and command; return 1 when it failed."""
    with _client(options) as client:
        job = jobs.describe(client, options.job)
    print(f"{job.status.value}: {job.entrypoint}")
    if job.message:
        print(job.message)
    return 1 if job.status.value == "FAILED" else 0


def logs(options: argparse.Namespace) -> int:
    """Show a job's log, with --follow until its end."""
    with _client(options) as client:
        if options.follow:
            return _follow(client, options.job)
        jobs.describe(client, options.job)
        _write(client.get_job_logs(options.job))
    return 0


def stop(options: argparse.Namespace) -> int:
    """End a job as Ctrl-C would."""
    with _client(options) as client:
        print(f"job {options.job}: {jobs.stop(client, options.job).value}")
    return 0


@contextmanager
def _client(options: argparse.Namespace) -> Iterator[JobSubmissionClient]:
    with dashboard(options.cluster) if options.cluster else nullcontext(options.address) as address:
        yield jobs.client(address)


def _follow(client: JobSubmissionClient, name: str) -> int:
    status = jobs.follow(client, name, _write)
    print(f"job {name}: {status.value}")
    return 0 if status.value == "SUCCEEDED" else 1
