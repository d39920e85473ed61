"""Synthetic trials that note when they ran, and on what."""

import json
import time
from pathlib import Path
from typing import Any

import ray

from tests.search_tests.synthetic import SyntheticTrial
from trainables.config import RunSettings

_PATIENCE_SECONDS = 90.0


class NotingTrial(SyntheticTrial):
    """Notes each epoch beside the experiment; no first epoch ends before as many trials have begun as `awaited` says.

    So what runs together is what the cluster allows, however slowly a busy machine brings its workers up.
    """

    SECONDS = 0.3

    def step(self) -> dict[str, Any]:
        run: RunSettings = self._settings["run"]
        folder, number = Path(run.checkpoint_dir).parents[2], run.trial
        note = {"trial": number, "start": time.time(), "threads": run.threads, **_where()}
        (folder / f"begun-{number}").touch()
        awaited = int((folder / "awaited").read_text())
        while len(list(folder.glob("begun-*"))) < awaited and time.time() < note["start"] + _PATIENCE_SECONDS:
            time.sleep(0.05)
        result = super().step()
        with (folder / f"notes-{number}").open("a") as file:
            file.write(json.dumps({**note, "end": time.time()}) + "\n")
        return result


def notes_in(folder: Path) -> list[dict[str, Any]]:
    """All epochs of all trials."""
    return [json.loads(line) for file in sorted(folder.glob("notes-*")) for line in file.read_text().splitlines()]


def together(notes: list[dict[str, Any]], **where: Any) -> int:
    """The most epochs that ran at once (on one GPU, or one node)."""
    mine = [note for note in notes if where.items() <= note.items()]
    return max((sum(other["start"] <= note["start"] < other["end"] for other in mine) for note in mine), default=0)


def _where() -> dict[str, Any]:
    context = ray.get_runtime_context()
    gpus = context.get_accelerator_ids()["GPU"]
    return {"node": context.get_node_id(), "gpu": ",".join(gpus), "held": context.get_assigned_resources()}
