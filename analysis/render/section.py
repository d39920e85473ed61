"""Section of a page: heading, prose, tables and pictures.

render/macros.html.j2 has a macro for each kind of part, named as its class in small letters.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from analysis.render.svg import Picture


class Heading(NamedTuple):
    """`anchor` is what links lead to; `short` stands in the page's contents where the title is long."""

    anchor: str
    title: str
    short: str = ""


class Head(NamedTuple):
    """A column's heading; `kind` is "num" (right-aligned), "plain" (one line), "fact" or "why" (sentences)."""

    text: str
    kind: str = ""
    group: str = ""


class Line(NamedTuple):
    """A row: the first cell is its heading; `best` rows stand out."""

    cells: tuple[str, ...]
    best: bool = False


class Table(NamedTuple):
    """A table of finished text; `name` is unique in a page, `note` says under the caption what a reader must know.

    `sticky` keeps the first column in sight on a phone; `breakout` lets the table be wider than the text.
    """

    name: str
    caption: str
    heads: tuple[Head, ...]
    rows: tuple[Line, ...]
    note: str = ""
    sticky: bool = True
    breakout: bool = False

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings over columns with how many columns each spans; empty when no column has one."""
        spans: list[tuple[str, int]] = []
        for head in self.heads:
            if spans and head.group and spans[-1][0] == head.group:
                spans[-1] = (head.group, spans[-1][1] + 1)
            else:
                spans.append((head.group, 1))
        return spans if any(group for group, _ in spans) else []


class Prose(NamedTuple):
    """A paragraph (Markup where it has links), under `heading` if there is one; `style` are CSS classes."""

    text: str
    heading: str = ""
    style: str = ""


class Terms(NamedTuple):
    """Names with what they are: `style` is "settings" (short values in columns) or "terms" (sentences)."""

    entries: Mapping[str, str]
    style: str


class Tile(NamedTuple):
    """One large number: what it is, the number, and what to know with it."""

    label: str
    number: str
    more: str


class Tiles(NamedTuple):
    """Large numbers, the most important first."""

    tiles: tuple[Tile, ...]


class Photo(NamedTuple):
    """A data address, what it shows, the line under it, and the photo with Grad-CAM laid over it; "" for none."""

    address: str
    alt: str
    says: str = ""
    why: str = ""


class Cards(NamedTuple):
    """Photos, each with a line under it."""

    photos: tuple[Photo, ...]


class ConfusedPhotos(NamedTuple):
    """Test photos of one family that were taken for another, and training photos of that other one."""

    title: str
    photos: tuple[Photo, ...]
    other: str
    compare: tuple[Photo, ...]


class Photograph(NamedTuple):
    """A large JPEG as a data address, with its caption and the text for those who cannot see it."""

    name: str
    title: str
    alt: str
    address: str


Part = Table | Prose | Terms | Tiles | Cards | ConfusedPhotos | Photograph | Picture


class Section(NamedTuple):
    """What stands under a heading, in order; neighbours with the same heading share it."""

    heading: Heading
    parts: tuple[Part, ...]


def retrain_command(handoff: Path) -> Prose:
    """The command line, to copy, that trains a hand-off's configuration to its end."""
    return Prose(Markup("<code>python -m trainables retrain {}</code>").format(shlex.quote(str(handoff))))
