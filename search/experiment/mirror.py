"""Mirror of an experiment's records at a URL.

SQLite cannot lie in a bucket, and an object cannot be appended to; so the driver works on a disk, and lasting files are
brought to the URL when a trial begins or ends, every half a minute, and at the end. Each object is whole by itself. One
pass first deletes what is gone here, then brings the sweep's files, then the study, then the rest, and last the files
that mark the end of a sweep: broken off at any object, what lies there can be resumed.
"""

import contextlib
import hashlib
import json
import shlex
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from search.config.schema import SweepConfig
from search.experiment.lease import Lease, LeaseLost, check_free, driving, release, renew, take
from search.experiment.provenance import now
from trainables.errors import UserError
from trainables.files import experiment as layout
from trainables.files.bucket import Bucket, open_bucket
from trainables.files.output import write_json
from trainables.files.remote_experiment import bring, working_folder

EVERY_SECONDS = 30.0

_FIRST = (layout.SWEEP_FILE, layout.PROVENANCE_FILE, layout.WARM_START_FILE, layout.STUDY_FILE)
_LAST = (layout.SUMMARY_FILE, layout.BEST_FILE)
# Ray's own state, and what is made of the records.
_LEFT_OUT = (layout.RAY_FOLDER, layout.REPORT_FOLDER, layout.COMPARISON_FOLDER, layout.EXPORT_FOLDER)


@dataclass
class Sent:
    """What this folder knows of its URL, in .mirror.json.

    `session` is the lease of the driver that last worked here, `brought` that of the one whose records were fetched;
    `files` maps what is at the URL to a mark (size and time, or a digest) that shows whether it changed here since.
    """

    url: str
    session: str = ""
    brought: str = ""
    files: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it in one step."""
        write_json(vars(self), folder / layout.MIRROR_STATE_FILE)


class Mirror:
    """Brings a folder's records to a URL, in a thread of its own until it is closed."""

    def __init__(self, folder: Path, bucket: Bucket, lease: Lease, sent: Sent) -> None:
        self.lost: LeaseLost | None = None
        self._folder = folder
        self._bucket = bucket
        self._lease = lease
        self._sent = sent
        self._due = threading.Event()
        self._closing = False
        self._warned = False
        self._renewed = 0.0
        self.thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    def wake(self) -> None:
        """Make the thread's next pass now."""
        self._due.set()

    def close(self) -> None:
        """End the thread, bring what is left, and release the lease.

        Raises:
            UserError: the URL cannot be reached, or is another driver's.
        """
        self._closing = True
        self._due.set()
        self.thread.join()
        if self.lost is not None:
            raise self.lost
        self.bring()
        release(self._bucket, self._lease)

    def bring(self) -> None:
        """Make one pass.

        Raises:
            UserError: as `close`.
        """
        self._renew()
        order = {name: place for place, name in enumerate((*_FIRST, None, *_LAST))}
        here = dict(sorted(records(self._folder), key=lambda item: (order.get(item[0], order[None]), item[0])))
        for name in self._sent.files.keys() - here.keys() - {layout.STUDY_FILE}:
            self._bucket.delete(name)
            del self._sent.files[name]
        for name, mark in here.items():
            if time.monotonic() > self._renewed + EVERY_SECONDS:  # Thousands of files take minutes.
                self._renew()
            if name == layout.STUDY_FILE:
                self._bring_study()
            elif self._sent.files.get(name) != mark:
                try:
                    self._bucket.send(self._folder / name, name)
                except UserError:
                    if (self._folder / name).exists():  # Otherwise the next pass sees that it is gone.
                        raise
                self._sent.files[name] = mark
        self._sent.write(self._folder)

    def _renew(self) -> None:
        renew(self._bucket, self._lease)
        self._renewed = time.monotonic()

    def _work(self) -> None:
        while not self._closing:
            try:
                self.bring()
                self._warned = False
            except LeaseLost as lost:
                self.lost = lost
                return
            except (UserError, OSError) as error:
                if not self._warned:
                    print(f"warning: {error}; tried again every {EVERY_SECONDS:.0f} s", file=sys.stderr, flush=True)
                self._warned = True
            self._due.wait(EVERY_SECONDS)
            self._due.clear()

    def _bring_study(self) -> None:
        """Bring a copy of the study as it is between two of its transactions."""
        with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
            file, copy = self._folder / layout.STUDY_FILE, Path(temporary) / layout.STUDY_FILE
            try:
                source = contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True))
                with source as database, contextlib.closing(sqlite3.connect(copy)) as target:
                    database.backup(target)
                    target.execute("PRAGMA journal_mode=DELETE")  # One plain file without a journal.
            except sqlite3.Error as error:
                raise UserError(f"{file} cannot be copied: {error}") from None
            digest = hashlib.sha256(copy.read_bytes()).hexdigest()
            if self._sent.files.get(layout.STUDY_FILE) != digest:
                self._bucket.send(copy, layout.STUDY_FILE)
                self._sent.files[layout.STUDY_FILE] = digest


def check_new(config: SweepConfig) -> None:
    """Check that a new experiment's URL is empty and can be written.

    Raises:
        UserError: the URL already holds an experiment, another driver has it, or it cannot be written.
    """
    if config.mirror is None:
        return
    bucket = open_bucket(config.mirror)
    check_free(bucket)
    if bucket.names() not in ([], [layout.LEASE]):
        raise UserError(f"experiment: {config.mirror} holds another run; choose an empty or a new place")
    bucket.check_writable()


@contextmanager
def mirrored(config: SweepConfig) -> Iterator[Mirror | None]:
    """Bring the experiment's records to its mirror for the time of the body; without one, do nothing.

    Raises:
        UserError: as `open_mirror`; or after the body, the URL cannot be reached.
    """
    if config.mirror is None:
        yield None
        return
    folder = config.experiment
    mirror = open_mirror(Path(folder), config.mirror)
    print(f"works in {folder}, and brings its records to {config.mirror}", flush=True)
    mirror.thread.start()
    try:
        yield mirror
    except BaseException as raised:
        try:
            mirror.close()
        except (UserError, OSError) as error:
            if error is not raised:
                print(f"warning: {error}; what was not brought is in {folder}", file=sys.stderr)
        raise
    try:
        mirror.close()
    except (UserError, OSError) as error:
        again = f"`python -m search resume {shlex.quote(str(folder))}` brings them"
        raise UserError(f"all records are in {folder}, but not at {config.mirror}: {error}; {again}") from None


def open_mirror(folder: Path, url: str) -> Mirror:
    """Become the driver of the experiment at a URL.

    The caller holds the folder's own lock (`driving`), so the folder's former driver has ended.

    Raises:
        UserError: another driver has the experiment, has had it since this folder's records were brought, or the URL
            cannot be reached.
    """
    bucket, sent = open_bucket(url), _read_sent(folder, url)
    found, names = check_free(bucket, sent.session), bucket.names()
    if found is not None and found.session not in (sent.session, sent.brought) and names != [layout.LEASE]:
        raise UserError(
            f"experiment: {folder} is older than {bucket.url}, where process {found.pid} on {found.host} has gone on; "
            f"`python -m search resume {shlex.quote(bucket.url)}` goes on from there"
        )
    lease = take(bucket, sent.session)
    sent.url, sent.session = bucket.url, lease.session
    for name in names:  # Also without a note here: an end that a resume takes back must be deleted there too.
        if name in _LAST or name.startswith(f"{layout.FRONT_FOLDER}/"):
            sent.files.setdefault(name, None)
    sent.write(folder)
    return Mirror(folder, bucket, lease, sent)


def download_for_resume(url: str) -> Path:
    """Return the folder in which to resume the experiment at a URL: its last driver's, or one with the records fetched.

    Raises:
        UserError: another driver has it, the folder is another experiment's, or the URL cannot be reached.
    """
    bucket, folder = open_bucket(url), working_folder(url)
    if bucket.read(layout.SWEEP_FILE) is None:
        why = "or there is no such bucket; `python -m search run` begins one"
        raise UserError(f"{bucket.url} holds no {layout.SWEEP_FILE}, so nothing to resume, {why}")
    sent = _read_sent(folder, bucket.url)
    if folder.is_dir() and sent.url != bucket.url and any(folder.iterdir()):
        raise UserError(f"{folder} is another experiment's; move it away, or resume {bucket.url} from another folder")
    found = check_free(bucket, sent.session)
    folder.mkdir(parents=True, exist_ok=True)
    with driving(folder):
        if sent.session and found is not None and found.session == sent.session:
            return folder  # What is here is as new as what is there, or newer.
        if sent.session:  # What a driver left here that another machine's has gone on from.
            aside = folder.with_name(f"{folder.name}-until-{now().replace(':', '')[:17]}")
            folder.rename(aside)
            print(f"{folder} was older than its URL; it is now {aside}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    with driving(folder):
        Sent(bucket.url).write(folder)  # Broken off, the next one knows what this is.
        bring(bucket, folder)
        files: dict[str, Any] = {name: mark for name, mark in records(folder) if name != layout.STUDY_FILE}
        Sent(bucket.url, brought=found.session if found else "", files=files).write(folder)
    print(f"brought the records of {bucket.url} to {folder}", flush=True)
    return folder


def _read_sent(folder: Path, url: str) -> Sent:
    try:
        return Sent(**json.loads((folder / layout.MIRROR_STATE_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return Sent(url if not folder.is_dir() or not any(folder.iterdir()) else "")


def records(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Yield the lasting files of an experiment's folder by name, each with its size and the time of its last change."""
    for file in folder.rglob("*"):
        parts = file.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts) or file.suffix == ".tmp"
        if hidden or parts[0] in _LEFT_OUT or file.name.startswith(f"{layout.STUDY_FILE}-"):
            continue
        with contextlib.suppress(FileNotFoundError):  # It was renamed meanwhile.
            if file.is_file():
                yield PurePosixPath(*parts).as_posix(), [file.stat().st_size, file.stat().st_mtime_ns]
