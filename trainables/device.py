"""Set TensorFlow up once per process: threads, GPU memory growth, quiet logs."""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

CPUINFO = Path("/proc/cpuinfo")
GPU_DRIVERS = (Path("/proc/driver/nvidia/gpus"), Path("/dev/kfd"))  # NVIDIA's, with an entry for each; AMD's.

# Where Ray hands out a GPU, because the driver is there, and TensorFlow sees none.
GPU_REMEDY = "install TensorFlow with CUDA there (on Linux: requirements-gpu.txt), or say resources.gpus_per_trial=0"


@cache
def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up chatter, let it take GPU memory as it needs it, and return the module.

    Its native code writes to stderr before its log level applies, which would bury our lines; a failing import still
    raises. Without growth the first op of a process takes all memory of a GPU, even one that only reads a file, and no
    other process fits beside it; it can be set only before that op.
    """
    with silent_stderr():
        import tensorflow as tf

        with suppress(RuntimeError):  # A caller's own TensorFlow has computed already, as that caller set it up.
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
    return tf


def prepare_tensorflow(threads: int | None = None, *, gpu: bool = True) -> Any:
    """Import TensorFlow, give it `threads` CPU threads (None: all cores), and return the module.

    Threads and devices can only be set before TensorFlow's first op; a process that is already warm keeps what it has.

    Args:
        gpu: whether this process may use the GPUs that it sees.
    """
    tf = import_tensorflow()
    with suppress(RuntimeError):  # Already initialised by an earlier trial in this warm process.
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)
        if not gpu:
            tf.config.set_visible_devices([], "GPU")
    return tf


def count_gpus() -> int:
    """Count the GPUs of this machine that TensorFlow sees, in a process of its own: this one stays without TensorFlow.

    Raises:
        RuntimeError: TensorFlow cannot be imported.
    """
    code = "import tensorflow as tf; print('GPUs', len(tf.config.list_physical_devices('GPU')))"
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    counts = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("GPUs ")]
    if not counts:
        raise RuntimeError(f"TensorFlow cannot be imported: {(done.stderr.strip().splitlines() or ['no word'])[-1]}")
    return int(counts[-1])


def device_name() -> str:
    """Name the device that this process trains on, for the records: a GPU's name, else the CPU's kind."""
    import tensorflow as tf

    gpus = tf.config.get_visible_devices("GPU")
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


def cpuinfo(name: str) -> str:
    """What the kernel says of the first core; empty where it says nothing."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def native_bfloat16() -> bool:
    """Whether this machine's processor computes in bfloat16."""
    return bool({"avx512_bf16", "amx_bf16"} & set(cpuinfo("flags").split()))


def fast_precision(gpu: bool = True) -> Literal["float32", "bfloat16"]:
    """What `precision: auto` means on this machine.

    bfloat16 where there is no GPU and the processor computes in it; else float32, which GPUs take for TF32 and which
    was the fastest on one (docs/performance.md).

    Args:
        gpu: whether a GPU would be used if there is one.
    """
    if gpu and any((place.is_dir() and any(place.iterdir())) or place.is_char_device() for place in GPU_DRIVERS):
        return "float32"
    return "bfloat16" if native_bfloat16() else "float32"


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def give_memory_back() -> None:
    """Return what was freed to the system: glibc keeps the room of small objects for the next ones, often for good."""
    gc.collect()
    with suppress(AttributeError, OSError):  # Another C library, or another system.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
