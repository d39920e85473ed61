"""Provenance of a sweep and its trials: time, host, command, data, versions."""

import platform
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from search.config.schema import SweepConfig
from search.config.storage_url import redact
from search.study.trial_record import owner_of_trials
from trainables.errors import UserError
from trainables.files.experiment import PROVENANCE_FILE
from trainables.files.output import write_json
from trainables.files.record import read_record
from trainables.versions import git_commit, versions


class _Provenance(BaseModel, extra="allow"):
    experiment_id: str
    dataset_fingerprint: str


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
    hint = "`python -m search resume` writes it anew where the study is this experiment's alone"
    return read_record(experiment / PROVENANCE_FILE, _Provenance, hint).model_dump()


def provenance_or_new(experiment: Path, config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Read an experiment's record; one that is missing or damaged is written anew, as far as it can be known.

    Raises:
        UserError: several may share the study, and no trial's record says which trials are this experiment's.
    """
    try:
        return read_provenance(experiment)
    except UserError as error:
        record = provenance(config.seed, config.dataset, fingerprint) | {"lost": "the record of the first driver"}
        if config.storage is not None:
            owner = owner_of_trials(experiment)
            if owner is None:
                raise
            record["experiment_id"] = owner
        print(f"warning: {error}; it is written anew", file=sys.stderr)
        write_json(record, experiment / PROVENANCE_FILE)
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
