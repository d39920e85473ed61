import numpy as np
from PIL import Image

from trainables.overlay import overlay


def test_cold_parts_lose_their_colour_and_hot_parts_glow() -> None:
    photo = Image.new("RGB", (80, 40), (20, 60, 200))
    heat = np.zeros((4, 4), np.float32)
    heat[:, 3] = 1
    shown = np.asarray(overlay(photo, heat)).astype(int)
    assert shown.shape == (40, 80, 3)
    cold, hot = shown[20, 5], shown[20, 78]
    assert np.ptp(cold) <= 1  # grey
    assert hot[0] - hot[2] > -60  # a photo that was far bluer than red (180) has turned towards red


def test_without_heat_the_photo_is_grey_and_nothing_else() -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8))
    shown = np.asarray(overlay(photo, np.zeros((3, 3), np.float32)))
    np.testing.assert_array_equal(shown, np.asarray(photo.convert("L").convert("RGB")))
