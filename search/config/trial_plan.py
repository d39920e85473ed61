"""Plan of a sweep's trials: configuration, seed and run settings of each."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial

from search.config.schema import SweepConfig
from search.config.seeds import trial_seed
from search.config.space import Choices, Range, assemble, knob_value
from trainables.config import RunSettings, TrialConfig
from trainables.files.experiment import checkpoint_root


@dataclass(frozen=True)
class Plan:
    """The parts of a sweep that are the same for all of its trials.

    `threads` is CPU threads per trial; `experiment_id` marks a trial as this experiment's in a study that several
    work on; `origin` is what each trial's record says of where it came from.
    """

    config: SweepConfig
    threads: int
    experiment_id: str = ""
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def experiment(self) -> Path:
        """The experiment's folder, absolute."""
        return Path(self.config.experiment)

    @property
    def store(self) -> Path:
        """Where each node keeps the activations that its trials share."""
        return Path(self.config.store) if self.config.store else self.experiment.parent / "store"

    @property
    def owner(self) -> str | None:
        """Identifier of the experiment whose trials this driver runs; None (all) unless several may share the study."""
        return self.experiment_id if self.config.storage else None

    def checkpoint_place(self, number: int, trial: TrialConfig) -> str:
        """Where a trial's checkpoints lie: beside its records, or below the mirror's URL.

        There its configuration is in the name. A driver that was killed may have begun a trial that its study had not
        yet brought to the URL: the next driver gives the number again, and maybe to another configuration.
        """
        root = checkpoint_root(self.experiment, self.config.mirror, number)
        if self.config.mirror is None:
            return root
        knobs = {name: knob_value(trial.model_dump(), name) for name in sorted(self.config.space)}
        what = json.dumps([knobs, trial.seed, trial.epochs], default=str)
        return f"{root}/{hashlib.sha256(what.encode()).hexdigest()[:8]}"

    def unfrozen_layers(self) -> list[int]:
        """Return every count of unfrozen layers that a trial of this sweep may have."""
        knob = self.config.space.get("unfrozen_layers")
        if isinstance(knob, Choices):
            return [int(value) for value in knob.values]
        if isinstance(knob, Range):
            return list(range(int(knob.low), int(knob.high) + 1, int(knob.step or 1)))
        return [TrialConfig.model_validate(self.config.trial).unfrozen_layers]

    def trial_config(self, number: int, params: dict[str, Any]) -> TrialConfig:
        """Return the full configuration of a trial, with its own seed."""
        own = {"seed": trial_seed(self.config.seed, number, "training"), **sweep_wide(self.config)}
        return assemble({**self.config.trial, **own}, params)

    def settings(self, number: int, trial: TrialConfig, known_epochs: int = 0) -> dict[str, Any]:
        """Return what the trainable gets: the fields of the configuration and, as "run", the `RunSettings`."""
        run = RunSettings(
            trial=number,
            dataset=self.config.dataset,
            store=self.store,
            store_bytes=None if self.config.store_gb is None else int(self.config.store_gb * 2**30),
            threads=self.threads,
            plan=tuple(self.unfrozen_layers()),
            checkpoint_dir=self.checkpoint_place(number, trial),
            checkpoint_every=self.config.checkpoint_every,
            known_epochs=known_epochs,
            cost=self.config.weighed,
        )
        return {**trial.model_dump(), "run": run}


def sweep_wide(config: SweepConfig) -> dict[str, Any]:
    """Return what a sweep gives to all of its trials alike, besides the knobs that it fixes."""
    return {"sweep_seed": config.seed, "validation": config.validation.model_dump()}


def run_settings(trial: Trial) -> RunSettings:
    """Return what `Plan.settings` put into a Ray trial's configuration."""
    settings: RunSettings = trial.config["run"]
    return settings
