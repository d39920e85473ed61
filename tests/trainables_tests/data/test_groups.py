import pytest

from tests.trainables_tests.drawn_photos import drawn
from trainables.data.photo_files import PhotoFile
from trainables.data.split import check_rules, group_photos
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import describe

DESCRIPTORS = [describe(drawn(number)) for number in (1, 2, 3, 4, 1)]
FILES = [
    PhotoFile("e", "f/0.jpg", "f", "46", 100),
    PhotoFile("d", "f/1.jpg", "f", "46", 101),
    PhotoFile("c", "f/2.jpg", "f", "46", 103),
    PhotoFile("b", "f/3.jpg", "f", "47", 102),
    PhotoFile("a", "f/4.jpg", "f", None, None),
]
HASHES = ["h0", "h1", "h2", "h3", "h4"]


def test_near_duplicates_are_one_group_named_after_its_smallest_id() -> None:
    assert group_photos(FILES, HASHES, DESCRIPTORS, ["near-duplicates"]) == ["a", "d", "c", "b", "a"]


def test_exact_copies_are_one_group_whatever_the_rule() -> None:
    assert group_photos(FILES, ["h0", "h1", "h2", "h0", "h4"], DESCRIPTORS, ["none"]) == ["b", "d", "c", "b", "a"]


def test_a_burst_is_one_species_with_adjacent_content_ids() -> None:
    # 100 and 101 of species 46 follow each other; 102 is of another species, so 103 is alone.
    assert group_photos(FILES, HASHES, DESCRIPTORS, ["bursts"]) == ["d", "d", "c", "b", "a"]


def test_a_species_is_one_group_and_photos_without_one_are_not() -> None:
    assert group_photos(FILES, HASHES, DESCRIPTORS, ["species"]) == ["c", "c", "c", "b", "a"]


def test_rules_add_up() -> None:
    assert group_photos(FILES, HASHES, DESCRIPTORS, ["near-duplicates", "species"]) == ["a", "a", "a", "b", "a"]


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (["near"], "no grouping rule is called 'near'; the rules are near-duplicates, bursts, species, none"),
        (["none", "bursts"], "--group none goes with no other rule, not with bursts"),
        (["bursts"], "--group bursts needs metadata with eol_page_id"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(rules: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        check_rules(rules, FILES[4:])
