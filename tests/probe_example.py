"""A probe's record, for tests that need one and not its photos."""

from typing import Any

from trainables.config import TrialConfig
from trainables.handoff import ProbeRecord


def probe_record(**changes: Any) -> ProbeRecord:
    """Return a record with these fields changed."""
    values: dict[str, Any] = {
        "classifier": "logistic regression",
        "depths": ("mixed9", "mixed10"),
        "strength": 0.01,
        "class_weight": "balanced",
        "val_macro_f1": 0.865,
        "val_accuracy": 0.88,
        "val_cross_entropy": 0.41,
        "config": TrialConfig(image_size=75, weights="random"),
        "weights": {"kind": "random", "detail": "drawn", "fingerprint": "random", "warning": None},
        "dataset_fingerprint": "f1ngerprint",
        "seconds": 190.0,
    }
    return ProbeRecord.model_validate({**values, **changes})
