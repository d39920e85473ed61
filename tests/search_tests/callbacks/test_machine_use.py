"""search/callbacks/machine_use.py: processor, memory and GPUs in a few words."""

import re
import stat
from pathlib import Path

import pytest

from search.callbacks.machine_use import Gpu, MachineUse, nvidia_gpus, parse


def test_a_machine_without_gpus_tells_its_processor_and_memory() -> None:
    words = MachineUse(list).words()
    assert re.fullmatch(r"CPU \d+ %, memory \d+\.\d of \d+\.\d GB", words)


def test_each_gpu_is_told_with_its_memory() -> None:
    words = MachineUse(lambda: [Gpu(93, 6000, 80_000), Gpu(4, 500, 80_000)]).words()
    assert words.endswith(", GPU 93 %, 6.3 of 83.9 GB, GPU 1: 4 %, 0.5 of 83.9 GB")


def test_the_gpu_driver_is_not_asked_at_every_drawing() -> None:
    asked = []
    use = MachineUse(lambda: asked.append(1) or [])  # type: ignore[func-returns-value]
    assert use.words() == use.words()
    assert len(asked) == 1


def test_a_gpu_that_cannot_tell_its_use_is_left_out() -> None:
    assert parse("12, 345, 81559\n[N/A], 1, 2\n\n7\n") == [Gpu(12, 345, 81559)]


@pytest.fixture
def path_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "nvidia-smi"


@pytest.mark.parametrize(
    ("script", "found"), [("echo 50, 1024, 81559", [Gpu(50, 1024, 81559)]), ("echo no driver; exit 9", [])]
)
def test_nvidia_smi_is_asked_where_it_is_there(path_with: Path, script: str, found: list[Gpu]) -> None:
    assert nvidia_gpus() == []
    path_with.write_text(f"#!/bin/sh\n{script}\n")
    path_with.chmod(path_with.stat().st_mode | stat.S_IXUSR)
    assert nvidia_gpus() == found
