import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from trainables import device
from trainables.device import count_gpus

CODE = """
import sys
from pathlib import Path
from trainables.device import prepare_tensorflow
tf = prepare_tensorflow(1)
print("x", file=sys.stderr)
tf.constant(1) + 1
prepare_tensorflow(2)  # A warm process keeps what it has, without an error.
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.fixture(scope="module")
def done() -> subprocess.CompletedProcess[str]:
    """A process that loads TensorFlow, which takes seconds, and computes with it."""
    return subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT, check=True)


def test_importing_tensorflow_says_nothing_and_keeps_what_follows(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr == "x\n"


def test_threads_are_set_before_the_first_op(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stdout == "1\n"


FAKE = """
class Config:
    def __init__(self):
        self.threading = self.experimental = self
        self.computed = False
    def list_physical_devices(self, kind):
        return [kind + "0", kind + "1"]
    def set_memory_growth(self, gpu, grows):
        if self.computed:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        print("growth", gpu, grows)
    def set_visible_devices(self, devices, kind):
        print("visible", kind, devices)
    def set_intra_op_parallelism_threads(self, threads):
        print("threads", threads)
    set_inter_op_parallelism_threads = set_intra_op_parallelism_threads

config = Config()
"""


def with_fake_gpus(folder: Path, code: str) -> list[str]:
    """What this code says where TensorFlow has two GPUs, and nothing else."""
    (folder / "tensorflow.py").write_text(FAKE)
    path = os.pathsep.join([str(folder), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=True
    )
    return done.stdout.splitlines()


GROWTH = ["growth GPU0 True", "growth GPU1 True"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("import_tensorflow(); import_tensorflow()", GROWTH),
        ("prepare_tensorflow()", GROWTH),
        ("prepare_tensorflow(2, gpu=False)", [*GROWTH, "threads 2", "threads 2", "visible GPU []"]),
        ("import tensorflow as tf; tf.config.computed = True; import_tensorflow()", []),
    ],
)
def test_whoever_imports_tensorflow_leaves_room_on_the_gpus(tmp_path: Path, call: str, said: list[str]) -> None:
    code = f"from trainables.device import import_tensorflow, prepare_tensorflow; {call}"
    assert with_fake_gpus(tmp_path, code) == said


def test_a_process_that_only_reads_shards_leaves_room_on_the_gpus(tmp_path: Path) -> None:
    """It held all of an H100 for as long as it ran, and what trained beside it ran out of memory."""
    code = "from trainables.data.shards import decode_example\ntry: decode_example(b'')\nexcept AttributeError: pass"
    assert with_fake_gpus(tmp_path, code) == GROWTH


def test_tensorflow_itself_is_told_before_any_of_our_modules_imports_it() -> None:
    code = "import os, trainables.network.backbones; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "true\n"


@pytest.mark.parametrize(
    ("flags", "gpus", "use_gpu", "precision"),
    [
        ("fma avx512_bf16 avx512f", 0, True, "bfloat16"),
        ("amx_bf16", 0, True, "bfloat16"),
        ("fma avx512f", 0, True, "float32"),
        ("avx512_bf16", 1, True, "float32"),
        ("avx512_bf16", 1, False, "bfloat16"),
    ],
)
def test_the_fast_precision_is_bfloat16_where_the_processor_has_it_and_no_gpu_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, gpus: int, use_gpu: bool, precision: str
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: One\nflags\t\t: {flags}\n")
    (tmp_path / "gpus").mkdir()
    for number in range(gpus):
        (tmp_path / "gpus" / f"0000:0{number}:00.0").mkdir()
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(device, "GPU_DRIVERS", (tmp_path / "gpus", tmp_path / "absent"))
    assert device.fast_precision(use_gpu) == precision


def test_the_gpus_that_tensorflow_sees_are_counted_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        given.update(options)
        return subprocess.CompletedProcess(words, 0, given["said"], "no module\nnamed tensorflow\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # As Ray sets it in some of its processes.
    given["said"] = "GPUs 2\n"
    assert count_gpus() == 2 and "CUDA_VISIBLE_DEVICES" not in given["env"]
    given["said"] = ""
    with pytest.raises(RuntimeError, match="TensorFlow cannot be imported: named tensorflow"):
        count_gpus()
