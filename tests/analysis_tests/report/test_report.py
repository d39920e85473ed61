import itertools
import re
import shutil

import pytest

from analysis.data.experiment import read
from analysis.data.report_data import report_data
from analysis.render.section import Heading, Section, Table
from analysis.render.svg import Picture, canvas
from analysis.report import report
from analysis.report.report import SECTIONS, write_report
from analysis.report.sections import confusion, families
from tests.analysis_tests.example import make_example
from tests.analysis_tests.page import Page
from trainables.errors import UserError


@pytest.fixture(scope="module")
def text(written):
    return written.read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_is_well_formed(page):
    assert page.wrong == []
    assert page.open == []


def test_the_page_fetches_nothing_and_runs_nothing(page, text):
    for tag, attributes in page.elements:
        assert tag not in {"script", "iframe", "object", "embed"}
        for name in ("src", "href"):
            target = attributes.get(name, "#")
            assert target.startswith(("#", "data:,", "data:image/jpeg;base64,")) or target in {
                "trials.csv",
                "epochs.csv",
                "columns.csv",
            }
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    policy = next(meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy["content"]


def test_a_screen_reader_can_tell_everything_on_the_page(page):
    assert page.unheard() == []
    assert len(page.all("table")) > 8
    assert len(page.all("svg")) == 2 * 13
    assert len(page.all("img")) == 2 * 12 + 6


def test_a_screen_reader_test_can_fail():
    spoilt = Page(
        "<html lang=en><main><svg></svg><img src=x><table><th>a</th></table><section></section></main></html>"
    )
    assert len(spoilt.unheard()) == 7


def test_identifiers_are_unique_and_links_lead_somewhere(page):
    ids = page.ids()
    assert len(ids) == len(set(ids))
    inner = {attributes["href"][1:] for attributes in page.all("a") if attributes["href"].startswith("#")}
    assert inner <= set(ids)


def test_headings_go_down_without_a_gap(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels) if above > 1)


def test_pictures_and_tables_lie_beside_the_page(written):
    names = {file.stem for file in (written.parent / "figures").glob("*.svg")}
    assert {"history", "rungs", "slices", "curves", "families", "confusion", "calibration", "counts"} <= names
    assert {"importance", "coordinates", "spending"} <= names
    assert (written.parent / "trials.csv").is_file()
    assert not [file for file in written.parent.rglob("*") if file.name.startswith(".")]


@pytest.mark.usefixtures("without_drawing")
def test_warnings_come_before_the_summary(copied):
    (copied / "best.json").unlink()
    text = write_report(copied).read_text()
    assert 0 < text.index("This sweep is unfinished") < text.index('id="summary"')


@pytest.mark.usefixtures("without_drawing")
def test_without_a_final_stage_the_report_says_how_to_make_it(copied):
    shutil.rmtree(copied / "final")
    text = write_report(copied).read_text()
    assert f"python -m trainables retrain {copied / 'best.json'}" in text
    assert 'id="families"' not in text


@pytest.mark.parametrize("drawn", [False, True], ids=["words", "pictures"])
def test_names_from_the_data_cannot_break_the_page(copied, monkeypatch, request, drawn):
    """Neither the whole page nor the pictures that hold such names."""
    if drawn:
        monkeypatch.setattr(report, "SECTIONS", (families.section, confusion.section))
    else:
        request.getfixturevalue("without_drawing")
    for file in (copied / "final").glob("*.csv"):
        file.write_text(file.read_text().replace("chordata_felidae", "chordata_<b>&$x$"))
    text = write_report(copied).read_text()
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;$x$" in text
    assert Page(text).wrong == []


@pytest.mark.usefixtures("without_drawing")
def test_a_second_report_replaces_the_first_and_its_leftovers(copied, written):
    shutil.copytree(written.parent, copied / "report")
    first = copied / "report" / "index.html"
    assert (first.parent / "figures" / "families.svg").exists()
    shutil.rmtree(copied / "final")
    assert write_report(copied) == first
    assert not (first.parent / "figures" / "families.svg").exists()
    assert (first.parent / "figures" / "history.svg").is_file()
    assert "There is no final model yet" in first.read_text()


@pytest.mark.usefixtures("without_drawing")
def test_a_page_of_somebody_else_is_not_overwritten(copied):
    (copied / "report").mkdir()
    (copied / "report" / "index.html").write_text("mine")
    with pytest.raises(UserError, match="is not a Raretune report and stays as it is"):
        write_report(copied)
    assert (copied / "report" / "index.html").read_text() == "mine"


def test_a_report_that_fails_leaves_nothing_behind(copied):
    (copied / "final" / "predictions.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"predictions\.csv"):
        write_report(copied)
    assert not (copied / "report").exists()


@pytest.fixture(scope="module", params=["ended", "without a final stage", "empty"])
def some_data(request, example_data, tmp_path_factory):
    if request.param == "ended":
        return example_data
    trials = 0 if request.param == "empty" else 4
    example = make_example(tmp_path_factory.mktemp("some"), trials=trials, final=False, cost="model_mb")
    return report_data(read(example.experiment))


@pytest.mark.usefixtures("without_drawing")
def test_every_section_is_whole_or_left_out(some_data):
    """The contract of all sections: names are unique, each row has a cell for each heading, and nothing is unheard."""
    made = [found for section in SECTIONS if (found := section(some_data)) is not None]
    parts = [part for section in made for part in section.parts]
    names = [part.name for part in parts if isinstance(part, Table | Picture)]
    assert all(section.parts for section in made)
    assert len(names) == len({(type(part), part.name) for part in parts if isinstance(part, Table | Picture)})
    for table in parts:
        if isinstance(table, Table):
            assert {len(row.cells) for row in table.rows} <= {len(table.heads)}, table.name
    assert all(part.title and part.alt for part in parts if isinstance(part, Picture))


def test_a_section_is_added_by_naming_it(copied, monkeypatch):
    def section(data):
        dots = Picture("mine", "My picture", f"best is {data.best}", lambda size: canvas(size, 50)[0])
        return Section(Heading("mine", "My section", "Mine"), (dots,))

    monkeypatch.setattr(report, "SECTIONS", (report.SECTIONS[0], section, report.SECTIONS[-1]))
    text = write_report(copied).read_text()
    assert text.index('<a href="#mine">Mine</a>') < text.index('<h2 id="heading-mine">My section</h2>')
    assert text.index('id="figure-mine"') < text.index('id="terms"')
    assert [file.name for file in (copied / "report" / "figures").iterdir()] == ["mine.svg"]


def test_an_empty_sweep_still_has_a_report(tmp_path):
    text = write_report(make_example(tmp_path, trials=0, final=False).experiment).read_text()
    assert "No trial has a result yet" in text


@pytest.mark.slow
def test_two_thousand_trials_make_a_page_under_five_megabytes(tmp_path):
    import time

    experiment = make_example(tmp_path, trials=2000, families=202).experiment
    started = time.process_time()  # of this process: a busy machine is not the report's fault
    page = write_report(experiment)
    assert time.process_time() - started < 30
    assert page.stat().st_size < 5_000_000
    assert "100 of 2,000 trials; trials.csv" in page.read_text()
    assert "of 2,000 trials are drawn" in page.read_text()
