"""A probe without TensorFlow, for tests of what a sweep does with it."""

import os
from pathlib import Path
from typing import Any

from tests.probe_example import probe_record
from trainables.config import RunSettings, TrialConfig
from trainables.errors import TrialFailed, UserError

RANDOM = {"kind": "random", "detail": "", "fingerprint": "random", "warning": "inception_v3 starts from random weights"}


class FakeSolution:
    """Writes what a real one would, without the numbers."""

    def save(self, file: Path) -> None:
        file.write_text("solution")


class FakeProber:
    """Stands for `Prober`; what is to go wrong is the name of a folder above the experiment."""

    def __init__(self, config: TrialConfig, run: RunSettings) -> None:
        self._config = config
        self._wrong = set(Path(run.checkpoint_dir).parts)

    def weights(self) -> dict[str, Any]:
        if "hopeless" in self._wrong:
            raise UserError("weights: w.h5 does not fit inception_v3")
        return RANDOM

    def find(self) -> tuple[Any, Any]:
        if "few" in self._wrong:
            raise TrialFailed("the probe needs two families with photos")
        if "killed" in self._wrong:
            os._exit(1)
        return probe_record(config=self._config, weights=RANDOM, tried=[{"strength": 0.01}]), FakeSolution()
