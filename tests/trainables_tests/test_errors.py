"""trainables/errors.py: what a command says when memory runs out."""

import subprocess
import sys

import pytest
import tensorflow as tf

from tests.checkout import ROOT
from trainables.errors import out_of_memory, run_command

# As a full H100 gave it (`retrain` beside a process that held all of the card).
ALLOCATING = (
    "{{function_node __inference_<lambda>_11444}} OOM when allocating tensor with shape[64,147,147,64] and type float "
    "on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc\n"
    "\t [[{{node functional_1_1/conv2d_2_1/convolution}}]]\nHint: If you want to see a list of allocated "
    "tensors when OOM happens, add … [Op:__inference_<lambda>_11444]"
)
GPU_IS_FULL = [
    tf.errors.ResourceExhaustedError(None, None, ALLOCATING),
    tf.errors.ResourceExhaustedError(None, None, "failed to allocate memory [Op:AddV2]"),
    tf.errors.InternalError(None, None, "cudaSetDevice() on GPU:0 failed. Status: out of memory"),
    tf.errors.InternalError(None, None, "failed call to cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY"),
    tf.errors.InternalError(None, None, "failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED"),
    tf.errors.UnknownError(None, None, "Could not create cudnn handle: CUDNN_STATUS_ALLOC_FAILED"),
    tf.errors.FailedPreconditionError(None, None, "DNN library initialization failed. Look at the errors above"),
]


@pytest.mark.parametrize("error", GPU_IS_FULL)
def test_a_full_gpu_is_known_by_any_of_its_errors(error: Exception) -> None:
    line = out_of_memory(error)
    assert line is not None and line.startswith("out of memory on ") and "nvidia-smi" in line
    assert "\n" not in line and "{{" not in line and "[Op:" not in line


@pytest.mark.parametrize(
    "error",
    [
        ValueError("out of memory"),
        tf.errors.ResourceExhaustedError(None, None, "shard.tfrecord; No space left on device"),
        tf.errors.InvalidArgumentError(None, None, "Incompatible shapes: [2] vs. [3]"),
    ],
)
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    assert out_of_memory(error) is None
    with pytest.raises(type(error)):
        run_command(lambda: raising(error))


def raising(error: Exception) -> int:
    raise error


def test_a_command_on_a_full_gpu_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: raising(GPU_IS_FULL[0])) == 2
    assert capsys.readouterr().err == (
        "error: out of memory on GPU 0 (OOM when allocating tensor with shape[64,147,147,64] and type float on "
        "/job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc): end other programs on it (`nvidia-smi` "
        "lists them), take smaller batches or pictures, or use the CPU by CUDA_VISIBLE_DEVICES=-1\n"
    )


def test_what_tensorflow_cannot_hold_on_a_cpu_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: int(tf.zeros([1 << 20, 1 << 20, 64])[0, 0, 0])) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: out of memory on the CPU (OOM when allocating tensor with shape[1048576,1048576,64]")
    assert line.count("\n") == 1


def test_a_command_without_tensorflow_does_not_load_it_to_fail() -> None:
    code = (
        "import sys; from trainables.errors import run_command\n"
        "status = run_command(lambda: len(bytearray(1 << 60)))\n"
        "print(status, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "2 False\n"
    assert (
        done.stderr == "error: out of memory on this machine: end other programs, or take smaller batches or pictures\n"
    )


def test_a_system_that_is_not_supported_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert run_command(lambda: pytest.fail("nothing may begin")) == 2
    assert capsys.readouterr().err == "error: Raretune runs on Linux and macOS; on Windows, run it in WSL2\n"
