import numpy as np
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn
from trainables.near_duplicates.descriptor import ANGLES, RINGS, ImageDescriptor, describe


def rings(descriptor: ImageDescriptor) -> np.ndarray:
    return np.frombuffer(descriptor.rings, np.uint8).reshape(RINGS, ANGLES).astype(int)


def test_a_look_is_small_whatever_the_picture_s_size() -> None:
    sizes = {sum(map(len, describe(drawn(1, size))[1:])) for size in ((8, 8), (96, 72), (900, 500))}
    assert sizes == {16 * 16 + RINGS * ANGLES}


def test_to_turn_a_picture_is_to_roll_its_rings() -> None:
    turned = describe(drawn(1, (80, 80)).transpose(Image.Transpose.ROTATE_90))
    rolled = np.roll(rings(describe(drawn(1, (80, 80)))), -ANGLES // 4, axis=1)
    assert np.abs(rings(turned) - rolled).max() <= 2


def test_to_mirror_a_picture_is_to_reverse_its_rings() -> None:
    mirrored = describe(drawn(1).transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    reversed_rings = np.roll(rings(describe(drawn(1)))[:, ::-1], 1, axis=1)
    assert np.abs(rings(mirrored) - reversed_rings).max() <= 2


def test_the_perceptual_hash_is_imagehash_s() -> None:
    import imagehash

    assert describe(drawn(1)).perceptual_hash == int(str(imagehash.phash(drawn(1))), 16)
