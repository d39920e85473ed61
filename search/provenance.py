"""The record of how a sweep came to be: when, where, by which command, on what."""

import platform
import sys
from datetime import UTC, datetime
from typing import Any

from trainables.provenance import git_commit, versions


def provenance(seed: int, dataset: str, fingerprint: str) -> dict[str, Any]:
    """Return the record that a run writes when it starts."""
    return {
        "format": 1,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "host": platform.node(),
        "platform": platform.platform(),
        "seed": seed,
        "dataset": dataset,
        "dataset_fingerprint": fingerprint,
        "versions": versions(),
        "git_commit": git_commit(),
    }
