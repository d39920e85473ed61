import math

from tests.trainables_tests.training_example import SMALL
from trainables.training.speed import SpeedTest


def test_a_probe_times_every_tail_and_what_is_frozen() -> None:
    speed = SpeedTest(SMALL, [0, 10], classes=4, threads=1).measure(0.01)
    assert len(speed.tails) == 2
    assert all(0 < tail.train < math.inf and 0 < tail.evaluate < math.inf for tail in speed.tails.values())
    assert speed.tails["pooled"].bytes_per_photo == 4 * 1280
    assert 0 < speed.prefix < math.inf
    assert speed.resident_bytes > 10**7
