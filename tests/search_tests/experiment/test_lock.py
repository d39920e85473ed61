"""search/experiment/lock.py: one driver per experiment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from search.experiment.lock import driving
from tests.checkout import ROOT
from trainables.errors import UserError

HOLDER = """
import sys, time
from pathlib import Path
from search.experiment.lock import driving
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
