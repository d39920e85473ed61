"""Use of this machine's processor, memory and GPUs, in a few words."""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psutil

_SECONDS_BETWEEN_LOOKS = 5.0
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits")


class Gpu(NamedTuple):
    """One GPU: per cent of the last moments in which it computed; memory in MiB."""

    percent: float
    used: float
    total: float


class MachineUse:
    """Looks every few seconds at most, because asking the GPU driver takes a tenth of a second.

    `gpus` is how to ask for GPUs (nvidia-smi unless given).
    """

    def __init__(self, gpus: Callable[[], Sequence[Gpu]] | None = None) -> None:
        self._gpus = gpus or nvidia_gpus
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._words = ""
        psutil.cpu_percent()  # Begins the interval that the first look reports on.

    def words(self) -> str:
        """Such as "CPU 87 %, memory 5.1 of 23.5 GB, GPU 93 %, 6.1 of 80.0 GB"."""
        now = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked = now
            memory = psutil.virtual_memory()
            cpu = f"CPU {psutil.cpu_percent():.0f} %, memory {_of(memory.total - memory.available, memory.total)}"
            gpus = [
                f"{f'GPU {number}:' if number else 'GPU'} {gpu.percent:.0f} %, "
                f"{_of(gpu.used * 2**20, gpu.total * 2**20)}"
                for number, gpu in enumerate(self._gpus())
            ]
            self._words = ", ".join([cpu, *gpus])
        return self._words


def nvidia_gpus() -> list[Gpu]:
    """Ask nvidia-smi; no GPUs where it is missing or does not answer."""
    if shutil.which(_NVIDIA_SMI[0]) is None:
        return []
    try:
        reported = subprocess.run(_NVIDIA_SMI, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse(reported)


def parse(reported: str) -> list[Gpu]:
    """Read nvidia-smi's lines; a GPU that cannot tell its use ("[N/A]", as a MIG slice) is left out."""
    gpus = []
    for line in reported.splitlines():
        try:
            gpus.append(Gpu(*(float(field) for field in line.split(","))))
        except (ValueError, TypeError):
            continue
    return gpus


def _of(used: float, total: float) -> str:
    return f"{used / 1e9:.1f} of {total / 1e9:.1f} GB"
