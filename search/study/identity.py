"""Identity of a study: the keys that may not change."""

from typing import Any

from search.config.schema import SweepConfig
from trainables.config import TrialConfig
from trainables.errors import UserError

_FIXED = (
    "metric",
    "mode",
    "objectives",
    "seed",
    "space",
    "sampler",
    "startup_trials",
    "early_stopping",
    "points",
    "warm_start",
)
_MAY_CHANGE = (
    "trials, trial.epochs (more), budget, resources, max_failures, checkpoint_every, keep_checkpoints, checkpoint_gb, "
    "store, store_gb, address, and where the same dataset and storage are found"
)


def definition(config: SweepConfig, fingerprint: str) -> dict[str, Any]:
    """Return what the study's record rests on, as JSON."""
    values = config.model_dump(mode="json", include=set(_FIXED))
    trial = TrialConfig.model_validate(config.trial).model_dump(mode="json", exclude={"epochs", "seed", "sweep_seed"})
    searched = {name.partition(".")[0] for name in config.space}
    fixed = {f"trial.{name}": value for name, value in trial.items() if name not in searched or name == "augmentation"}
    return {**values, **fixed, "dataset": fingerprint}


def check_same(config: SweepConfig, fingerprint: str, stored: dict[str, Any]) -> None:
    """Refuse to resume or join a study with other keys than it began with.

    Raises:
        UserError: a key differs; the line says what may be changed.
    """
    wanted = definition(config, fingerprint)
    stored = {"objectives": [], **stored}  # A study of before there could be two has one.
    for key, value in wanted.items():
        if key in stored and stored[key] != value:
            if key == "dataset":
                raise UserError(
                    f"dataset: {config.dataset} is not what the study {config.name!r} was begun on (fingerprint "
                    f"{value[:12]}, not {stored[key][:12]})"
                )
            old, new = (text if len(text) <= 100 else f"{text[:97]}…" for text in (str(stored[key]), str(value)))
            raise UserError(
                f"{key}: the study {config.name!r} was begun with {old}, so it cannot become {new}; "
                f"what may be changed: {_MAY_CHANGE}"
            )
