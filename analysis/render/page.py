"""Fill a page's template: one self-contained HTML file with the house's style sheet."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from analysis.render.files import write_text
from analysis.render.svg import COLOURS, Picture, standalone


def write_figures(folder: Path, pictures: Collection[Picture]) -> None:
    """Write each picture as a file of its own, and remove those that an earlier page had and this one has not.

    Raises:
        UserError: the folder cannot be written.
    """
    for picture in pictures:
        write_text(folder / f"{picture.name}.svg", standalone(picture.wide))
    for old in set(folder.glob("*.svg")) - {folder / f"{picture.name}.svg" for picture in pictures}:
        old.unlink()


def render_page(template: str, mark: str, pictures: Mapping[str, Picture], **context: Any) -> str:
    """The page as HTML; `mark` stands in its meta data and is how a later run knows that it may overwrite it."""
    loader = jinja2.FileSystemLoader(Path(__file__).parents[1])
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    light, dark = (Markup("".join(f"--{name}:{pair[which]};" for name, pair in COLOURS.items())) for which in (0, 1))
    drawn = {name: (picture, Markup(picture.wide), Markup(picture.narrow)) for name, picture in pictures.items()}
    return environment.get_template(template).render(mark=mark, light=light, dark=dark, pictures=drawn, **context)
