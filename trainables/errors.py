"""Errors of a trial and of a user, on one line."""

import errno
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `--help` answers sooner without pydantic.
    from pydantic import BaseModel, ValidationError


class TrialFailed(Exception):
    """One trial cannot go on (non-finite loss, out of memory): it ends with this reason, the sweep goes on."""


class OutOfMemory(TrialFailed):
    """The device's memory did not suffice, at least not for this trial beside its neighbours."""


class UserError(Exception):
    """Nothing can go on (bad config, missing data, unreachable storage).

    The message is one line: the rule, the value, what would be valid. Commands print it and exit with status 2.
    """


# How TensorFlow's errors say that memory is gone: its allocators, and the libraries of a GPU that got no handle. A full
# disk has the type of the first (ResourceExhaustedError) too, but none of these words.
_NO_MEMORY = re.compile(
    r"\bOOM\b|out[ _]of[ _]memory|allocate|ALLOC_FAILED|NOT_INITIALIZED|BLAS support|DNN library initialization failed"
    r"|fail(ed|ure) to (create|initialize) cu",
    re.IGNORECASE,
)
# What pydantic puts beside the keys into the place of a problem: the kind that it tried, or that it means the key.
_KIND = re.compile(r"(int|float|str|bool|\[key\])$|(literal|dict|list|tuple|constrained|function)\b.*[\[(-]")
# What a person's disk, rights or names make the system refuse.
_REFUSED = (
    *(errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
    *(errno.EISDIR, errno.ENOTDIR, errno.ELOOP),
)
_DEVICE = re.compile(r"device:([CG]PU):(\d+)")


def run_command(main: Callable[[], int]) -> int:
    """Run a command's body; a `UserError`, or memory that ran out, becomes one line on stderr and exit status 2."""
    if sys.platform == "win32":  # The activation store's locks are those of Linux and macOS.
        print("error: Raretune runs on Linux and macOS; on Windows, run it in WSL2", file=sys.stderr)
        return 2
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
    except Exception as error:
        line = _of_a_file(error) or out_of_memory(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return 2


def _of_a_file(error: Exception) -> str | None:
    """Return what the system refuses about a file or disk, on one line; None for an error that may be our own."""
    if not isinstance(error, OSError) or error.errno not in _REFUSED:
        return None
    where = str(error.filename or "a file")
    return f"{where if len(where) <= 200 else f'{where[:197]}…'}: {error.strerror}"


def out_of_memory(error: BaseException) -> str | None:
    """Return what ran out, where and what helps, on one line; None for an error that is not about memory.

    It knows TensorFlow's errors by their names: a command that does not use TensorFlow must not import it to fail.
    """
    if isinstance(error, MemoryError):
        more = f" ({message_of(error)})" if str(error) else ""
        return f"out of memory on this machine{more}: end other programs, or take smaller batches or pictures"
    text = str(getattr(error, "message", error))
    if not type(error).__module__.startswith("tensorflow.") or not _NO_MEMORY.search(text):
        return None
    device = _DEVICE.search(text)
    what = re.sub(r"\{\{.*?\}\}|\[Op:.*?\]", "", text.strip().splitlines()[0]).strip()
    if device and device[1] == "CPU":
        return f"out of memory on the CPU ({what}): end other programs, or take smaller batches or pictures"
    where = f"GPU {device[2]}" if device else "the GPU"
    remedy = "end other programs on it (`nvidia-smi` lists them), take smaller batches or pictures"
    return f"out of memory on {where} ({what}): {remedy}, or use the CPU by CUDA_VISIBLE_DEVICES=-1"


def message_of(error: BaseException) -> str:
    """Return what an error says, on one line; its class where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def one_line(error: "ValidationError", model: "type[BaseModel]") -> str:
    """Say the first problem of a pydantic error as the house does: key, value, rule."""
    problems = error.errors(include_url=False)
    keys = [".".join(str(part) for part in problem["loc"] if not _KIND.match(str(part))) for problem in problems]
    # Where a value may be of several kinds, one of them may have looked into it.
    key = max((each for each in keys if f"{each}.".startswith(f"{keys[0]}.")), key=len)
    first, more = problems[keys.index(key)], len({each for each in keys if not f"{key}.".startswith(f"{each}.")})
    others = f" (and {more} more)" if more else ""
    if first["type"] == "extra_forbidden":
        for part in first["loc"][:-1]:  # To the model in which the key stands, as far as there are models.
            inner: Any = getattr(model.model_fields.get(str(part)), "annotation", None)
            if not hasattr(inner, "model_fields"):
                break
            model = inner
        return f"unknown key {key!r}; the keys here are: {', '.join(sorted(model.model_fields))}{others}"
    if first["type"] == "missing":
        return f"the key {key!r} is missing{others}"
    # And there is a problem for each kind.
    messages = [problem["msg"] for at, problem in zip(keys, problems, strict=True) if at == key]
    message = " or ".join([messages[0], *(each.removeprefix("Input should be ") for each in messages[1:])])
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key}: {message}, not {first['input']!r}{others}" if key else f"{message}{others}"
