import re
import warnings
import xml.etree.ElementTree as ElementTree

import pytest

from analysis.render.svg import COLOURS, NARROW, WIDE, Picture, canvas, standalone, thin


@pytest.fixture(scope="module")
def drawn():
    def draw(size):
        figure, (axes,) = canvas(size, 200)
        axes.plot([1, 2, 3], [0.1, 0.123456789, 0.3], marker="o", color=COLOURS["blue"][0], label="a$b < c")
        axes.set_title("a$b < c$ & d")
        return figure

    return Picture("some", "Title <b>", "What it shows & why", draw)


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_a_picture_is_well_formed_and_as_wide_as_its_page(drawn, size):
    svg = getattr(drawn, size.name)
    root = ElementTree.fromstring(svg)
    assert root.attrib["viewBox"].split() == ["0", "0", str(size.width), "200"]


def test_a_picture_can_be_read_aloud(drawn):
    root = ElementTree.fromstring(drawn.wide)
    assert root.attrib["role"] == "img"
    title, description = (root.find(f"*[@id='{name}']") for name in root.attrib["aria-labelledby"].split())
    assert title.text == "Title <b>"
    assert description.text == "What it shows & why"


def test_text_stays_text_and_is_never_taken_for_a_formula(drawn):
    texts = [element.text for element in ElementTree.fromstring(drawn.wide).iter("text")]
    assert "a$b < c$ & d" in texts


@pytest.mark.parametrize("name", [r"$\frac$", "鳥類", "\U000f0000", "<b>x</b>", "a|b"])
def test_letters_of_any_script_stand_in_the_page_as_they_are(name):
    """Whether or not a font of this machine has them: the reader's may."""

    def draw(size):
        figure, (axes,) = canvas(size, 200)
        axes.set_yticks([0, 1], [name, "plain"])
        return figure

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        root = ElementTree.fromstring(Picture("names", "t", "a", draw).wide)
    assert name in [element.text for element in root.iter("text")]


def test_colours_follow_the_page(drawn):
    assert f"var(--blue,{COLOURS['blue'][0]})" in drawn.wide
    assert not re.search(r"(?:fill|stroke): #", drawn.wide)


def test_the_two_sizes_share_no_identifier(drawn):
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (drawn.wide, drawn.narrow)]
    assert not set(ids[0]) & set(ids[1])
    for found, svg in zip(ids, (drawn.wide, drawn.narrow), strict=True):
        assert len(found) == len(set(found))
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) <= set(found)


def test_drawing_again_gives_the_same_bytes(drawn):
    def draw(size):
        return canvas(size, 100)[0]

    first, second = Picture("x", "t", "a", draw), Picture("x", "t", "a", draw)
    assert (first.wide, first.narrow) == (second.wide, second.narrow)


def test_a_picture_as_a_file_brings_its_own_colours_for_light_and_dark(drawn):
    text = standalone(drawn.wide)
    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    for light, dark in COLOURS.values():
        assert light in text
        assert dark in text


def test_the_palette_can_be_told_apart():
    assert len({pair[0] for pair in COLOURS.values()}) == len({pair[1] for pair in COLOURS.values()}) == len(COLOURS)


@pytest.mark.parametrize(("foreground", "background"), [("ink", "paper"), ("muted", "paper")])
@pytest.mark.parametrize("theme", [0, 1])
def test_text_has_the_contrast_that_accessibility_rules_ask_for(foreground, background, theme):
    light, dark = sorted((_luminance(COLOURS[name][theme]) for name in (foreground, background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def _luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_thinning_keeps_the_ends_and_what_must_stay():
    assert thin(5, 10) == [0, 1, 2, 3, 4]
    kept = thin(1000, 10, keep=[700])
    assert kept[0] == 0
    assert kept[-1] == 999
    assert 700 in kept
    assert len(kept) == 11
