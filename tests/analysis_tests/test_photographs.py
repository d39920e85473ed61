import base64

from analysis.data.experiment import read
from analysis.data.report_data import find
from analysis.photographs import photographs
from analysis.report.report import write_report


def test_the_final_stages_pictures_stand_in_the_page_with_a_description(copied, monkeypatch):
    monkeypatch.setattr("analysis.report.report.draw_all", lambda findings: iter(()))  # drawing takes seconds
    folder = copied / "final" / "pictures"
    folder.mkdir()
    (folder / "samples.jpg").write_bytes(b"\xff\xd8a picture")
    page = write_report(copied).read_text()
    assert base64.b64encode(b"\xff\xd8a picture").decode() in page
    assert 'alt="Rows of up to six training photos' in page


def test_without_pictures_there_are_none(copied):
    assert photographs(find(read(copied))) == []
