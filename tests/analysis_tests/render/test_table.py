from analysis.render.table import Head, Line, Table


def test_neighbouring_columns_share_a_heading():
    heads = (Head("family"), Head("before", "num", "test"), Head("after", "num", "test"), Head("before", "num", "val"))
    assert Table("t", heads, (Line(("a", "1", "2", "3")),)).groups == [("", 1), ("test", 2), ("val", 1)]


def test_a_table_without_shared_headings_has_one_row_of_them():
    assert Table("t", (Head("a"), Head("b")), ()).groups == []
