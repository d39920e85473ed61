"""The sub-commands about jobs; loaded only when one of them runs, because Ray takes a second to import."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ray.job_submission import JobSubmissionClient

from cluster import jobs
from cluster.errors import ClusterError
from cluster.launcher import dashboard


def submit(options: argparse.Namespace) -> int:
    """Send a sweep or another command."""
    return _send(options.words, options)


def resume(options: argparse.Namespace) -> int:
    """Send a driver that goes on with a sweep, as `python -m search resume` does.

    Raises:
        ClusterError: the experiment is not named as the cluster sees it.
    """
    experiment = options.experiment
    if not experiment.startswith("/") and "://" not in experiment:
        place = "a job has a working folder of its own; say where it lies on the cluster, from / on"
        raise ClusterError(f"experiment: {experiment} is not an absolute path; {place}")
    changes = [word for change in options.set for word in ("--set", change)]
    return _send(["resume", experiment, *changes], options)


def table(options: argparse.Namespace) -> int:
    """List all jobs."""
    with _client(options) as client:
        print("\n".join(jobs.table(client)))
    return 0


def status(options: argparse.Namespace) -> int:
    """Say how a job is doing; 1 when it failed."""
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
    if not options.cluster:
        yield jobs.client(options.address)
        return
    with dashboard(options.cluster) as address:
        yield jobs.client(address)


def _send(words: list[str], options: argparse.Namespace) -> int:
    with _client(options) as client:
        name = jobs.submit(client, words, jobs.Driver(options.cpus, options.gpus), options.name)
        print(f"job {name}", flush=True)
        return _follow(client, name) if options.follow else 0


def _follow(client: JobSubmissionClient, name: str) -> int:
    status = jobs.follow(client, name, _write)
    print(f"job {name}: {status.value}")
    return 0 if status.value == "SUCCEEDED" else 1


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
