"""Read event files with TensorBoard's own reader."""

import sys
from pathlib import Path
from types import ModuleType

# TensorBoard asks for this module to know that it runs without TensorFlow, whose import would take longer than all else.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def read_events(folder: Path) -> EventAccumulator:
    """Return all events of a run's folder."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return events
