"""Seeds and random draws that follow from the sweep's seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def trial_seed(sweep_seed: int, trial: int, purpose: str) -> int:
    """Return a seed in 0..2**32-1 that follows from the sweep's seed, the trial's number and the purpose alone."""
    digest = hashlib.sha256(f"{sweep_seed}/{trial}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4])


def unit_draw(seed: int, trial: int, purpose: str) -> float:
    """Return a number in [0, 1) that follows from the seed, the trial's number and the purpose alone."""
    digest = hashlib.sha256(f"{seed}/{trial}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48
