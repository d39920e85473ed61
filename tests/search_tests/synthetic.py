"""A stand-in for the trainable: learning curves as fine-tuning gives them, in no time, with faults on demand."""

import errno
import math
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import ray
from ray import tune

from trainables.errors import OutOfMemory, TrialFailed, UserError
from trainables.training.checkpoint import Checkpoints


class SyntheticTrial(tune.Trainable):
    """The class API of trainables.trial.FineTuneTrial over a formula.

    `FAULTS` says which trials go wrong, and when: {trial number: {"nan": epoch, "raise": epoch, "kill": epoch,
    "kill_once": epoch, "setup": True, "hopeless": True, "disk_full": True, "needs_gpu": part of one}}; with "quiet" a
    NaN does not end the trial. `SECONDS` is how long an epoch takes, `DROP` names metrics that are not reported.
    """

    FAULTS: ClassVar[dict[int, dict[str, Any]]] = {}
    SECONDS = 0.0
    DROP: tuple[str, ...] = ()

    def setup(self, config: dict[str, Any]) -> None:
        self._settings = config
        self._epoch = 0
        self._best, self._best_epoch = 0.0, 0
        self._curve = self.values(config)
        self._results: list[dict[str, Any]] = []
        self._checkpoints = Checkpoints(config["run"].checkpoint_dir, config["run"].checkpoint_every)
        self._again = self._load()
        self._fault = self.FAULTS.get(config["run"].trial, {})
        if self._fault.get("setup"):
            raise RuntimeError("the weights are damaged")
        if self._fault.get("disk_full"):
            raise OSError(errno.ENOSPC, "No space left on device", config["run"].checkpoint_dir)
        if self._fault.get("hopeless"):
            raise UserError("weights: w.h5 does not fit inception_v3")

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def values(self, config: dict[str, Any]) -> list[float]:
        return curve(config)

    def step(self) -> dict[str, Any]:
        result = self._again.pop(0) if self._again else self._next_epoch()
        return {key: value for key, value in result.items() if key not in self.DROP}

    def _next_epoch(self) -> dict[str, Any]:
        result = self._run_epoch()
        if self._checkpoints.due(result):
            state = {"progress": np.array([self._best, self._best_epoch])}
            self._checkpoints.write(state, result, self._results)
        self._results.append(result)
        return result

    def _run_epoch(self) -> dict[str, Any]:
        time.sleep(self.SECONDS)
        self._epoch += 1
        self._fail_if_asked()
        result = self._metrics() | self._cost()
        if not math.isfinite(result["val_loss"]) and "quiet" not in self._fault:
            result |= {
                "done": True,
                "stop_kind": "failed",
                "stop_reason": f"the loss was not finite at epoch {self._epoch}",
            }
        elif self._epoch - self._best_epoch >= self._settings["patience"]:
            reason = f"no better val_macro_f1 for {self._settings['patience']} epochs"
            result |= {"done": True, "stop_kind": "early_stopping", "stop_reason": reason}
        elif self._epoch >= self._settings["epochs"]:
            result |= {"done": True, "stop_kind": "max_epochs", "stop_reason": f"ran all {self._epoch} epochs"}
        return result

    def _load(self) -> list[dict[str, Any]]:
        checkpoint, _ = self._checkpoints.newest()
        if checkpoint is None:
            return []
        self._results = [*checkpoint.earlier, checkpoint.result]
        self._epoch = checkpoint.epoch
        self._best, self._best_epoch = float(checkpoint.state["progress"][0]), int(checkpoint.state["progress"][1])
        return checkpoint.unheard(self._settings["run"].known_epochs)

    def _fail_if_asked(self) -> None:
        fault, epoch = self._fault, self._epoch
        if ray.get_runtime_context().get_assigned_resources().get("GPU", 0) < fault.get("needs_gpu", 0):
            raise OutOfMemory("out of memory on GPU: failed to allocate 1 GiB")
        if fault.get("raise") == epoch:
            raise TrialFailed("out of memory at batch 3")
        if fault.get("kill") == epoch:
            os._exit(1)
        if fault.get("kill_once") == epoch:
            flag = Path(self._settings["run"].checkpoint_dir) / "killed"
            if not flag.exists():
                flag.parent.mkdir(parents=True, exist_ok=True)
                flag.touch()
                os._exit(1)

    def _cost(self) -> dict[str, Any]:
        name = self._settings["run"].cost
        return {} if name is None else {name: model_mb(self._settings)}

    def _metrics(self) -> dict[str, Any]:
        score = math.nan if self._fault.get("nan") == self._epoch else self._curve[self._epoch - 1]
        if score > self._best:
            self._best, self._best_epoch = score, self._epoch
        loss = math.nan if math.isnan(score) else 4.0 * (1 - score) + 0.2
        return {
            "epoch": self._epoch,
            "train_loss": loss * 0.8,
            "train_accuracy": min(1.0, score * 1.15),
            "train_macro_f1": min(1.0, score * 1.1),
            "train_cross_entropy": loss * 0.7,
            "val_loss": loss,
            "val_accuracy": min(1.0, score * 1.05),
            "val_macro_f1": score,
            "val_cross_entropy": loss * 0.9,
            "best_val_macro_f1": self._best,
            "best_epoch": self._best_epoch,
            "learning_rate": self._settings["learning_rate"]
            * (1 + math.cos(math.pi * self._epoch / self._settings["epochs"]))
            / 2,
            "epoch_seconds": self.SECONDS,
            "host": "synthetic",
            "device": "CPU",
        }


def model_mb(config: dict[str, Any]) -> float:
    """What a model of this width would take: the head's share of InceptionV3, in MB."""
    return 87.2 + 0.0082 * float(config["dense_units"])


def curve(config: dict[str, Any]) -> list[float]:
    """val_macro_f1 of each epoch: quick rise to a level that the knobs decide, a little noise, decay when overfitting.

    Best near learning rate 1e-3, dropout 0.3, 256 units and 31 unfrozen layers; a rate of 1e-5 learns hardly anything.
    """
    rate = math.log10(config["learning_rate"])
    level = 0.78 - 0.10 * (rate + 3.0) ** 2 - 0.25 * (config["dropout"] - 0.3) ** 2
    level -= 0.03 * abs(math.log2(config["dense_units"] / 256)) + 0.002 * abs(config["unfrozen_layers"] - 31)
    speed = 0.25 + 0.35 * max(0.0, min(1.0, (rate + 5) / 3))
    epochs = np.arange(1, config["epochs"] + 1)
    noise = np.random.default_rng(config["seed"]).normal(0, 0.012, len(epochs))
    overfit = 0.004 * max(0.0, rate + 3) * np.maximum(0, epochs - 5)
    return [float(value) for value in np.clip(level * (1 - np.exp(-speed * epochs)) + noise - overfit, 0.01, 0.99)]


def with_faults(
    faults: dict[int, dict[str, Any]], *, seconds: float = 0.0, drop: tuple[str, ...] = ()
) -> type[SyntheticTrial]:
    """Return the trainable with these faults, by trial number."""
    return type("SyntheticTrial", (SyntheticTrial,), {"FAULTS": faults, "SECONDS": seconds, "DROP": drop})
