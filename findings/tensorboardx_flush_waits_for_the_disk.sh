#!/usr/bin/env bash
# tensorboardX's flush() waits until the disk has the events, and Ray Tune's default logger calls it for every result.
#
# Version        tensorboardX 2.6.5, tensorboard 2.21.0, ray[tune] 2.60.0, Python 3.11 on Linux. Needs a package index.
# Expected guess `flush()` of an event writer hands what is buffered to the system, as TensorBoard's own writer and a file's
#                flush do: a reader sees it, and nothing waits. So a driver that flushes after each result of each trial
#                pays some microseconds.
# Behaviour      tensorboardX's RecordWriter calls `os.fsync` in flush. 100 points with a flush each are 100 waits for the
#                disk, where TensorBoard's EventFileWriter has none. Ray Tune's TBXLoggerCallback, on by default, flushes
#                after each result of each trial, in the driver's only loop: one wait a result. Free on an idle SSD; on a
#                disk that trials fill with data it was 30 ms each here, and all trials' reports queue behind it.
# Remedy         Flush less often, or write the events with `tensorboard.summary.writer`; TUNE_DISABLE_AUTO_CALLBACK_LOGGERS=1
#                leaves Ray's loggers out.
#
# Output seen:
#   waits for the disk in 100 flushes: tensorboardX 100, tensorboard 0
#   waits for the disk in 100 results of one trial: Ray Tune 100
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 the script could not run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment || exit 2
environment/bin/pip install --quiet --disable-pip-version-check 'ray[tune]==2.60.0' tensorboardX==2.6.5 tensorboard==2.21.0 || exit 2

cat > count.py <<'PYTHON'
import os
import sys
import tempfile

waits = 0
real = os.fsync


def counted(descriptor):
    global waits
    waits += 1
    real(descriptor)


os.fsync = counted


def tensorboardx(folder):
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(folder)
    for step in range(100):
        writer.add_scalar("loss", 1.0 / (1 + step), step)
        writer.flush()
    return writer


def tensorboard(folder):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(folder)
    for step in range(100):
        value = Summary.Value(tag="loss", simple_value=1.0 / (1 + step))
        writer.add_event(Event(step=step, summary=Summary(value=[value])))
        writer.flush()
    return writer


def ray_tune(folder):
    from ray.tune.logger import TBXLoggerCallback

    class Trial:  # What the logger reads of one.
        trial_id, local_path, config = "a", folder, {"lr": 0.1}
        evaluated_params = config

        def init_local_path(self):
            pass

    trial = Trial()
    logger = TBXLoggerCallback()
    logger.log_trial_start(trial)
    for step in range(100):
        logger.log_trial_result(step, trial, {"training_iteration": step + 1, "timesteps_total": step, "loss": 1.0})
    return logger


with tempfile.TemporaryDirectory() as folder:
    kept = {"tensorboardX": tensorboardx, "tensorboard": tensorboard, "ray": ray_tune}[sys.argv[1]](folder)
    print(waits)
PYTHON

tensorboardx=$(environment/bin/python count.py tensorboardX 2> /dev/null) || exit 2
tensorboard=$(environment/bin/python count.py tensorboard 2> /dev/null) || exit 2
ray=$(environment/bin/python count.py ray 2> /dev/null) || exit 2
echo "waits for the disk in 100 flushes: tensorboardX $tensorboardx, tensorboard $tensorboard"
echo "waits for the disk in 100 results of one trial: Ray Tune $ray"
[ "$tensorboardx" -ge 100 ] && [ "$tensorboard" -eq 0 ] && [ "$ray" -ge 100 ] || exit 1
