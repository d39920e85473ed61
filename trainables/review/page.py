"""The contact sheet of a review: one HTML file with its thumbnails inside, where a person ticks what to leave out."""

import hashlib
import io
import os
import shlex
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from PIL import Image

from trainables.data.images import ImageUnreadable, decode_resized, image_size
from trainables.device import usable_cores
from trainables.errors import UserError
from trainables.files.output import data_uri
from trainables.review.findings import Finding, Review

MOST_COPIES = 150  # groups of near-duplicates on the page; all are in the list
_PHOTO_SIDE = 224
_COPY_SIDE = 128
_TILE = 72
_QUALITY = 72


class Card(NamedTuple):
    """A finding with its pictures: `photo` is a data: address, "" where there is none; `alike` is a strip's name."""

    finding: Finding
    photo: str
    width: int
    height: int
    original: str
    alike: str


class Strip(NamedTuple):
    """Up to three photos side by side in one picture; it stands in the page once, however often it is shown."""

    name: str
    address: str
    tiles: int


def render(result: Review, out: Path) -> str:
    """The page as HTML; it links to the original photos relative to `out`, where it will lie.

    Raises:
        UserError: a photo cannot be read any more.
    """
    shown = [one for one in result.findings if one.section != "near-duplicate" or one.rank <= MOST_COPIES]
    ranked = [one for one in shown if one.section == "irrelevant"]
    with ThreadPoolExecutor(usable_cores()) as pool:
        cards = list(pool.map(lambda one: _card(result.root, out, one), shown))
        families = sorted({one.family for one in ranked})
        typical = pool.map(lambda name: _strip(result.root, f"f{families.index(name)}", result.typical[name]), families)
        alike = pool.map(lambda one: _strip(result.root, f"a{one.rank}", one.alike), ranked)
        strips = [*typical, *alike]
    sections = {name: [card for card in cards if card.finding.section == name] for name in _names(shown)}
    page: str = _template().render(
        review=result,
        sections=sections,
        copies=_grouped(sections.get("near-duplicate", [])),
        all_copies=len({one.rank for one in result.section("near-duplicate")}),
        strips=strips,
        strip_of=dict(zip(families, strips, strict=False)),
        key=hashlib.sha256("\n".join(one.source for one in result.findings).encode()).hexdigest()[:16],
        photos=shlex.quote(_shown(result.root)),
        tile=_TILE,
    )
    return page


def _names(findings: Iterable[Finding]) -> list[str]:
    return list(dict.fromkeys(one.section for one in findings))


def _grouped(cards: Sequence[Card]) -> list[list[Card]]:
    groups: dict[int, list[Card]] = {}
    for card in cards:
        groups.setdefault(card.finding.rank, []).append(card)
    return list(groups.values())


def _shown(root: Path) -> str:
    """The path as a person would type it where the command was run."""
    return os.path.relpath(root) if root.is_relative_to(Path.cwd()) else str(root)


def _card(root: Path, out: Path, finding: Finding) -> Card:
    original = quote(Path(os.path.relpath(root / finding.source, out)).as_posix())
    alike = f"a{finding.rank}" if finding.section == "irrelevant" else ""
    if finding.section == "undecodable":
        return Card(finding, "", 0, 0, original, alike)
    picture = _thumbnail(root, finding.source, _COPY_SIDE if finding.section == "near-duplicate" else _PHOTO_SIDE)
    return Card(finding, _address(picture), picture.width, picture.height, original, alike)


def _thumbnail(root: Path, source: str, side: int) -> Image.Image:
    """The photo with its own aspect, `side` pixels at its longer side, or its own size if that is less."""
    try:
        image = (root / source).read_bytes()
        width, height = image_size(image)
        square = Image.fromarray(decode_resized(image, min(side, max(width, height))))
    except (OSError, ImageUnreadable) as error:
        raise UserError(f"{root / source} changed while it was reviewed: {error}; run again") from None
    scale = square.width / max(width, height)
    return square.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)


def _strip(root: Path, name: str, sources: Sequence[str]) -> Strip:
    strip = Image.new("RGB", (_TILE * max(1, len(sources)), _TILE), "white")
    for number, source in enumerate(sources):
        picture = _thumbnail(root, source, 2 * _TILE)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        tile = picture.resize((_TILE, _TILE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        strip.paste(tile, (number * _TILE, 0))
    return Strip(name, _address(strip), len(sources))


def _address(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return data_uri(stream.getvalue())


def _template() -> Any:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("review.html.j2")
