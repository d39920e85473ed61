#!/usr/bin/env bash
# `purge_step` at a run's first resume hides nothing in a TensorBoard without its data server: steps are shown twice.
#
# Version        tensorboard 2.21.0 with tensorboard-data-server 0.7.2 and tensorboardX 2.6.5, Python 3.11 on Linux.
#                Needs a package index.
# Expected guess `SummaryWriter(folder, purge_step=N)`, of tensorboardX as of PyTorch, hides what an interrupted session
#                wrote at step N and later, as its documentation says, in each TensorBoard that reads the folder.
# Behaviour      So it is with the data server (`--load_fast=true`, the default where there is a binary) and with
#                EventAccumulator. TensorBoard's own Python reader (`--load_fast=false`; the only one where the data
#                server has no binary, such as on Windows and Apple silicon, and for s3:// folders) takes a run's first
#                START event for the run's beginning and purges only from the second on. A session without `purge_step`
#                writes no START, so the one of the first resume is the run's first: the steps of both sessions stay,
#                and those below the step of the next resume stay for good.
# Remedy         Give the first session a `purge_step` too, 0: then a START stands at the run's beginning.
#
# Output seen:
#   steps after a resume at step 3:
#       EventAccumulator:  [0, 1, 2, 3, 4, 5, 6, 7]
#       load_fast=true:    [0, 1, 2, 3, 4, 5, 6, 7]
#       load_fast=false:   [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7]
#   after a second one, at step 5:
#       EventAccumulator:  [0, 1, 2, 3, 4, 5, 6, 7, 8]
#       load_fast=true:    [0, 1, 2, 3, 4, 5, 6, 7, 8]
#       load_fast=false:   [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8]
#   after a resume at step 3, with purge_step=0 in the first session:
#       EventAccumulator:  [0, 1, 2, 3, 4, 5, 6, 7]
#       load_fast=true:    [0, 1, 2, 3, 4, 5, 6, 7]
#       load_fast=false:   [0, 1, 2, 3, 4, 5, 6, 7]
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check tensorboard==2.21.0 tensorboard-data-server==0.7.2 \
    tensorboardX==2.6.5 || exit 2
environment/bin/python -c 'import tensorboard_data_server as s; raise SystemExit(s.server_binary() is None)' || exit 2

cat > resume.py <<'PYTHON'
import json
import logging
import sys
import time
import urllib.error
import urllib.request

from tensorboard import program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

logging.disable(logging.WARNING)


def session(folder, first, end, purge_step):
    """Train from step `first` up to `end`."""
    writer = SummaryWriter(folder, purge_step=purge_step)
    for step in range(first, end):
        writer.add_scalar("loss", 1 / (1 + step), step)
    writer.close()
    time.sleep(1.1)  # The names of event files are in seconds.


def shown(folder, load_fast):
    """The steps of the curve that a TensorBoard of this process serves to a browser."""
    board = program.TensorBoard()
    board.configure(argv=[None, "--logdir", folder, "--load_fast", load_fast, "--port", "0"])
    address = board.launch()
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{address}data/plugin/scalars/scalars?run=.&tag=loss") as answer:
                return [int(step) for _, step, _ in json.load(answer)]
        except urllib.error.HTTPError:  # It has not read the files yet.
            time.sleep(0.1)
    print("TensorBoard did not read the files", file=sys.stderr)
    sys.exit(2)


def steps(folder):
    read = [event.step for event in EventAccumulator(folder).Reload().Scalars("loss")]
    served = {load_fast: shown(folder, load_fast) for load_fast in ("true", "false")}
    print(f"    EventAccumulator:  {read}")
    for load_fast, seen in served.items():
        print(f"    load_fast={load_fast + ':':8} {seen}", flush=True)
    return read, served["true"], served["false"]


session("run", 0, 6, None)
session("run", 3, 8, 3)
print("steps after a resume at step 3:")
first = steps("run")
session("run", 5, 9, 5)
print("after a second one, at step 5:")
second = steps("run")
session("remedy", 0, 6, 0)
session("remedy", 3, 8, 3)
print("after a resume at step 3, with purge_step=0 in the first session:")
remedy = steps("remedy")

once, twice = [*range(8)], [*range(6), *range(3, 8)]
as_described = (
    first == (once, once, twice)
    and second == ([*range(9)], [*range(9)], [0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8])
    and remedy == (once, once, once)
)
sys.exit(0 if as_described else 1)
PYTHON
environment/bin/python resume.py
