"""Pictures: Matplotlib figures as SVG in the page's text and colours.

Every picture is drawn twice, for a wide page and for a phone: an SVG only scales as a whole, so one drawing would have
unreadable text on the other. Colours are those of Okabe and Ito, which colour-blind readers can tell apart
(https://jfly.uni-koeln.de/color/); no picture says anything by colour alone.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from analysis.render.wording import is_share


class Size(NamedTuple):
    """The width of a drawing and the size of its text, in CSS pixels."""

    name: str
    width: int
    text: float

    @property
    def wide(self) -> bool:
        """Whether it is the drawing for a wide page, not that for a phone."""
        return self.name == "wide"

    def beside(self, panels: int) -> tuple[int, int]:
        """Rows and columns of panels that lie side by side, on a phone one below the other."""
        return (1, panels) if self.wide else (panels, 1)


WIDE = Size("wide", 880, 13)
NARROW = Size("narrow", 356, 12)


@dataclass(frozen=True)
class Picture:
    """A picture of a page, drawn when it is first looked at; `draw` makes the figure in a size.

    `name` is unique in a page; `alt` tells those who cannot see it what it shows; `note` stands below its title.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Size], Figure]
    note: str = ""

    @cached_property
    def wide(self) -> str:
        """Inline SVG for a wide page."""
        return inline_svg(self, WIDE)

    @cached_property
    def narrow(self) -> str:
        """Inline SVG for a phone."""
        return inline_svg(self, NARROW)


# name: (on light, on dark). The light ones are drawn; the page's style sheet exchanges them for the dark ones.
COLOURS = {
    "ink": ("#1b1f24", "#e6e9ec"),
    "muted": ("#59636e", "#a3adb8"),
    "grid": ("#dfe3e8", "#333b45"),
    "faint": ("#b4bcc6", "#56606c"),
    "paper": ("#fefefe", "#15191e"),
    "blue": ("#0072b2", "#4aa8e8"),
    "orange": ("#e69f00", "#f2b43a"),
    "green": ("#009e73", "#35c99e"),
    "vermilion": ("#d55e00", "#f58549"),
    "purple": ("#cc79a7", "#e3a3c6"),
    "sky": ("#56b4e9", "#9ad5f7"),
}
INK, MUTED, GRID, FAINT, PAPER = (COLOURS[name][0] for name in ("ink", "muted", "grid", "faint", "paper"))
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = (
    COLOURS[name][0] for name in ("blue", "orange", "green", "vermilion", "purple", "sky")
)

LIGHT, DARK = ("".join(f"--{name}:{pair[which]};" for name, pair in COLOURS.items()) for which in (0, 1))
STYLES = ((BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"), (ORANGE, (0, (5, 1, 1, 1, 1, 1))))
DRAWN = 600  # more points than this cannot be told apart at page width


def canvas(size: Size, height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the size's width and `height` CSS pixels, and its axes, row by row."""
    figure = Figure(figsize=(size.width / 72, height / 72), layout="constrained")
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.09, wspace=0.03, hspace=0.03)
    axes = figure.subplots(rows, columns, squeeze=False, **layout)
    return figure, list(axes.flat)


def beside_axis(name: str, size: Size) -> str:
    """A name as it stands beside an axis: of a long one the two ends, so that the axis keeps its room."""
    most = 28 if size.wide else 16
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def grid(
    size: Size, panels: int, columns: int, row: float, more: float, label: str, **layout: Any
) -> tuple[Figure, list[Axes]]:
    """Panels in rows of at most `columns`, `row` CSS pixels high and `more` for all; y, named `label`, is shared."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure, axes = canvas(size, row * rows + more, rows, columns, sharey=True, **layout)
    for empty in axes[panels:]:
        empty.set_visible(False)
    for first in axes[::columns]:
        first.set_ylabel(label if size.wide else "")
    return figure, axes[:panels]


def dots(axes: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """Scattered points; none of them, and no entry in the key, where there are none."""
    if len(x):
        axes.scatter(x, y, **style)


def legend(figure: Figure, axes: Axes, size: Size, columns: int = 4) -> None:
    """The key of `axes` above the whole figure, two columns on a phone."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        shown = min(len(handles), columns if size.wide else 2)
        figure.legend(handles, labels, loc="outside upper left", ncols=shown)


def scale_for(axes: Axes, metric: str, which: str = "y") -> None:
    """Per cent on the axis for shares, plain numbers for losses; at most six ticks."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if is_share(metric):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def whole_ticks(axes: Axes, ticks: int = 8) -> None:
    """Whole numbers only on the x axis: there is no epoch 2.5."""
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))


def thin(total: int, limit: int, keep: Iterable[int] = ()) -> list[int]:
    """At most about `limit` of the positions 0 … total − 1, evenly spread, and all of `keep`, in order."""
    if total <= limit:
        return list(range(total))
    spread = np.linspace(0, total - 1, limit).round().astype(int).tolist()
    return sorted({*spread, *keep})


def standalone(inline: str) -> str:
    """The SVG as a file of its own: with its name space, a background, and its colours for light and dark."""
    style = (
        f"<style>svg{{{LIGHT}background:var(--paper);font-family:system-ui,sans-serif}}"
        f"@media (prefers-color-scheme:dark){{svg{{{DARK}}}}}"
        "*{stroke-linejoin:round;stroke-linecap:butt}</style>"
    )
    head, mark, rest = inline.partition(">")
    named = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f"{named}{mark}{style}{rest}\n"


_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # real text: it can be read aloud, searched and selected, and takes the page's font
    "text.parse_math": False,  # a family called a$b is not a formula
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.4,
    "legend.borderpad": 0.1,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.unicode_minus": True,
}
_TEXTS = ("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize")


def inline_svg(picture: Picture, size: Size) -> str:
    """Draw, and return an element of a page: no prologue, no ids but those in use, the page's font and colours."""
    name = f"{picture.name}-{size.name}"
    # The salt makes identifiers that are the same in every run and differ between pictures.
    style = _STYLE | dict.fromkeys(_TEXTS, size.text) | {"svg.hashsalt": name}
    text = io.StringIO()
    style |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), size.text - 1)
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # The letters are the page's: a reader has a font for them, whether or not this machine does.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        nothing = dict.fromkeys(["Date", "Creator", "Format", "Type"])
        picture.draw(size).savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()

    def short_numbers(tag: re.Match[str]) -> str:
        """Two decimals are a hundredth of a pixel; Matplotlib writes six."""
        return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), tag[0])

    body = svg[svg.index("<defs>", svg.index("<svg")) : svg.rindex("</svg>")]
    body = re.sub(r"<defs>\s*<style.*?</defs>", "", body, count=1, flags=re.S)
    view = re.search(r'viewBox="([^"]+)"', svg)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", body))
    body = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(r" ?font-family: [^;\"]+;", "", body).replace("xlink:href", "href")
    body = re.sub(r"<[^>]+>", short_numbers, body)
    for colour, (light, _) in COLOURS.items():
        body = body.replace(light, f"var(--{colour},{light})")
    body = re.sub(r">\s+<", "><", body.strip())
    return (
        f'<svg class="plot" viewBox="{view[1] if view else ""}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(picture.title)}</title><desc id="{name}-d">{escape(picture.alt)}</desc>'
        f"{body}</svg>"
    )
