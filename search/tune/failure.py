"""Failures of trials and of the sweep, read from Ray's errors."""

import builtins
import re
import shlex
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import ray.cloudpickle
from ray.exceptions import RayActorError, RayTaskError
from ray.tune import TuneError
from ray.tune.experiment import Trial

from search.study.storage import LOCKED, is_locked, root_cause
from trainables.errors import OutOfMemory, TrialFailed, UserError
from trainables.files.experiment import DRIVER_ERROR_FILE, STUDY_FILE

# Ray keeps of an exception in an actor's creation only the text of its traceback.
_LAST_LINE = re.compile(r"(?:[\w.]+\.)?(?P<kind>\w+): (?P<message>.*)")
# What a machine lacks, and no configuration mends: room on its disk, a file, a package.
_OF_THE_MACHINE = {
    *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, OSError)),
    *("ImportError", "ModuleNotFoundError"),
}
_DISK = re.compile(r"No space left on device|Read-only file system|Disk quota exceeded", re.IGNORECASE)
_NAMED = re.compile(r"(['\"]).*?\1|/\S+|\b0x[0-9a-f]+\b|\d{3,}")
_MEMORY = re.compile(r"[\d.]+GB used / [\d.]+GB limit")


def how_to_go_on(experiment: Path) -> str:
    """Return the words that tell a user what to do after a sweep broke off."""
    return f"nothing is lost: `python -m search resume {shlex.quote(str(experiment))}` goes on"


@dataclass(frozen=True)
class Failure:
    """`reason` is one line, `details` the whole traceback; a lost worker is worth another try.

    `out_of_memory` is worth one where the device, or of a lost worker the machine, was shared. `ends_sweep` says that
    every trial would fail alike. `outside` is the reason without the names of files, where it lies outside of the
    trial's configuration; "" where it may not.
    """

    reason: str
    details: str = field(default="", compare=False)
    worker_lost: bool = False
    ends_sweep: bool = False
    out_of_memory: bool = False
    outside: str = field(default="", compare=False)


def read_failure(trial: Trial) -> Failure:
    """Say what went wrong last with this trial: the error that Ray has just written into its folder on the driver.

    Not `Trial.get_pickled_error`: it reads from the storage folder, which is synchronised later.
    """
    file = trial.pickled_error_file
    error = ray.cloudpickle.loads(Path(file).read_bytes()) if file is not None and Path(file).exists() else None
    return describe(error if isinstance(error, Exception) else None, trial.num_failures)


def describe(error: Exception | None, times: int = 1) -> Failure:
    """Put an error of Ray's into words; `times` is how often the trial has failed."""
    if error is None:
        return Failure("it failed without leaving its error")
    details = str(error)
    if isinstance(error, RayActorError) and not getattr(error, "actor_init_failed", False):
        exit_type = re.search(r"Worker exit type: (\w+)", details)
        what = exit_type[1] if exit_type else details.strip().splitlines()[0]
        often = "" if times == 1 else f" {times} times"
        if getattr(error, "out_of_memory", False):
            memory = _MEMORY.search(details)
            used = f" ({memory[0]})" if memory else ""
            reason = f"its worker was lost{often}: Ray ended it, as its machine's memory was nearly full{used}"
            return Failure(reason, details, worker_lost=True, out_of_memory=True)
        return Failure(
            f"its worker was lost{often} ({what}): killed, crashed or out of memory", details, worker_lost=True
        )
    kind, message = _kind_and_message(error)
    if kind in (UserError.__name__, TrialFailed.__name__, OutOfMemory.__name__):
        crowded = kind == OutOfMemory.__name__
        return Failure(message, details, ends_sweep=kind == UserError.__name__, out_of_memory=crowded)
    reason = ": ".join(filter(None, [kind, message]))
    outside = kind in _OF_THE_MACHINE or _DISK.search(message)
    return Failure(reason, details, outside=_NAMED.sub("…", reason) if outside else "")


def broken_off(error: Exception, experiment: Path) -> str:
    """Say in one line that, and why, a sweep broke off, with the traceback in the experiment's driver_error.txt."""
    details = experiment / DRIVER_ERROR_FILE
    with suppress(OSError):  # The folder may be gone, or the disk full.
        details.write_text("".join(traceback.format_exception(error)))
    cause = root_cause(error)
    while isinstance(cause, TuneError) and cause.__context__ is not None:  # Ray's, made of another one's text.
        cause = root_cause(cause.__context__)
    kind, message = _kind_and_message(cause if isinstance(cause, Exception) else RuntimeError(str(cause)))
    why = f"{experiment / STUDY_FILE} is {LOCKED}" if is_locked(cause) else f"{kind}: {message}"
    return f"the sweep broke off: {why} (more in {details}); {how_to_go_on(experiment)}"


def _kind_and_message(error: Exception) -> tuple[str, str]:
    cause = error.cause if isinstance(error, RayTaskError) else None
    lines = [line.strip() for line in str(error if cause is None else cause).splitlines() if line.strip()] or [""]
    if cause is not None and not lines[0].endswith(":"):
        return type(cause).__name__, lines[0]
    # A traceback, or TensorFlow's "in user code:" with one below it: the last line says what happened.
    match = _LAST_LINE.fullmatch(lines[-1])
    return (match["kind"], match["message"]) if match else (type(cause or error).__name__, lines[-1])
