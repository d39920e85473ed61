"""Local copies of experiments and models at URLs.

The URL holds what the experiment's folder holds, and two things more: the trials' checkpoints, which stay there, and
the lease of its driver (search/experiment/lease.py).
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from trainables.errors import UserError
from trainables.files.bucket import Bucket, check_url, is_url, open_bucket
from trainables.files.experiment import CHECKPOINTS, FRONT_FOLDER, LEASE, METRICS_FILE, TENSORBOARD_FOLDER
from trainables.files.output import replacing, write_json
from trainables.files.record import read_record

Kind = Literal["experiment", "model"]
_MADE_BY: dict[Kind, str] = {"experiment": "search run", "model": "trainables retrain"}

RUNS = Path("runs")
_BROUGHT = ".brought.json"
_AT_ONCE = 16


def working_folder(url: str) -> Path:
    """Return where a driver of the experiment at `url` works: runs/ and the last part of the URL.

    Raises:
        UserError: credentials stand in the URL, or it names a bucket and nothing in it.
    """
    check_url(url)
    parts = urlsplit(url)
    name = PurePosixPath(parts.path).name or (parts.netloc if parts.scheme == "memory" else "")
    if name in ("", ".."):
        raise UserError(f"{url} names no folder; an experiment's URL is such as s3://bucket/first")
    return (RUNS / name).absolute()


def local_copy(place: Path | str, kind: Kind = "experiment") -> Path:
    """Return the folder of an experiment, or a model; of one at a URL, a copy, made or brought up to date now.

    The copy is runs/NAME-copy-HASH, in which other URLs never write, nor does a driver.

    Raises:
        UserError: nothing is there, or it cannot be reached.
    """
    if not is_url(place):
        return Path(place)
    url = place.rstrip("/")
    own = hashlib.sha256(url.encode()).hexdigest()[:8]
    working = working_folder(url)
    folder = working.with_name(f"{working.name}-copy-{own}")
    bring(open_bucket(url), folder, kind)
    print(f"{'records' if kind == 'experiment' else kind:12} {folder} (a copy of {url})", flush=True)
    return folder


def model_here(place: Path | str) -> Path:
    """Return a model's folder or file; of one at a URL, its copy in the folder of `local_copy`.

    Raises:
        UserError: nothing is there, or it cannot be reached.
    """
    if is_url(place) and place.endswith(".keras"):
        folder, _, name = place.rpartition("/")
        return local_copy(folder, "model") / name
    return local_copy(place, "model")


def bring(bucket: Bucket, folder: Path, kind: Kind = "experiment") -> None:
    """Make `folder` hold what lies at a URL as it is now; what it holds besides, a report say, stays.

    Raises:
        UserError: nothing is there, or it cannot be reached.
    """
    there = {}
    for name, mark in bucket.entries().items():
        parts = PurePosixPath(name).parts
        # "..", or a name that begins with a slash, would be written outside of the folder.
        hidden = parts[0] == "/" or any(part.startswith(".") for part in parts)
        if not hidden and name != LEASE and parts[0] != CHECKPOINTS:
            there[name] = list(mark)  # As JSON gives it back.
    if not there:
        why = f"or there is no such bucket; `python -m {_MADE_BY[kind]}` makes one"
        raise UserError(f"{bucket.url} holds no {kind}, {why}")
    folder.mkdir(parents=True, exist_ok=True)
    marks: dict[str, list[Any]] = {}
    with suppress(UserError):  # Missing, or damaged: all is brought again.
        marks = read_record(folder / _BROUGHT, dict[str, list[Any]], "")
    # Where the place does not say when a file was written, it may be another one of the same size.
    before = {name: mark if mark[1:] not in ([], [None]) else [] for name, mark in marks.items()}
    for name in before.keys() - there.keys():
        (folder / name).unlink(missing_ok=True)

    def fetch(name: str) -> None:
        with replacing(folder / name) as temporary, temporary.open("wb") as sink:
            sink.writelines(bucket.blocks(name))

    changed = [name for name in there if before.get(name) != there[name] or not (folder / name).is_file()]
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(fetch, changed))
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}") from None
    write_json(there, folder / _BROUGHT)


def handoff_here(place: Path | str) -> tuple[Path, Bucket | None]:
    """Return a hand-off's file; of one at a URL, its copy in the folder of `local_copy`, and the experiment's place.

    Raises:
        UserError: the place is a URL without an experiment, or cannot be reached.
    """
    if not is_url(place):
        return Path(place), None
    experiment, _, name = place.rpartition("/")
    if experiment.endswith(f"/{FRONT_FOLDER}"):
        experiment, name = experiment.removesuffix(f"/{FRONT_FOLDER}"), f"{FRONT_FOLDER}/{name}"
    return local_copy(experiment) / name, open_bucket(experiment)


def check_free_there(bucket: Bucket, name: str) -> None:
    """Refuse a final stage's folder of an experiment at a URL that holds anything, or cannot be written.

    Raises:
        UserError: it holds something, or cannot be written.
    """
    if bucket.entries(name):
        raise UserError(f"{bucket.url}/{name} is not empty; delete it first, or name a folder here by --out")
    bucket.check_writable()


def send_final(bucket: Bucket, folder: Path) -> None:
    """Write a final stage's folder to the experiment's URL, its marker last, with its TensorBoard run.

    Raises:
        UserError: it cannot be written there; the folder stays.
    """
    board = folder.parent / TENSORBOARD_FOLDER / folder.name
    files = [file for place in (board, folder) for file in place.rglob("*") if file.is_file()]
    for file in sorted(files, key=lambda file: file == folder / METRICS_FILE):
        bucket.send(file, file.relative_to(folder.parent).as_posix())
