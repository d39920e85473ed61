import subprocess
import sys

from tests.checkout import ROOT


def test_importing_tensorflow_says_nothing_and_keeps_what_follows() -> None:
    code = "import sys, trainables.device as d; d.prepare_tensorflow(1); print('x', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "x\n"
    assert done.stdout == ""


def test_threads_are_set_before_the_first_op() -> None:
    code = (
        "from trainables.device import prepare_tensorflow; tf = prepare_tensorflow(1); tf.constant(1) + 1\n"
        "assert tf.config.threading.get_intra_op_parallelism_threads() == 1\n"
        "prepare_tensorflow(2)"  # A warm process keeps what it has, without an error.
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
