import base64

import pytest

from analysis.data.experiment import read
from analysis.data.report_data import report_data
from analysis.report.report import write_report
from analysis.report.sections.photos import MISTAKES_SHOWN, examples
from tests.analysis_tests.example_photos import write_example_photos
from trainables.errors import UserError


@pytest.fixture
def with_photos(copied):
    write_example_photos(copied / "final")
    return copied


def test_mistakes_are_shown_with_what_they_were_taken_for(with_photos):
    mistakes, _ = examples(report_data(read(with_photos)))
    first = mistakes[0]
    assert first.says == "felidae, taken for canidae, 97\u202f% sure"
    assert first.alt == "Test photo of felidae, taken for canidae"
    assert first.address.startswith("data:image/jpeg;base64,")
    assert base64.b64decode(first.why.partition(",")[2])[:2] == b"\xff\xd8"
    assert len(mistakes) == MISTAKES_SHOWN


def test_a_confusion_stands_with_training_photos_to_compare(with_photos):
    found = report_data(read(with_photos))
    _, (pair, other) = examples(found)
    test = found.final.test_predictions
    own = test[test["family"] == "chordata_felidae"]
    times = int((own["predicted"] == "chordata_canidae").sum())
    assert pair.title == f"felidae taken for canidae, {times} of {len(own)} test photos"
    assert [photo.alt for photo in pair.photos] == ["Test photo of felidae, taken for canidae"] * 2
    assert [photo.alt for photo in pair.compare] == ["Training photo of canidae"]
    assert other.title.startswith("canidae taken for ursidae")


@pytest.mark.usefixtures("without_drawing")
def test_the_page_shows_them(with_photos):
    page = write_report(with_photos).read_text()
    assert "felidae, taken for canidae, 97" in page
    assert "Training photo of canidae" in page
    assert "Grad-CAM" in page


def test_a_final_stage_that_left_no_photos_is_no_error(example_data):
    assert examples(example_data) == ((), [])


def test_a_photo_that_was_removed_is_left_out(with_photos):
    (with_photos / "final" / "pictures" / "mistake_00.jpg").unlink()
    (with_photos / "final" / "pictures" / "examples" / "000.jpg").unlink()
    mistakes, confused = examples(report_data(read(with_photos)))
    assert len(mistakes) == MISTAKES_SHOWN - 1
    assert len(confused[0].photos) == 1


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n", "photo,cam,family,predicted,probability\n../x.jpg,,a,b,0.5\n", "\x00\xff"]
)
def test_a_damaged_table_is_one_line(with_photos, content):
    (with_photos / "final" / "pictures" / "mistakes.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"mistakes\.csv is damaged"):
        examples(report_data(read(with_photos)))
