"""Fonts that have the letters of a family's name, among those of this machine."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager, ft2font

# They have a glyph for every letter, and it is a box or nothing.
_EMPTY = ("lastresort", "adobeblank", "notosansblank")


@cache
def font_with(text: str) -> str | None:
    """The file of a font that has all letters of `text`: Matplotlib's own where it does; None where no font does."""
    needed = {ord(letter) for letter in text if not letter.isspace()}
    return next((font for font in _fonts() if needed <= _letters(font)), None)


def drawable(name: str, label: int) -> str:
    """The name where some font has its letters, else its row in families.csv: a box says less than a number."""
    return name if font_with(name) else f"family {label + 1}"


def spelled(text: str) -> str:
    """`text` where some font has its letters, else with escapes: \\u9ce5."""
    return text if font_with(text) else text.encode("ascii", "backslashreplace").decode()


def warning(names: Iterable[str]) -> str | None:
    """What to say of names that no font here can draw; None where all can be."""
    missing = [name for name in names if not font_with(name)]
    if not missing:
        return None
    return (
        f"no font on this machine has the letters of {len(missing)} names, such as {missing[0]}: pictures show their "
        "row in families.csv, the report the letters; install a font for them (Noto Sans has most scripts)"
    )


@cache
def _fonts() -> tuple[str, ...]:
    own = str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
    found = sorted(font_manager.findSystemFonts())
    return (own, *(font for font in found if not any(word in Path(font).name.lower() for word in _EMPTY)))


@cache
def _letters(font: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(font).get_charmap())
    except (OSError, RuntimeError):  # A file of the system's that FreeType does not read.
        return frozenset()
