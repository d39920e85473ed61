"""Ray Tune trainable of one trial; its process stays warm between trials."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.experimental import internal_kv

from trainables.config import AWS_CREDENTIALS, CREDENTIALS_PLACE, RunSettings, TrialConfig
from trainables.device import GPU_REMEDY, device_name, prepare_tensorflow
from trainables.errors import OutOfMemory, UserError, out_of_memory
from trainables.network.backbones import Weights
from trainables.training.checkpoint import Checkpoints
from trainables.training.fine_tune import FineTuning, Result
from trainables.training.folds import FoldedTuning

# One per process: Ray hands a finished trial's actor to the next trial, which finds all of this still warm.
_WORKERS: dict[tuple[str, Path], Any] = {}


class FineTuneTrial(tune.Trainable):
    """Fine-tunes one configuration; a step is an epoch.

    `config` holds all fields of `TrialConfig`, and under "run" a `RunSettings`.

    It keeps its own checkpoints, and not Ray's: a driver that begins the trial again, this one after a lost worker or
    another one after this one was killed, needs to know nothing of what happened before.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a trial, or go on from its newest whole checkpoint; warm this process up if it is the first."""
        with memory_errors():
            self._set_up(config)

    def _set_up(self, config: dict[str, Any]) -> None:
        started = time.monotonic()
        run: RunSettings = config["run"]
        values = TrialConfig.model_validate({name: value for name, value in config.items() if name != "run"})
        self._worker = warm_worker(run)
        self._weights: Weights = self._worker.weights(values)
        from trainables.probe.head_start import start_run  # It loads scikit-learn's models.

        self._run: FineTuning | FoldedTuning = start_run(self._worker, values, run.plan)
        self._checkpoints = Checkpoints(run.checkpoint_dir, run.checkpoint_every)
        checkpoint, self._note = self._checkpoints.newest()
        self._again = checkpoint.unheard(run.known_epochs) if checkpoint else []
        self._results = [*checkpoint.earlier, checkpoint.result] if checkpoint else []
        if checkpoint is not None:
            self._run.load(checkpoint.state)
        self._cost: Result = {}
        if run.cost is not None:
            # A trial keeps the cost that it began with, also where another machine goes on with it.
            before = self._results[-1] if self._results else {}
            self._cost = {run.cost: before.get(run.cost) or self._worker.cost(run.cost, values)}
        self._setup_seconds = time.monotonic() - started

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin the next trial in this process."""
        self.setup(new_config)
        return True

    def step(self) -> Result:
        """Train for one epoch; the contract's metrics of one epoch, where it ran and what it cost.

        The first steps after a checkpoint train nothing: they give the results of the epochs that the driver did not
        know of when the trial began, and the checkpoint's own in any case, which may not have been received.

        `setup_seconds` stands in a trial's first epoch and is 0 later; `store_rows`, `store_filled`,
        `store_filled_bytes` and `store_fill_seconds` are this epoch's `features.StoreUse`.
        """
        result = self._again.pop(0) if self._again else self._next_epoch()
        note, self._note = self._note, ""
        return {**result, "checkpoint_note": note}

    def _next_epoch(self) -> Result:
        with memory_errors():
            metrics = self._run.run_epoch()
        setup, self._setup_seconds = self._setup_seconds, 0.0
        result = {
            **metrics,
            **self._cost,
            "setup_seconds": setup,
            **{f"store_{name}": value for name, value in asdict(self._worker.store_use.take()).items()},
            "host": socket.gethostname(),
            "device": device_name(),
            "weights": asdict(self._weights),
            "uncached": self._worker.fallback() or "",
        }
        if self._checkpoints.due(result):
            self._note = self._note or self._checkpoints.write(self._run.state(), result, self._results)
        self._results.append(result)
        return result


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn errors about memory, TensorFlow's and Python's, into ours."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error) is None:
            raise
        where = "this machine" if isinstance(error, MemoryError) else device_name()
        first_line = str(getattr(error, "message", error)).strip().partition("\n")[0]
        raise OutOfMemory(f"out of memory on {where}: {first_line or type(error).__name__}") from error


def _may_use_gpu() -> bool:
    """Whether Ray gave this process a GPU, or a part of one; outside Ray it may use any.

    Ray hides the other GPUs from a process that asked for one, but none from a process that asked for none.
    """
    return not _is_ray_worker() or _was_given_gpu()


def _was_given_gpu() -> bool:
    return _is_ray_worker() and bool(ray.get_runtime_context().get_assigned_resources().get("GPU", 0))


def _is_ray_worker() -> bool:
    return bool(ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def take_credentials() -> None:
    """Put what the driver handed on (search/tune/credentials.py) into the environment, unless there are some in it."""
    if not ray.is_initialized() or any(name in os.environ for name in AWS_CREDENTIALS):
        return
    job = ray.get_runtime_context().get_job_id().encode()
    content = internal_kv._internal_kv_get(CREDENTIALS_PLACE, namespace=job)
    if content is not None:
        os.environ.update(json.loads(content))


def warm_worker(run: RunSettings) -> Any:
    """Return this process's worker on a dataset and its store, with what earlier trials left warm in it."""
    key = run.dataset, run.store
    take_credentials()
    if key not in _WORKERS:
        tensorflow = prepare_tensorflow(run.threads, gpu=_may_use_gpu())
        if _was_given_gpu() and not tensorflow.config.list_physical_devices("GPU"):
            where = f"resources: on {socket.gethostname()} a trial was given a GPU, and TensorFlow sees none"
            raise UserError(f"{where}; {GPU_REMEDY}")
        from trainables.data.dataset import open_dataset_at
        from trainables.training.worker import Worker

        dataset = open_dataset_at(run.dataset, run.store)
        _WORKERS[key] = Worker(dataset, run.store, run.store_bytes, run.threads)
    return _WORKERS[key]
