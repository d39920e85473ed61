"""Photo files: found, excluded by a list, inspected in worker processes."""

import hashlib
import multiprocessing
import os
import signal
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol

from trainables.data.crops import Box, crop
from trainables.data.images import ImageUnreadable, decode, image_size
from trainables.data.pictures.kinds import why_no_photo
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import ImageDescriptor, describe

_FEW = 64  # below this many files a pool costs more than it saves
_CHUNK = 16
_LOOK_SECONDS = 1.0  # from one look for the parent to the next
_FEW_DETAILS = 5  # in a message


class PhotoFile(NamedTuple):
    """A photo with its label, before its bytes are decoded.

    `source` is the path below the folder of photos, with "/"; `species` and `content_id` are None without metadata.
    `values` are of `Found.columns`; `time` is when it was taken, `box` the part of the photo that is meant: empty where
    nothing says so.
    """

    photo_id: str
    source: str
    class_name: str
    species: str | None = None
    content_id: int | None = None
    values: tuple[str, ...] = ()
    time: datetime | None = None
    box: Box | None = None


class Exclusion(NamedTuple):
    """A file or metadata row that is not used, and why; `family` is its label, "" where it has none.

    `reason` is one of: no_class_folder, not_a_photo, empty_folder, bad_name, no_row, no_file, no_label, two_labels,
    listed (in the exclusion list), empty, truncated, unreadable, unsupported (no rule for its samples or channels),
    too_large, small_class; of listed photos also no_animal, bad_row, not_an_image; of crops no_detection,
    detector_failed, not_in_detections, no_box, bad_box; of given splits no_split, in_two_splits, no_training (its class
    has none).
    """

    source: str
    reason: str
    detail: str
    family: str = ""


@dataclass
class Found:
    """What lies in a folder of photos: what can be used, what cannot, and what the user should know.

    `splits` is {source: split of SPLITS} where the photos came in splits. `columns` may be grouped by; `together` are
    those of them that are never parted unless `--group` says otherwise.
    `unpacked` is where the photos lie that were packed into tables; the folder goes with this object.
    """

    layout: str
    photos: list[PhotoFile] = field(default_factory=list)
    excluded: list[Exclusion] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    unpacked: TemporaryDirectory[str] | None = None

    def exclude(self, source: str, reason: str, detail: str, family: str = "") -> None:
        """Add to `excluded`."""
        self.excluded.append(Exclusion(source, reason, detail, family))

    def passed_over(self) -> str:
        """What was excluded, counted and named by why, for a message."""
        details = {one.detail for one in self.excluded}
        by_detail: dict[str, list[str]] = {}
        for one in sorted(self.excluded):  # Details of rows name the line, and are as many as the rows.
            by_detail.setdefault(one.detail if len(details) <= _FEW_DETAILS else one.reason, []).append(one.source)
        return "; ".join(
            f"{len(names)} {detail} ({', '.join(names[:3])}{' …' if len(names) > 3 else ''})"
            for detail, names in by_detail.items()
        )

    def folder(self, root: Path) -> Path:
        """Where the photos lie that were found in `root`."""
        return Path(self.unpacked.name) if self.unpacked else root

    def reasons(self) -> str:
        """What was excluded, counted, for a message."""
        counts = Counter(one.reason for one in self.excluded)
        return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


class Layout(Protocol):
    """One way in which photos and their labels lie in a folder."""

    @property
    def name(self) -> str:
        """What people and the manifest call it."""

    @property
    def rule(self) -> str:
        """What makes a file a photo that can be used, in a few words."""

    def recognises(self, root: Path) -> bool:
        """Say whether the folder `root` has this layout."""

    def find(self, root: Path, level: str) -> Found:
        """Return all photos below `root`, labelled by `level`, and with a reason each file that is none.

        Raises:
            UserError: the layout does not have the level, or its metadata are damaged.
        """


def path_key(path: str) -> str:
    """A path as it is compared: file systems may spell an accented name in another Unicode form than lists do."""
    return unicodedata.normalize("NFC", path.strip().replace("\\", "/").removeprefix("./"))


def label_key(name: str) -> str:
    """A label as it is compared: without regard to case, blanks around it, or blanks for underscores."""
    return "_".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def path_id(source: str) -> str:
    """Return a photo id that depends on the path below the folder of photos alone."""
    return hashlib.sha256(unicodedata.normalize("NFC", source).encode()).hexdigest()[:20]


def photo_files(root: Path, found: Found, passed_over: tuple[str, ...] = ()) -> Iterator[str]:
    """Relative paths of all files that are photos by name or first bytes; `found` gets all others but `passed_over`.

    Hidden folders (".git", ".cache" …) are not entered; linked folders are, each once: a link may lead to a parent.
    """
    seen: set[tuple[int, int]] = set()

    def refused(error: OSError) -> None:
        # os.walk would pass over a folder that it may not list, and its photos would be missing without a word.
        found.exclude(_shown(os.path.relpath(error.filename, root)), "unreadable", error.strerror or "cannot be listed")

    for folder, folders, files in os.walk(root, followlinks=True, onerror=refused):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            found.exclude(_shown(os.path.relpath(folder, root)), "not_a_photo", "a link to a folder already read")
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if not folders and not files and folder != str(root):
            found.exclude(_shown(os.path.relpath(folder, root)), "empty_folder", "no file is in it")
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(folder, name) for name in sorted(files)):
            source = path.relative_to(root).as_posix()
            if source in passed_over:
                continue
            if _shown(source) != source:
                found.exclude(_shown(source), "bad_name", "the name is not UTF-8; rename the file")
            elif (why := why_no_photo(path)) is not None:
                found.exclude(source, "not_a_photo", why)
            else:
                yield source


def _shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


class Inspection(NamedTuple):
    """What is kept of a photo that decodes: some 400 bytes, whatever the photo's size.

    `sha256` is of the file's bytes; `width` and `height` are pixels as shown; `bytes` is the file's length. Of a crop
    all are the crop's, and `box` is its box as shares of the photo's sides.
    """

    sha256: str
    bytes: int
    width: int
    height: int
    descriptor: ImageDescriptor
    box: Box | None = None


def inspect_bytes(image: bytes) -> Inspection:
    """Decode a photo wholly and describe it.

    Raises:
        ImageUnreadable: it does not decode.
    """
    descriptor = describe(decode(image, draft=128))
    width, height = image_size(image)
    return Inspection(hashlib.sha256(image).hexdigest(), len(image), width, height, descriptor)


def photo_bytes(root: Path, source: str, box: Box | None = None, padding: float = 0) -> tuple[bytes, Box | None]:
    """The bytes of root/source, or of the crop of a box in it, which is then returned as shares of the photo's sides.

    Raises:
        OSError: it cannot be read.
        ImageUnreadable: there is no such crop.
    """
    image = (root / source).read_bytes()
    return (image, None) if box is None else crop(image, box, padding)


def inspect_file(root: Path, padding: float, source: str, box: Box | None = None) -> Inspection | Exclusion:
    """Inspect root/source, or a crop of it; what cannot be read or decoded is excluded."""
    try:
        image, share = photo_bytes(root, source, box, padding)
        return inspect_bytes(image)._replace(box=share)
    except ImageUnreadable as error:
        return Exclusion(source, error.reason, error.detail)
    except OSError as error:
        return Exclusion(source, "unreadable", error.strerror or type(error).__name__)


def _live_with(parent: int) -> None:
    """Leave Ctrl-C to the parent, which ends the pool; and end with a parent that was killed, which ends nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def inspect_files(
    root: Path, sources: Sequence[str], workers: int | None = None, boxes: Sequence[Box | None] = (), padding: float = 0
) -> Iterator[Inspection | Exclusion]:
    """`inspect_file` of each, in order, by `workers` processes (None: one per usable core).

    Raises:
        UserError: a worker process died (usually: no memory left).
    """
    inspect = partial(inspect_file, root, padding)
    boxes = boxes or [None] * len(sources)
    workers = min(workers or usable_cores(), max(1, len(sources) // _FEW))
    if workers == 1:
        yield from map(inspect, sources, boxes)
        return
    # Workers must not inherit TensorFlow or its threads from this process, so they are not forked.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_live_with, initargs=(os.getpid(),))
    try:
        yield from pool.map(inspect, sources, boxes, chunksize=_CHUNK)
    except BrokenProcessPool:
        raise UserError("a worker process died while it read photos (out of memory?); try --workers 1") from None
    finally:
        pool.shutdown(cancel_futures=True)
