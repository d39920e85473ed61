"""search/experiment/lease.py: one driver for a folder, and for what lies at a URL."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from search.experiment import lease
from search.experiment.lease import LeaseLost, check_free, driving, read_lease, release, renew, take
from tests.checkout import ROOT
from trainables.errors import UserError
from trainables.files.bucket import Bucket, open_bucket


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> Bucket:
    return open_bucket(f"memory://lease/{request.node.name}")


def age(bucket: Bucket, seconds: float) -> None:
    found = read_lease(bucket)
    assert found is not None
    lease._write(bucket, replace(found, renewed=found.renewed - seconds))


def test_one_that_is_fresh_keeps_others_out_and_says_whose_it_is_and_for_how_long(bucket: Bucket) -> None:
    take(bucket)
    age(bucket, 100)
    line = (
        rf"^experiment: {bucket.url} is being run by process {os.getpid()} on {socket.gethostname()}; "
        r"wait for it, or stop it \(if it has died, the experiment is free in (49|50) s\)$"
    )
    with pytest.raises(UserError, match=line):
        take(bucket)


def test_one_that_is_stale_or_was_let_go_is_taken_over(bucket: Bucket) -> None:
    first = take(bucket)
    age(bucket, lease.FRESH_SECONDS + 1)
    second = take(bucket)
    release(bucket, second)
    third = take(bucket)
    assert len({first.session, second.session, third.session}) == 3


def test_the_driver_that_lost_it_hears_so_at_its_next_renewal_and_does_not_take_it_back(bucket: Bucket) -> None:
    first = take(bucket)
    age(bucket, lease.FRESH_SECONDS + 1)
    second = take(bucket)
    with pytest.raises(LeaseLost, match=rf"was taken over by process {os.getpid()} on "):
        renew(bucket, first)
    renew(bucket, second)
    found = read_lease(bucket)
    assert found is not None and found.session == second.session


def test_renewing_makes_it_fresh_again(bucket: Bucket) -> None:
    own = take(bucket)
    age(bucket, 100)
    renew(bucket, own)
    found = read_lease(bucket)
    assert found is not None and time.time() - found.renewed < 10


def test_a_driver_that_is_known_to_be_no_more_keeps_nobody_out(bucket: Bucket) -> None:
    dead = take(bucket)
    assert check_free(bucket, dead.session) == read_lease(bucket)
    take(bucket, dead.session)


def test_a_clock_that_is_ahead_makes_no_note_last_longer(bucket: Bucket) -> None:
    take(bucket)
    age(bucket, -3600)
    with pytest.raises(UserError, match=rf"free in {lease.FRESH_SECONDS} s"):
        check_free(bucket)


def test_a_note_that_cannot_be_read_is_none(bucket: Bucket) -> None:
    bucket.put(b"{", lease.LEASE)
    assert read_lease(bucket) is None
    take(bucket)


HOLDER = """
import sys, time
from pathlib import Path
from search.experiment.lease import driving
with driving(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_driver_is_refused_and_told_of_the_first_until_that_dies_however_it_does(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"is being run by process {first.pid} on "), driving(tmp_path):
            pytest.fail("two at once")
        os.kill(first.pid, signal.SIGKILL)
    with driving(tmp_path):
        pass
    with driving(tmp_path):
        pass


def test_what_a_killed_driver_was_writing_is_removed_and_what_another_process_writes_is_not(tmp_path: Path) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    host, trial = socket.gethostname(), tmp_path / "trials" / "0003"
    trial.mkdir(parents=True)
    dead = [tmp_path / f".sweep.yaml.{host}-{killed.pid}", trial / f".trial.json.{host}-{killed.pid}"]
    living = [tmp_path / f".report.partial-{host}-{os.getppid()}", trial / f".trial.json.elsewhere-{killed.pid}"]
    for file in dead + living:
        file.touch()
    with driving(tmp_path):
        assert [file.exists() for file in dead + living] == [False, False, True, True]
