"""Provenance of a sweep and its trials: time, host, command, data, versions."""

import json
import platform
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from search.config.storage_url import redact
from trainables.errors import UserError
from trainables.files.experiment import PROVENANCE_FILE
from trainables.files.output import write_json
from trainables.versions import git_commit, versions


def provenance(seed: int, dataset: str, fingerprint: str) -> dict[str, Any]:
    """Return the record that a run writes when it starts; `experiment_id` marks its trials in a shared study."""
    return {
        "format": 1,
        "experiment_id": uuid.uuid4().hex[:12],
        "started": now(),
        "command": _command(),
        "host": platform.node(),
        "platform": platform.platform(),
        "seed": seed,
        "dataset": dataset,
        "dataset_fingerprint": fingerprint,
        **_software(),
    }


def origin(fingerprint: str) -> dict[str, Any]:
    """Return each trial's origin; its record has the seed, host, device and times besides."""
    return {"dataset_fingerprint": fingerprint, **_software(), "driver_host": platform.node()}


def read_provenance(experiment: Path) -> dict[str, Any]:
    """Read an experiment's record.

    Raises:
        UserError: it is missing or damaged, so that it is unknown which trials are this experiment's.
    """
    file = experiment / PROVENANCE_FILE
    try:
        record: dict[str, Any] = json.loads(file.read_text())
        record["experiment_id"], record["dataset_fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{file} is missing or damaged; without it the sweep cannot be resumed") from None
    return record


def add_session(experiment: Path, record: dict[str, Any], changes: list[str]) -> None:
    """Add to an experiment's record that a driver resumes it, with the changes (`--set` as given)."""
    session = {"at": now(), "command": _command(), "changes": list(map(redact, changes)), "host": platform.node()}
    record = {**record, "resumed": [*record.get("resumed", []), session | _software()]}
    write_json(record, experiment / PROVENANCE_FILE)


def _software() -> dict[str, Any]:
    return {"versions": versions(), "git_commit": git_commit()}


def _command() -> list[str]:
    return [redact(word) for word in sys.argv]


def now() -> str:
    """Return the present time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
