"""The simulated sweep of the example: study, logs of epochs, and what the sweep leaves at its end."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from trainables.config import TrialConfig

SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
    "dropout": FloatDistribution(0.0, 0.6),
    "dense_units": CategoricalDistribution([64, 128, 256, 512]),
    "unfrozen_layers": CategoricalDistribution([0, 31, 62]),
}
RUNGS = (1, 3)
REDUCTION = 3
MIN_RESULTS = 3
MAX_EPOCHS = 9
NAME = "rare_families"
VERSIONS = {"python": "3.11.7", "ray": "2.60.0", "optuna": "5.0.0", "tensorflow": "2.21.0", "keras": "3.15.1"}


@dataclass
class Trial:
    """One simulated trial; `stop` is the record the sweep keeps of why it ended."""

    number: int
    params: dict[str, Any]
    curve: list[float]
    stop: dict[str, Any]
    state: TrialState

    @property
    def best(self) -> float:
        return max(self.curve)

    @property
    def cost(self) -> float:
        return 87.2 + 0.0082 * self.params["dense_units"]

    @property
    def best_epoch(self) -> int:
        return int(np.argmax(self.curve)) + 1


@dataclass
class Example:
    """Where everything was written."""

    dataset: Path
    experiment: Path
    trials: list[Trial] = field(default_factory=list)
    cost: str | None = None

    @property
    def best(self) -> Trial:
        return max((trial for trial in self.trials if trial.curve), key=lambda trial: trial.best)


def simulate_sweep(chance: np.random.Generator, trials: int) -> list[Trial]:
    """Trials one after the other, each judged at the rungs against those before it, as ASHA does."""
    arrived: dict[int, list[float]] = {rung: [] for rung in RUNGS}
    return [_simulate_trial(number, chance, arrived) for number in range(trials)]


def _simulate_trial(number: int, chance: np.random.Generator, arrived: dict[int, list[float]]) -> Trial:
    params = _suggest(chance)
    ceiling = 0.78 - 0.09 * abs(np.log10(params["learning_rate"]) + 3.1) - 0.25 * (params["dropout"] - 0.25) ** 2
    ceiling += 0.0006 * params["unfrozen_layers"] + chance.normal(0, 0.02)
    speed = 0.35 + 0.25 * (np.log10(params["learning_rate"]) + 5) / 3
    curve: list[float] = []
    for epoch in range(1, MAX_EPOCHS + 1):
        curve.append(float(np.clip(ceiling * (1 - np.exp(-speed * epoch - 0.4)) + chance.normal(0, 0.006), 0.01, 1)))
        if epoch in RUNGS:
            stop = _judge(epoch, curve[-1], arrived[epoch])
            if stop:
                return Trial(number, params, curve, stop, TrialState.PRUNED)
        if number % 20 == 2 and epoch == 5:
            stop = {"kind": "failed", "epoch": 6, "reason": "out of memory on T4: OOM when allocating"}
            return Trial(number, params, curve, stop, TrialState.FAIL)
    stop = {"kind": "max_epochs", "epoch": MAX_EPOCHS, "reason": f"reached the last epoch, {MAX_EPOCHS}"}
    return Trial(number, params, curve, stop, TrialState.COMPLETE)


def _suggest(chance: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": float(10 ** chance.uniform(-5, -2)),
        "dropout": float(chance.uniform(0, 0.6)),
        "dense_units": int(chance.choice([64, 128, 256, 512])),
        "unfrozen_layers": int(chance.choice([0, 31, 62])),
    }


def _judge(epoch: int, value: float, arrived: list[float]) -> dict[str, Any] | None:
    """ASHA's rule: stop unless the value is in the top 1/reduction of those that have reached the rung."""
    competed = len(arrived)
    cutoff = float(np.quantile(arrived, 1 - 1 / REDUCTION)) if arrived else 0.0
    arrived.append(value)
    if competed < MIN_RESULTS or value >= cutoff:
        return None
    reason = f"{value:.4f} after epoch {epoch} is below {cutoff:.4f}, the best third of the {competed} results there"
    stop = {"kind": "asha", "epoch": epoch, "rung": epoch, "value": value, "cutoff": cutoff}
    return stop | {"competed": competed, "reason": reason}


def write_sweep(example: Example) -> None:
    """study.db, trials/, sweep.yaml, sweep_summary.json, best.json, provenance.json."""
    folder = example.experiment
    folder.mkdir(parents=True)
    write_study(example)
    for trial in example.trials:
        write_epochs(folder / "trials" / f"{trial.number:04d}", trial)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep_config(example), sort_keys=False))
    (folder / "provenance.json").write_text(json.dumps({"seed": 7, "git_commit": "8a1405b", "versions": VERSIONS}))
    if example.trials:  # a sweep without a result hands nothing over
        (folder / "sweep_summary.json").write_text(json.dumps(summary(example)))
        (folder / "best.json").write_text(json.dumps(handoff(example)))


def write_study(example: Example) -> None:
    """study.db, with the attributes that the sweep stores."""
    storage = f"sqlite:///{example.experiment / 'study.db'}"
    directions = ["maximize", "minimize"] if example.cost else ["maximize"]
    study = optuna.create_study(storage=storage, study_name=NAME, directions=directions)
    study.add_trials([_optuna_trial(trial, scored=example.cost is not None) for trial in example.trials])


def _optuna_trial(trial: Trial, scored: bool) -> optuna.trial.FrozenTrial:
    attributes = {"config": full_config(trial), "stop": trial.stop, "best_epoch": trial.best_epoch, "host": "node-1"}
    attributes |= {"device": "cpu", "seconds": 12.5 * len(trial.curve), "seed": 1000 + trial.number}
    reported = None if trial.state == TrialState.FAIL else [trial.best]
    if scored:
        attributes["cost"] = trial.cost
        reported = [trial.best, trial.cost] if trial.state == TrialState.COMPLETE else None
    return create_trial(
        state=trial.state,
        values=reported,
        params=trial.params,
        distributions=SPACE,
        intermediate_values=dict(enumerate(trial.curve, start=1)),
        user_attrs=attributes,
    )


def write_epochs(folder: Path, trial: Trial) -> None:
    """trials/NNNN/epochs.jsonl: what the trial reported after each epoch."""
    folder.mkdir(parents=True)
    with (folder / "epochs.jsonl").open("w") as file:
        for epoch, value in enumerate(trial.curve, start=1):
            best = int(np.argmax(trial.curve[:epoch])) + 1
            train = min(0.99, value * (1 + 0.03 * epoch))
            row = {"epoch": epoch, "epoch_seconds": 12.5, "learning_rate": trial.params["learning_rate"]}
            for split, share in (("train", train), ("val", value)):
                row |= {f"{split}_loss": 4 - 3.5 * share, f"{split}_cross_entropy": 3.7 - 3.5 * share}
                row |= {f"{split}_accuracy": min(1, share + 0.04), f"{split}_macro_f1": share}
            row |= {"best_val_macro_f1": trial.curve[best - 1], "best_epoch": best}
            if epoch == MAX_EPOCHS:
                row |= {"done": True, "stop_kind": "max_epochs", "stop_reason": trial.stop["reason"]}
            file.write(json.dumps(row) + "\n")


def full_config(trial: Trial) -> dict[str, Any]:
    """Every knob of the trial, as the sweep stores it."""
    return TrialConfig(**trial.params, image_size=139, epochs=MAX_EPOCHS, seed=1000 + trial.number).model_dump()


def sweep_config(example: Example) -> dict[str, Any]:
    """sweep.yaml, resolved."""
    space: dict[str, Any] = {"learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
    space |= {"dropout": {"low": 0.0, "high": 0.6}, "dense_units": [64, 128, 256, 512], "unfrozen_layers": [0, 31, 62]}
    return {
        "name": NAME,
        "dataset": str(example.dataset),
        "experiment": str(example.experiment),
        "metric": "val_macro_f1",
        "mode": "max",
        "objectives": ["val_macro_f1", example.cost] if example.cost else [],
        "trials": len(example.trials),
        "seed": 7,
        "space": space,
        "trial": {"image_size": 139, "epochs": MAX_EPOCHS},
        "early_stopping": {"kind": "asha", "grace_epochs": 1, "reduction_factor": 3.0, "min_results": MIN_RESULTS},
    }


def summary(example: Example) -> dict[str, Any]:
    """sweep_summary.json, the marker of a sweep that has ended."""
    run = sum(len(trial.curve) for trial in example.trials)
    states = [trial.state.name for trial in example.trials]
    stopped = [trial for trial in example.trials if trial.stop["kind"] == "asha"]
    return {
        "ended_because": f"all {len(example.trials)} trials have ended",
        "trials": {state: states.count(state) for state in ("COMPLETE", "PRUNED", "FAIL")},
        "stopped_by": dict(Counter(trial.stop["kind"] for trial in example.trials)),
        "epochs_run": run,
        "epochs_saved": sum(MAX_EPOCHS - len(trial.curve) for trial in stopped),
        "wall_seconds": 12.5 * run / 2,
        "best_trial": example.best.number,
        "best_value": example.best.best,
        "best_epoch": example.best.best_epoch,
    }


def handoff(example: Example) -> dict[str, Any]:
    """best.json."""
    best = example.best
    return {
        "format": 1,
        "config": full_config(best),
        "metric": "val_macro_f1",
        "mode": "max",
        "score": best.best,
        "epoch": best.best_epoch,
        "study": NAME,
        "trial": best.number,
        "dataset": str(example.dataset),
        "dataset_fingerprint": f"{7:064x}",
        "weights": {"kind": "imagenet", "detail": "ImageNet weights from Keras", "warning": None},
        "versions": VERSIONS,
        "git_commit": "8a1405b",
    }
