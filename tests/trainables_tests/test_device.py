import subprocess
import sys

import pytest

from tests.checkout import ROOT

CODE = """
import sys
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
