import csv
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import write_photos
from trainables.data.exclusion_list import read_exclusion_list
from trainables.data.prepare import PrepareOptions, prepare
from trainables.errors import UserError
from trainables.network.backbones import Weights
from trainables.review import review as reviewing
from trainables.review.findings import Finding, Review
from trainables.review.options import ReviewOptions
from trainables.review.ranking import Floats
from trainables.review.review import LIST, PAGE, render, review

FAMILIES = (
    "arthropoda_buthidae",
    "arthropoda_lycaenidae",
    "chordata_crocodylidae",
    "chordata_elephantidae",
    "chordata_felidae",
    "chordata_icteridae",
    "chordata_laridae",
    "chordata_parulidae",
    "echinodermata_asteriidae",
    "mollusca_nautilidae",
)
QUICK = ReviewOptions(weights="random", image_size=75, workers=1)


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / LIST).open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def without_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean colours instead of the backbone: enough for what is not about the ranking, and fast."""

    def colours(root: Path, sources: Sequence[str], *_: object) -> Floats:
        small = [np.asarray(Image.open(root / source).convert("RGB").resize((4, 4))) for source in sources]
        return np.stack(small).reshape(len(sources), -1).astype(np.float32)

    monkeypatch.setattr(reviewing, "pooled_features", colours)


def test_planted_photos_stand_far_above_chance(shared: Path, tmp_path: Path) -> None:
    data = shared / "data"
    for family in FAMILIES:
        (tmp_path / "photos" / family).mkdir(parents=True)
        for photo in sorted((data / "rare_families" / family).iterdir())[:24]:
            (tmp_path / "photos" / family / photo.name).symlink_to(photo.resolve())
    strangers = sorted((data / "planted_irrelevant").glob("*.jpg"))[::6]
    planted = set()
    for number, photo in enumerate(strangers):
        source = f"{FAMILIES[number % len(FAMILIES)]}/{photo.name}"
        (tmp_path / "photos" / source).symlink_to(photo.resolve())
        planted.add(source)
    weights = next((shared / "weights").glob("inception_v3*.h5"))
    options = QUICK.model_copy(update={"weights": str(weights), "image_size": 139, "top": 2 * len(planted)})
    found = review(tmp_path / "photos", tmp_path / "out", options).section("irrelevant")
    listed = {one.source for one in found} & planted
    # By chance 40 of 260 photos would hold 3 of the 20.
    assert len(planted) == 20
    assert len(listed) >= 17, sorted(planted - listed)


def test_without_weights_it_warns_first_and_does_not_begin_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "photos", {"a": 3, "b": 3})
    weak = Weights("random", "drawn", "random", "there are no ImageNet weights")
    monkeypatch.setattr(reviewing, "resolve_weights", lambda *_: weak)
    said: list[str] = []
    options = QUICK.model_copy(update={"weights": "auto"})
    with pytest.raises(UserError, match="nobody is here to ask: give the weights' file"):
        review(tmp_path / "photos", tmp_path / "out", options, said.append, yes=False)
    assert capsys.readouterr().err.startswith("warning: there are no ImageNet weights; the list will be little better")
    assert len(said) == 1 and said[0].startswith("found 6 photos")
    assert not (tmp_path / "out").exists()


def test_each_kind_of_bad_photo_is_listed_in_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_backbone(monkeypatch)
    root = tmp_path / "photos"
    first, *_ = write_photos(root, {"a": 12, "b": 9})
    (root / "a/empty.jpg").write_bytes(b"")
    (root / "b/cut.jpg").write_bytes((root / first).read_bytes()[:700])
    Image.new("RGB", (90, 90), "white").save(root / "a/white.png")
    with Image.open(root / "b/000.jpg") as picture:
        picture.resize((30, 22)).save(root / "b/small.png")
    with Image.open(root / first) as picture:
        picture.save(root / "b/copy.jpg", quality=60)
    (root / "notes.txt").write_text("not a photo")
    result = review(root, tmp_path / "out", QUICK.model_copy(update={"top": 5}))
    by_section = {name: [one.source for one in result.section(name)] for name in reviewing.findings_of.SECTIONS}
    assert len(by_section["irrelevant"]) == 5
    assert by_section["undecodable"] == ["a/empty.jpg", "b/cut.jpg"]
    assert by_section["tiny"] == ["b/small.png"]
    assert by_section["blank"] == ["a/white.png"]
    assert by_section["near-duplicate"] == ["a/000.jpg", "b/copy.jpg", "b/000.jpg", "b/small.png"]
    assert result.left_out == {"not_a_photo": 1}
    rows = rows_of(tmp_path / "out")
    assert [row["source"] for row in rows] == [one.source for one in result.findings]
    assert {row["exclude"] for row in rows} == {""}
    assert rows[0]["section"] == "irrelevant" and float(rows[0]["score"]) >= float(rows[1]["score"])


def test_prepare_honours_the_list_only_where_a_person_said_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_backbone(monkeypatch)
    write_photos(tmp_path / "photos", {"a": 12, "b, c": 9})
    review(tmp_path / "photos", tmp_path / "out", QUICK)
    assert read_exclusion_list(tmp_path / "out" / LIST) == {}
    rows = rows_of(tmp_path / "out")
    rows[0]["exclude"] = rows[3]["exclude"] = "yes"
    with (tmp_path / "edited.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, reviewing.COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    options = PrepareOptions(exclude=tmp_path / "edited.csv", group=("none",), workers=1)
    manifest = prepare(tmp_path / "photos", tmp_path / "dataset", options)
    assert manifest.excluded == {"listed": 2}
    assert manifest.exclusion_list is not None and manifest.exclusion_list.matched == 2


def test_by_default_twice_the_share_that_the_study_removed_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_backbone(monkeypatch)
    write_photos(tmp_path / "photos", {"a": 30, "b": 30})
    assert len(review(tmp_path / "photos", tmp_path / "out", QUICK).section("irrelevant")) == 40
    monkeypatch.setattr(reviewing, "_FEWEST", 1)
    assert len(review(tmp_path / "photos", tmp_path / "more", QUICK).section("irrelevant")) == round(0.064 * 60)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"weights": "no/such.h5"}, "weights: there is no file 'no/such.h5'"),
        ({"image_size": 40}, "image_size: inception_v3 needs at least 75 pixels, not 40"),
        ({"group": ("scene",)}, "no grouping rule is called 'scene'"),
        ({"label_level": "genus"}, "the label level 'genus' needs metadata"),
    ],
)
def test_bad_options_are_told_before_any_photo_is_read(
    change: dict[str, object], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "inspect_files", lambda *_: pytest.fail("photos were read"))
    write_photos(tmp_path / "photos", {"a": 3, "b": 3})
    with pytest.raises(UserError) as error:
        review(tmp_path / "photos", tmp_path / "out", QUICK.model_copy(update=change))
    assert str(error.value).startswith(line)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_bad_folders_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write_photos(tmp_path / "one", {"a": 4})
    write_photos(tmp_path / "two", {"a": 4, "b": 4})
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    for photos, out, line in [
        ("none", "out", "is not a folder"),
        ("two", "two/review", "lies in the folder of photos"),
        ("two", "full", r"is not empty \(thesis.tex\)"),
        ("one", "out", "has 1 families with photos that can be judged"),
    ]:
        with pytest.raises(UserError, match=line):
            review(tmp_path / photos, tmp_path / out, QUICK)
    assert sorted(tmp_path.rglob("*")) == before


def test_when_drawing_fails_no_half_written_review_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_backbone(monkeypatch)
    write_photos(tmp_path / "photos", {"a": 6, "b": 6})

    def full_disk(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainables.review.review.render", full_disk)
    with pytest.raises(UserError, match="could not be written: the disk is full; nothing was kept"):
        review(tmp_path / "photos", tmp_path / "out", QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    monkeypatch.undo()
    without_backbone(monkeypatch)
    review(tmp_path / "photos", tmp_path / "out", QUICK)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [PAGE, LIST]


ODD = 'a/<b>&"quoted", ü 100%.jpg'
GOOD = Weights("file", "w.h5", "f")


class Page(HTMLParser):
    """All tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture
def found(tmp_path: Path) -> Review:
    root = tmp_path / "photos"
    sources = write_photos(root, {"a": 4, "b": 4})
    (root / sources[0]).rename(root / ODD)
    Image.new("RGB", (40, 20), "white").save(root / "a/white.png")
    findings = [
        Finding("irrelevant", 1, ODD, "a", 3.5, "b", "looks like b", ("b/000.jpg", "b/001.jpg", "b/002.jpg")),
        Finding("irrelevant", 2, "b/003.jpg", "b", 2.5, "a", "fits no family"),
        Finding("undecodable", 1, "b/broken.jpg", "b", None, "", "empty: the file has no bytes"),
        Finding("blank", 1, "a/white.png", "a", None, "", "nearly one shade all over"),
        Finding("near-duplicate", 1, ODD, "a", None, "b", "the same picture as b/000.jpg", ("b/000.jpg",)),
        Finding("near-duplicate", 1, "b/000.jpg", "b", None, "a", "the same picture", (ODD,)),
    ]
    typical = {"a": ["a/001.jpg", "a/002.jpg", "a/003.jpg"], "b": ["b/000.jpg", "b/001.jpg"]}
    return Review(root, findings, 10, 2, typical, {"no_row": 3}, GOOD)


def test_the_page_needs_nothing_but_itself(found: Review, tmp_path: Path) -> None:
    text = render(found, tmp_path / "out")
    page = Page(text)
    assert not re.search(r"""(?:src|url\()\s*=?\s*["']?(?:https?:|//|/)""", text)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert page.all("script") == [{}]
    assert [link["href"] for link in page.all("link")] == ["data:,"]


def test_every_picture_has_words_and_every_box_its_photo(found: Review, tmp_path: Path) -> None:
    page = Page(render(found, tmp_path / "out"))
    assert len(page.all("img")) == 5
    assert all(image["alt"] for image in page.all("img"))
    strips = [one for one in page.all("span") if one.get("role") == "img"]
    assert [strip["aria-label"] for strip in strips] == [
        "Typical photos of a",
        "The photos most similar to this one",
        "Typical photos of b",
    ]
    boxes = [(box["data-source"], box["data-section"]) for box in page.all("input")]
    assert boxes == [
        (ODD, "irrelevant"),
        ("b/003.jpg", "irrelevant"),
        ("a/white.png", "blank"),
        (ODD, "near-duplicate"),
        ("b/000.jpg", "near-duplicate"),
    ]
    assert not any("checked" in box for box in page.all("input"))


def test_names_are_text_and_links_lead_to_the_originals(found: Review, tmp_path: Path) -> None:
    text = render(found, tmp_path / "out")
    assert "<b>" not in text
    assert "../photos/a/%3Cb%3E%26%22quoted%22%2C%20%C3%BC%20100%25.jpg" in {a["href"] for a in Page(text).all("a")}


def test_a_family_strip_stands_in_the_page_once(found: Review, tmp_path: Path) -> None:
    more = [one._replace(rank=rank) for rank in range(1, 6) for one in found.findings[:1]]
    text = render(found._replace(findings=more), tmp_path / "out")
    assert len(re.findall(r"\.f0 \{", text)) == 1
    assert len(re.findall(r'class="tiles f0"', text)) == 5


def test_weak_weights_are_told_on_the_page(found: Review, tmp_path: Path) -> None:
    assert "not to be trusted" not in render(found, tmp_path / "out")
    weak = found._replace(weights=Weights("random", "drawn", "random", "training starts from random weights"))
    assert "not to be trusted:</strong> training starts from random weights." in render(weak, tmp_path / "out")


def test_of_many_copies_the_page_shows_some_and_says_so(
    found: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [one._replace(rank=rank) for rank in (1, 2, 3) for one in found.findings[-2:]]
    assert "are shown" not in render(found._replace(findings=more), tmp_path / "out")
    monkeypatch.setattr(reviewing, "MOST_COPIES", 2)
    text = render(found._replace(findings=more), tmp_path / "out")
    assert "The first 2 of 3 pictures are shown; all are in <code>review.csv</code>." in text
    assert len(Page(text).all("img")) == 4


def test_a_review_without_findings_is_a_page_too(found: Review, tmp_path: Path) -> None:
    text = render(found._replace(findings=[], left_out={}), tmp_path / "out")
    assert "10 photos of 2 families" in text
    assert not Page(text).all("img")


def test_a_photo_that_is_gone_is_one_line(found: Review, tmp_path: Path) -> None:
    (found.root / "b/003.jpg").unlink()
    with pytest.raises(UserError, match=r"003\.jpg changed while it was reviewed"):
        render(found, tmp_path / "out")
