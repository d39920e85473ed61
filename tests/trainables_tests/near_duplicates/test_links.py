import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.images import decode
from trainables.data.photo_files import inspect_bytes
from trainables.near_duplicates.descriptor import ImageDescriptor, describe
from trainables.near_duplicates.links import CHAIN, Forest, components, links_of_equal, near_duplicate_links


def groups(pictures: list[Image.Image], classes: list[str] | None = None) -> list[int]:
    links = near_duplicate_links([describe(picture) for picture in pictures], classes or ["a"] * len(pictures))
    return components(len(pictures), links)


def smaller(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 3, picture.height // 3))


COPIES = {
    "re-encoded badly": lambda picture: decode(encoded(picture, quality=20)),
    "resized": smaller,
    "squeezed square": lambda picture: picture.resize((64, 64)),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "grey": lambda picture: picture.convert("L"),
    "cropped a little": lambda picture: picture.crop((4, 3, picture.width - 4, picture.height - 3)),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


@pytest.mark.parametrize("change", list(COPIES))
def test_copies_are_found(change: str) -> None:
    pictures = [drawn(number, (300, 225)) for number in range(6)]
    copies = [COPIES[change](picture) for picture in pictures]
    assert groups(pictures + copies) == list(range(6)) * 2


def test_different_photos_are_not_joined() -> None:
    assert groups([drawn(number) for number in range(300)]) == list(range(300))


def chain_of_look_alikes(length: int) -> list[Image.Image]:
    """Each correlates with the next by 0.93, less with the one after, and so on."""
    angle = np.arccos(0.93)
    chain = [_clouds(0)]
    for number in range(1, length):
        chain.append(np.cos(angle) * chain[-1] + np.sin(angle) * _clouds(number))
    return [Image.fromarray(np.clip(128 + clouds, 0, 255).astype(np.uint8)) for clouds in chain]


def _clouds(number: int) -> np.ndarray:
    grey = np.asarray(drawn(number).convert("L"), np.float32)
    return 40 * (grey - grey.mean()) / grey.std()


def test_a_chain_of_look_alikes_is_not_one_group() -> None:
    assert len(set(groups(chain_of_look_alikes(2)))) == 1
    assert len(set(groups(chain_of_look_alikes(3 * CHAIN)))) > 2 * CHAIN


def test_many_copies_of_one_photo_are_one_group() -> None:
    copies = [drawn(1).resize((60 + 5 * number, 50 + 3 * number)) for number in range(3 * CHAIN)]
    assert set(groups([drawn(1), *copies])) == {0}


def test_across_classes_only_sure_copies_are_joined() -> None:
    near = chain_of_look_alikes(2)
    assert groups(near, ["a", "a"]) == [0, 0]
    assert groups(near, ["a", "b"]) == [0, 1]
    assert groups([drawn(1), smaller(drawn(1))], ["a", "b"]) == [0, 0]


def test_the_order_of_photos_changes_nothing() -> None:
    # Digits are the hardest: thousands of pairs near the thresholds, and chains.
    scans = [Image.fromarray((255 - 15 * scan).astype(np.uint8)) for scan in load_digits().images[:400]]
    descriptors = [describe(scan.resize((96, 96), Image.Resampling.BICUBIC)) for scan in scans]
    order = np.random.default_rng(0).permutation(len(descriptors)).tolist()
    joined = components(400, near_duplicate_links(descriptors, ["a"] * 400))
    again = components(400, near_duplicate_links([descriptors[n] for n in order], ["a"] * 400))
    assert len({*zip(again, (joined[n] for n in order), strict=True)}) == len(set(again)) == len(set(joined)) < 400


def test_no_photos_have_no_links() -> None:
    assert near_duplicate_links([], []) == []


def test_photos_that_all_look_alike_cost_no_more_than_others() -> None:
    base = describe(drawn(1))
    noise = np.random.default_rng(0).integers(-20, 20, (1000, len(base.rings)))
    rings = np.clip(np.frombuffer(base.rings, np.uint8) + noise, 0, 255).astype(np.uint8)
    alike = [ImageDescriptor(base.perceptual_hash, base.thumbnail, row.tobytes()) for row in rings]
    started = time.process_time()
    links = near_duplicate_links(alike, ["a"] * 1000)
    assert time.process_time() - started < 10  # half a million alike pairs, one by one, would take longer
    assert len(links) == 999


@pytest.mark.slow
def test_in_real_photos_only_copies_are_joined(shared: Path) -> None:
    files = sorted((shared / "data/rare_families").glob("*/*.jpg"))
    descriptors = [inspect_bytes(file.read_bytes()).descriptor for file in files]
    links = near_duplicate_links(descriptors, [file.parent.name for file in files])
    names = [(files[left].stem, files[right].stem) for left, right in links]
    leopards = [pair for pair in names if all("Leopards" in name for name in pair)]
    # Caltech-101 holds its leopards twice, mirrored: image_0001 … 0100 again as 0101 … 0200.
    assert sum(int(left[-4:]) + 100 == int(right[-4:]) for left, right in leopards) >= 95
    assert 140 <= len(links) <= 165


LINKS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40)


def reachable(count: int, links: list[tuple[int, int]]) -> list[int]:
    roots = list(range(count))
    for _ in range(count):
        for one, other in links:
            roots[one] = roots[other] = min(roots[one], roots[other])
    return roots


@given(LINKS)
def test_a_component_is_called_by_its_first_position(links: list[tuple[int, int]]) -> None:
    assert components(20, links) == reachable(20, links)


@given(LINKS, LINKS)
def test_a_forest_keeps_fewer_links_than_positions_and_joins_the_same(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    forest = Forest(20)
    for links in (first, second):
        pairs = np.array(links, dtype=np.int64).reshape(-1, 2)
        forest.add(pairs[:, 0], pairs[:, 1])
    assert len(forest.links) < 20
    assert forest.roots().tolist() == reachable(20, first + second) == components(20, forest.links)


def test_equal_keys_are_linked_and_missing_ones_are_not() -> None:
    assert components(6, links_of_equal(["a", None, "b", "a", None, ""])) == [0, 1, 2, 0, 4, 5]
