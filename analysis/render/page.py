"""Page of sections: one self-contained HTML file, its pictures beside it."""

import datetime
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.render.files import output_folder, write_file
from analysis.render.section import Section
from analysis.render.svg import DARK, LIGHT, Picture, standalone
from analysis.render.wording import moment
from trainables.errors import UserError

PAGE = "index.html"


def write_page(
    folder: Path, mark: str, sections: Sequence[Section], write_tables: Callable[[Path], object], **context: Any
) -> Path:
    """Write index.html and figures/*.svg into `folder`, and return the page.

    index.html is written last: where it is, the rest is whole. Pictures that an earlier page had are removed.

    Args:
        mark: the kind of page; it stands in the meta data, and only a page that has it is overwritten.
        write_tables: writes the page's other files into the folder it is given.
        context: the template's `name`, and its `subtitle`, `cautions` and `contents` if it has them.

    Raises:
        UserError: `folder` cannot be written or holds another page.
    """
    page = folder / PAGE
    if page.is_file() and mark not in page.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise UserError(f"{page} is not a {mark} and stays as it is; give another folder with --out")
    output_folder(folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda part: type(part).__name__.lower()
    text = environment.get_template("page.html.j2").render(
        mark=mark,
        light=Markup(LIGHT),
        dark=Markup(DARK),
        # Neighbours with the same heading are one section.
        sections=[
            Section(heading, tuple(part for each in same for part in each.parts))
            for heading, same in groupby(sections, key=lambda section: section.heading)
        ],
        written=moment(datetime.datetime.now(datetime.UTC).isoformat()),
        **{"subtitle": "", "cautions": [], "contents": False} | context,
    )
    write_tables(folder)
    figures = folder / "figures"
    pictures = {
        figures / f"{part.name}.svg": part for each in sections for part in each.parts if isinstance(part, Picture)
    }
    for file, picture in pictures.items():
        write_file(file, standalone(picture.wide))
    for old in figures.glob("*.svg"):
        if old not in pictures:
            old.unlink()
    write_file(page, text)
    return page
