"""The learning rate at a step."""

import math


def learning_rate(schedule: str, initial: float, step: int, total_steps: int) -> float:
    """Learning rate for `step` of `total_steps` (both counted in batches over all epochs that the trial may run).

    `cosine` decays from `initial` to 0 (Loshchilov and Hutter 2017, without restarts); `constant` stays.
    """
    if schedule == "constant":
        return initial
    return initial * 0.5 * (1 + math.cos(math.pi * min(step / total_steps, 1.0)))
