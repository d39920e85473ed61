import re

from analysis.render.page import write_page
from analysis.render.section import Head, Heading, Line, Prose, Section, Table


def test_neighbouring_columns_share_a_heading():
    heads = (Head("family"), Head("before", "num", "test"), Head("after", "num", "test"), Head("before", "num", "val"))
    assert Table("n", "t", heads, (Line(("a", "1", "2", "3")),)).groups == [("", 1), ("test", 2), ("val", 1)]


def test_a_table_without_shared_headings_has_one_row_of_them():
    assert Table("n", "t", (Head("a"), Head("b")), ()).groups == []


def test_neighbours_share_a_heading_and_keep_their_order(tmp_path):
    one, other = Heading("one", "One"), Heading("other", "Other")
    texts = [(one, "a"), (one, "b"), (other, "c"), (one, "d")]
    sections = [Section(heading, (Prose(text),)) for heading, text in texts]
    page = write_page(tmp_path, "kind", sections, lambda folder: None, name="a page").read_text()
    assert re.findall(r"<h2[^>]*>(\w+)|<p>(\w)</p>", page) == [
        ("One", ""),
        ("", "a"),
        ("", "b"),
        ("Other", ""),
        ("", "c"),
        ("One", ""),
        ("", "d"),
    ]
