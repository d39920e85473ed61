from pathlib import Path

import pytest
from PIL import ImageFont

from trainables.final import lettering
from trainables.final.lettering import drawable, font_with, spelled, warning

NO_FONT_HAS = "\U000f0000"  # For private use: nobody's letter.


@pytest.mark.parametrize("text", ["felidae", "été Ω рысь", r"a|<b>$\frac$"])
def test_matplotlibs_own_font_is_taken_where_it_has_the_letters(text: str) -> None:
    assert Path(font_with(text) or "").name == "DejaVuSans.ttf"
    assert (drawable(text, 3), spelled(text)) == (text, text)


def test_a_name_without_a_font_is_its_row_and_no_box() -> None:
    assert font_with(NO_FONT_HAS) is None
    assert drawable(NO_FONT_HAS, 3) == "family 4"
    assert spelled(f"lynx {NO_FONT_HAS}") == "lynx \\U000f0000"
    assert "the letters of 1 names, such as" in (warning(["lynx", NO_FONT_HAS]) or "")
    assert warning(["lynx"]) is None


def test_another_font_of_the_machine_is_taken_where_it_has_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = {"own": frozenset(map(ord, "abc")), "other": frozenset(map(ord, "abc鳥"))}
    monkeypatch.setattr(lettering, "_fonts", lambda: ("own", "other"))
    monkeypatch.setattr(lettering, "_letters", letters.__getitem__)
    font_with.cache_clear()
    try:
        assert (font_with("a"), font_with("a 鳥"), font_with("獣")) == ("own", "other", None)
    finally:
        font_with.cache_clear()


def test_pillow_reads_the_font_that_is_named() -> None:
    assert ImageFont.truetype(font_with("рысь"), 11).getlength("рысь") > 10
