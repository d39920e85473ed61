"""Read event files with TensorBoard's own reader."""

import sys
from pathlib import Path
from types import ModuleType

# By this module TensorBoard knows that it runs without TensorFlow, whose import would take longer than all else here.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402


def read_events(folder: Path) -> EventAccumulator:
    """Return all events of a run's folder."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return events
