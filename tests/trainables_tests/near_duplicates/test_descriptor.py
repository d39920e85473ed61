import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.activations.augment import augment, draw_parameters
from trainables.config import Augmentation
from trainables.data.images import decode
from trainables.near_duplicates.descriptor import ANGLES, RINGS, ImageDescriptor, TransformedCopies, describe


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


def found(*pictures: Image.Image) -> set[tuple[int, int]]:
    rows, columns, _ = TransformedCopies([describe(picture) for picture in pictures]).of_block(0, len(pictures))
    return set(zip(rows.tolist(), columns.tolist(), strict=True))


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_mirrored_and_turned_copies_are_found(turn: Image.Transpose) -> None:
    copy = decode(encoded(drawn(1).transpose(turn), quality=80))
    assert found(drawn(1), copy, drawn(2)) == {(0, 1)}


def test_the_study_s_augmented_copies_are_found_and_others_are_not() -> None:
    photos = [drawn(number, (224, 224)) for number in range(40)]
    pixels = np.stack([np.asarray(photo) for photo in photos])
    parameters = draw_parameters([str(number) for number in range(40)], view=0, seed=0, ranges=Augmentation())
    copies = [Image.fromarray(copy) for copy in augment(pixels, parameters).numpy().astype(np.uint8)]
    pairs = found(*photos, *copies)
    assert sum((number, number + 40) in pairs for number in range(40)) >= 39
    assert all(right == left + 40 for left, right in pairs)


def test_flat_pictures_are_nobody_s_copies() -> None:
    assert found(*(Image.new("RGB", (64, 64), (grey, grey, grey)) for grey in (0, 128, 255))) == set()


def test_blocks_find_what_one_search_finds() -> None:
    pictures = [drawn(number % 5).rotate(0 if number < 5 else 180) for number in range(10)]
    copies = TransformedCopies([describe(picture) for picture in pictures])
    pairs = set()
    for start in range(0, 10, 4):
        rows, columns, _ = copies.of_block(start, min(start + 4, 10))
        pairs |= set(zip((rows + start).tolist(), (columns + start).tolist(), strict=True))
    assert pairs == {(number, number + 5) for number in range(5)}
