from collections import Counter

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import drawn, encoded
from trainables.data.photo_files import Exclusion, Inspection, PhotoFile, inspect_bytes
from trainables.review.findings import blank, irrelevant, is_blank, is_tiny, near_duplicates, tiny, undecodable, why
from trainables.review.ranking import Ranking


def photo(name: str, family: str = "felidae") -> PhotoFile:
    return PhotoFile(name, f"{family}/{name}.jpg", family)


def seen(picture: Image.Image) -> Inspection:
    return inspect_bytes(encoded(picture, "PNG"))


@pytest.mark.parametrize(
    ("similar", "sentence"),
    [
        (
            {"a": 2, "b": 2, "c": 3, "d": 3},
            "fits no family: its 10 most similar photos come from 4 families, 2 are a",
        ),
        ({"b": 4, "c": 4}, "fits no family: its 8 most similar photos come from 2 families, none are a"),
        ({"b": 7, "c": 2, "a": 1}, "looks like b: 7 of its 10 most similar photos are, 1 is a"),
        ({"a": 6, "b": 4}, "odd for a, though 6 of its 10 most similar photos are a"),
        ({}, "it is unlike the rest of its family"),
    ],
)
def test_the_reason_says_what_the_similar_photos_are(similar: dict[str, int], sentence: str) -> None:
    assert why("a", Counter(similar)) == sentence


def test_the_least_in_place_come_first_with_their_similar_photos() -> None:
    photos = [photo("0"), photo("1", "canidae"), photo("2"), photo("3")]
    neighbours = np.array([[2, 3, 1], [0, 2, 3], [3, 0, 1], [2, 0, 1]])
    ranking = Ranking(np.array([0.1, 2.5, -1.0, 1.25], dtype=np.float32), neighbours)
    first, second = irrelevant(photos, ranking, 2)
    assert (first.rank, first.source, first.family, first.score) == (1, "canidae/1.jpg", "canidae", 2.5)
    assert first.looks_like == "felidae"
    assert first.alike == ("felidae/0.jpg", "felidae/2.jpg", "felidae/3.jpg")
    assert first.reason == "looks like felidae: 3 of its 3 most similar photos are, none are canidae"
    assert (second.rank, second.source) == (2, "felidae/3.jpg")


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_uniform_and_dark_noisy_photos_are_blank(shade: int) -> None:
    assert is_blank(seen(Image.new("RGB", (90, 60), (shade, shade, shade))))
    noise = np.random.default_rng(shade).integers(-9, 10, (60, 90, 3)) + shade
    assert is_blank(seen(Image.fromarray(noise.clip(0, 255).astype(np.uint8))))


def test_a_small_bird_in_a_plain_sky_is_not_blank() -> None:
    sky = Image.new("RGB", (320, 240), (150, 180, 220))
    sky.paste((60, 60, 60), (140, 100, 190, 130))
    assert not is_blank(seen(sky))
    assert not is_blank(seen(drawn(1)))


def test_tiny_goes_by_the_shorter_side() -> None:
    wide = seen(drawn(1, (400, 63)))
    assert is_tiny(wide, 64)
    assert not is_tiny(wide, 63)
    smaller = seen(drawn(2, (20, 30)))
    listed = list(tiny([(photo("wide"), wide), (photo("small"), smaller)]))
    assert [(one.rank, one.source, one.reason) for one in listed] == [
        (1, "felidae/small.jpg", "only 20 × 30 pixels"),
        (2, "felidae/wide.jpg", "only 400 × 63 pixels"),
    ]


def test_what_does_not_decode_is_told_with_its_reason() -> None:
    (one,) = undecodable([(photo("cut"), Exclusion("a/cut.jpg", "truncated", "image file is truncated"))])
    assert (one.section, one.source, one.score) == ("undecodable", "felidae/cut.jpg", None)
    assert one.reason == "truncated: image file is truncated"
    assert [one.section for one in blank([photo("white")])] == ["blank"]


def test_copies_in_different_families_come_first() -> None:
    photos = [photo("0"), photo("1"), photo("2"), photo("3"), photo("4", "canidae"), photo("5")]
    groups = ["g0", "g0", "g0", "g3", "g3", "g5"]
    hashes = ["x", "y", "z", "same", "same", "alone"]
    found = list(near_duplicates(photos, groups, hashes))
    assert [(one.rank, one.source) for one in found] == [
        (1, "canidae/4.jpg"),
        (1, "felidae/3.jpg"),
        (2, "felidae/0.jpg"),
        (2, "felidae/1.jpg"),
        (2, "felidae/2.jpg"),
    ]
    assert found[1].reason == "the same file as canidae/4.jpg, which lies in canidae"
    assert found[1].looks_like == "canidae"
    assert found[2].reason == "the same picture as felidae/1.jpg and 1 more"
