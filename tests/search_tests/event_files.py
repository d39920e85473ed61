"""Read event files with TensorBoard's own reader."""

import sys
from pathlib import Path
from types import ModuleType

# By this module TensorBoard knows that it runs without TensorFlow, whose import would take longer than all else here.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))

from tensorboard.backend.event_processing import plugin_event_accumulator  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402


def read_events(folder: Path) -> EventAccumulator:
    """Return all events of a run's folder."""
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def steps_without_data_server(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Return a run's steps and values as TensorBoard shows them where it has no data-server binary."""
    events = plugin_event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(point.step, float(point.tensor_proto.float_val[0])) for point in events.Tensors(tag)]
