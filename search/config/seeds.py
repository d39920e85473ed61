"""Seeds and draws from the sweep's seed, trial number and purpose."""

import hashlib


def trial_seed(seed: int, trial: int, purpose: str) -> int:
    """Return a seed in 0..2**32-1."""
    return int(unit_draw(seed, trial, purpose) * 2**32)


def unit_draw(seed: int, trial: int, purpose: str) -> float:
    """Return a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{trial}/{purpose}".encode()).digest()[:6]) / 2**48
