"""Ledger of a dataset's test photos: who has read them, when and for what.

A test split that was read often has become one more validation split. Each reading is a file of its own in the
dataset's folder test_readings/, or below its URL: nothing is ever rewritten, so two writers cannot lose each other's.
"""

import os
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.data.dataset import Dataset
from trainables.errors import UserError
from trainables.files.bucket import open_bucket

READINGS = "test_readings"

Purpose = Literal["final stage", "probe"]


class Reading(BaseModel):
    """One look at the test photos: `when` is UTC, ISO 8601; `experiment` the folder or URL that the results went to."""

    model_config = ConfigDict(frozen=True)

    when: str
    experiment: str
    purpose: Purpose
    fingerprint: str


def record_reading(dataset: Dataset, experiment: str, purpose: Purpose, say: Callable[[str], None]) -> list[Reading]:
    """Write a reading of the test photos, which comes next, into the dataset's ledger.

    A ledger that cannot be written or read costs a line that `say` gets, and nothing else.

    Returns:
        The earlier readings of these very photos, the oldest first.
    """
    now = datetime.now(UTC)
    reading = Reading(
        when=now.isoformat(timespec="seconds"),
        experiment=experiment,
        purpose=purpose,
        fingerprint=dataset.fingerprint,
    )
    place = dataset.url or str(dataset.folder)
    try:
        earlier = [found for found in _read(dataset) if found.fingerprint == dataset.fingerprint]
        # Names sort by time; the end tells apart what two processes write in the same microsecond.
        _write(dataset, f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}.json", reading.model_dump_json(indent=1))
    except (OSError, UserError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        say(f"this reading of test is not in the ledger of {place}, and earlier ones may not count: {why}")
        return []
    return sorted(earlier, key=lambda found: found.when)


def times_read(earlier: Sequence[Reading]) -> str:
    """A sentence on `earlier` readings: what a further one of the same photos is worth."""
    last, times = earlier[-1], "once" if len(earlier) == 1 else f"{len(earlier)} times"
    return (
        f"these test photos were read {times} before, last on {last.when[:10]} by {Path(last.experiment).name or '?'} "
        f"({last.purpose}): whatever was changed since then was chosen with test in sight, and test flatters it"
    )


def _write(dataset: Dataset, name: str, text: str) -> None:
    if dataset.url is not None:
        open_bucket(dataset.url).put(text.encode(), f"{READINGS}/{name}")
        return
    folder = dataset.folder / READINGS
    folder.mkdir(exist_ok=True)
    partial = folder / f".{name}"
    with partial.open("x", encoding="utf-8") as file:
        file.write(text)
        os.fsync(file.fileno())
    partial.rename(folder / name)


def _read(dataset: Dataset) -> list[Reading]:
    """All readings; a file that is no reading does not count."""
    if dataset.url is not None:
        bucket = open_bucket(dataset.url)
        texts = [bucket.read(name) or b"" for name in bucket.entries(READINGS) if name.endswith(".json")]
    else:
        texts = [file.read_bytes() for file in sorted((dataset.folder / READINGS).glob("[!.]*.json"))]
    found = []
    for text in texts:
        try:
            found.append(Reading.model_validate_json(text))
        except ValidationError:
            continue
    return found
