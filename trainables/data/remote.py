"""A node's local copy of a dataset at a URL.

The copy lies beside the activation store, in a folder named by the dataset's fingerprint, so that every process of a
node shares it, and a dataset that was prepared anew at the same URL is another folder. It appears whole: the first
process to ask brings it under a lock while the others wait, and holds every shard against the manifest on the way.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock

from trainables.data.dataset import EXCLUDED, MANIFEST, PHOTOS, Dataset, Manifest, Shard, open_dataset, parse_manifest
from trainables.errors import UserError
from trainables.files.bucket import Bucket, is_url, open_bucket
from trainables.files.output import whole_or_nothing

COPIES = "datasets"
"""The copies' folder in the store's folder."""


def open_dataset_at(place: Path | str, store: Path, *, lists_only: bool = False) -> Dataset:
    """Open the dataset in a folder, or this node's copy of one at a URL, made now where it is missing.

    Args:
        store: the activation store's folder, on the node's own disk.
        lists_only: bring the manifest and the lists of photos only: enough where nothing is trained.

    Raises:
        UserError: nothing is there, it cannot be reached, a shard is not what the manifest says, or the disk is full.
    """
    if not isinstance(place, str) or not is_url(place):
        return open_dataset(place)
    bucket = open_bucket(place)
    manifest, text = _manifest(bucket)
    folder = store / COPIES / manifest.fingerprint
    if lists_only and not (folder / MANIFEST).is_file():
        _once(folder.with_name(f"{folder.name}.lists"), bucket, text, [])
        folder = folder.with_name(f"{folder.name}.lists")
    else:
        _once(folder, bucket, text, manifest.shards)
    return replace(open_dataset(folder), url=place)


def read_manifest(url: str) -> Manifest:
    """Read the manifest of the dataset at `url`.

    Raises:
        UserError: there is none, it is damaged, or the place cannot be reached.
    """
    return _manifest(open_bucket(url))[0]


@contextmanager
def sent_to(url: str) -> Iterator[Path]:
    """A path for a new dataset that goes to `url` when the body ends well, its manifest last.

    Raises:
        UserError: something is there already, or it cannot be written there.
    """
    bucket = open_bucket(url)
    there = bucket.names()
    if there:
        raise UserError(f"{url} is not empty ({', '.join(there[:4])}); name a new place, or delete this one first")
    bucket.check_writable()  # Now, and not when all photos are read.
    with tempfile.TemporaryDirectory(prefix="raretune-") as temporary:
        folder = Path(temporary) / "dataset"
        yield folder
        for file in sorted(folder.iterdir(), key=lambda file: (file.name == MANIFEST, file.name)):
            bucket.send(file, file.name)


def _manifest(bucket: Bucket) -> tuple[Manifest, bytes]:
    text = bucket.read(MANIFEST)
    if text is None:
        raise UserError(
            f"{bucket.url} holds no {MANIFEST}, or there is no such bucket; "
            f"`python -m trainables prepare PHOTOS {bucket.url}` makes a dataset there"
        )
    manifest = parse_manifest(text, f"{bucket.url}/{MANIFEST}")
    named = [manifest.fingerprint, *(shard.file for shard in manifest.shards)]
    strange = next((name for name in named if Path(name).name != name or name in ("", "..")), None)
    if strange is not None:  # It would be written outside of the copy's folder.
        raise UserError(f"{bucket.url}/{MANIFEST} is damaged: {strange!r} is no file's name; prepare it again")
    return manifest, text


def _once(folder: Path, bucket: Bucket, manifest: bytes, shards: list[Shard]) -> None:
    """Bring the lists and `shards` into `folder`, unless they are there; one process of the node at a time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if (folder / MANIFEST).is_file():
                return
            # What a process that was killed has left; no other is writing there, because the lock is held.
            for rest in folder.parent.glob(f".{folder.name}.partial-*"):
                shutil.rmtree(rest, ignore_errors=True)
            with whole_or_nothing(folder, needed_bytes=sum(shard.bytes for shard in shards)) as partial:
                for name in (PHOTOS, EXCLUDED):
                    _bring(bucket, name, partial)
                for shard in shards:
                    if _bring(bucket, shard.file, partial) != shard.sha256:
                        problem = f"is not what was prepared: its SHA-256 differs from {MANIFEST}'s"
                        raise UserError(f"{bucket.url}/{shard.file} {problem}; prepare it again")
                (partial / MANIFEST).write_bytes(manifest)
    except PermissionError as error:
        raise UserError(f"{folder.parent} cannot be written: {error.strerror}; `store` names another folder") from None


def _bring(bucket: Bucket, name: str, folder: Path) -> str:
    """Write a file of the bucket to `folder`, and return the SHA-256 (hex) of its bytes."""
    digest = hashlib.sha256()
    with (folder / name).open("wb") as sink:
        for block in bucket.blocks(name):
            digest.update(block)
            sink.write(block)
    return digest.hexdigest()
