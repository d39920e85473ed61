import pytest

from trainables.data.formats.local_files import LocalFiles, address_names, common_offset

THERE = ["north/1.jpg", "north/2.jpg", "South/1.jpg"]


@pytest.mark.parametrize(
    ("listed", "offset"),
    [
        (THERE, (0, "")),
        (["d:/traps/north/1.jpg", "d:/traps/north/2.jpg", "d:/traps/south/1.jpg"], (2, "")),
        (["2.jpg", "1.jpg"], (0, "north/")),
        (["elsewhere.jpg"], (0, "")),
        ([], (0, "")),
    ],
)
def test_how_a_list_s_paths_lie_to_those_that_are_there(listed: list[str], offset: tuple[int, str]) -> None:
    assert common_offset(listed, THERE) == offset


def test_a_name_finds_a_photo_only_where_it_is_the_only_one() -> None:
    local = LocalFiles(THERE)
    assert local.at("south/1.JPG") == "South/1.jpg"
    assert local.at("1.jpg") is None
    assert local.called("1.jpg", "2") == "north/2.jpg"
    assert local.called("north/1.jpg") == "north/1.jpg"
    assert local.called("1.jpg", "") is None


def test_the_names_of_an_address() -> None:
    assert address_names("https://x.org/photos/12/a%20b.jpg?size=3") == ("12/a b.jpg", "a b.jpg")
    assert address_names("https://x.org") == ("", "")
