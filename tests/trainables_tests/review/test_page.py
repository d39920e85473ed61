import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.trainables_tests.drawn_photos import write_photos
from trainables.errors import UserError
from trainables.network.backbones import Weights
from trainables.review import page as review_page
from trainables.review.findings import Finding, Review
from trainables.review.page import render

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
    monkeypatch.setattr(review_page, "MOST_COPIES", 2)
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
