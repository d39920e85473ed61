#!/usr/bin/env bash
# Ray starts its workers at nice 15 so that they give way to other programs; to those of other terminals they do not.
#
# Version        ray 2.60.0 on Linux with the scheduler's autogroups on (kernel.sched_autogroup_enabled is 1, the default of
#                Debian, Ubuntu and Fedora) and no CPU controller for the processes. Python 3.11. Needs a package index.
# Expected guess A worker at nice 15 that shares a core with a program at nice 0 gets some 4 % of it (weights 36 and 1024), so
#                that a sweep in the background leaves a desktop, a notebook or a measurement alone.
# Behaviour      Nice values are compared only within one session, such as that of Ray's driver. A
#                program of another session (another terminal, ssh login, systemd unit, notebook server) belongs to another
#                autogroup; groups share a core evenly, whatever nice value their processes have. The worker takes half
#                of the core and more.
# Remedy         Lower the group of Ray's processes, not the processes: `echo 15 > /proc/PID/autogroup` for the PID of any of
#                them (`systemd-run --scope -p CPUWeight=10` where units are at hand). renice changes nothing there.
#
# Output seen:
#   worker at nice 15, program of the same session: the worker has 4 % of the core
#   worker at nice 15, program of another session: the worker has 64 % of the core
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
[ "$(cat /proc/sys/kernel/sched_autogroup_enabled 2> /dev/null)" = 1 ] || { echo "no autogroups here" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check ray==2.60.0 || exit 2

cat > share.py <<'PYTHON'
import os
import subprocess
import sys
import time

import ray

SECONDS = 6
BURN = "import time, sys\nend = float(sys.argv[1])\nwhile time.time() < end: pass\nprint(time.process_time())"
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # Ray's processes and the programs inherit the one core.


def burn(end):
    """Compute until `end`; return this worker's nice value and the CPU seconds that it got."""
    before = time.process_time()
    while time.time() < end:
        pass
    return os.getpriority(os.PRIO_PROCESS, 0), time.process_time() - before


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
worker = ray.remote(num_cpus=1)(burn)
ray.get(worker.remote(0))  # The process is there.
parts = []
for another in (False, True):
    end = time.time() + SECONDS
    own = worker.remote(end)
    command = [sys.executable, "-c", BURN, str(end)]
    program = subprocess.run(command, capture_output=True, text=True, start_new_session=another, check=True)
    nice, seconds = ray.get(own)
    parts.append(seconds / (seconds + float(program.stdout)))
    whose = "another" if another else "the same"
    print(f"worker at nice {nice}, program of {whose} session: the worker has {parts[-1]:.0%} of the core", flush=True)
sys.exit(0 if parts[0] < 0.15 and parts[1] > 0.35 else 1)
PYTHON
environment/bin/python share.py
