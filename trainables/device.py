"""Set TensorFlow up once per process: threads, GPU memory growth, quiet logs."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up chatter and return the module.

    Its native code writes to stderr before its log level applies, which would bury our lines; a failing import still
    raises.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    with silent_stderr():
        import tensorflow as tf
    return tf


def prepare_tensorflow(threads: int | None = None) -> Any:
    """Import TensorFlow, give it `threads` CPU threads (None: all cores), and return the module.

    Threads and memory growth can only be set before TensorFlow's first op; a process that is already warm keeps
    what it has.
    """
    tf = import_tensorflow()
    try:
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        for gpu in tf.config.list_physical_devices("GPU"):
            # Without growth the first trial on a device takes all its memory, and no second one fits beside it.
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:
        pass  # Already initialised by an earlier trial in this warm process.
    return tf


def device_name() -> str:
    """Name the device that this process trains on, for the records: a GPU's name, else the CPU's kind."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return str(details.get("device_name", "GPU"))
    return "CPU"


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Send what native code writes to file descriptor 2 to nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
