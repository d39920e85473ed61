"""Files of a trial's checkpoints, for tests."""

from pathlib import Path

from trainables.training.checkpoint import newest_first


def generations(folder: Path) -> list[Path]:
    """Return the files of a trial's checkpoints in a folder, newest first."""
    return [folder / name for name in newest_first(file.name for file in folder.glob("epoch-*.npz"))]
