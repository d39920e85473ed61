"""A table of the report: caption, headings, and rows of finished text."""

from typing import NamedTuple


class Head(NamedTuple):
    """A column's heading, below `group` where several columns share one.

    `kind` is "num" (right-aligned), "plain" (not broken into lines), "fact" or "why" (sentences).
    """

    text: str
    kind: str = ""
    group: str = ""


class Line(NamedTuple):
    """A row: the first cell is its heading; `best` rows stand out."""

    cells: tuple[str, ...]
    best: bool = False


class Table(NamedTuple):
    """A table; `note` says under the caption what a reader needs to understand it."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[Line, ...]
    note: str = ""

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
