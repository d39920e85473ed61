from pathlib import Path

import pytest

from trainables.data.layouts import LAYOUTS
from trainables.data.rare_species import HUB, STUDY
from trainables.errors import UserError

STUDY_HEAD = "rare_species_id,eol_content_id,eol_page_id,kingdom,phylum,family,file_path\n"
HUB_HEAD = "rarespecies_id,eol_content_id,eol_page_id,kingdom,phylum,class,order,family,genus,species,sciName,common\n"
HUB_ROW = "id1,12853737,449393,Animalia,Mollusca,Bivalvia,Unionida,Unionidae,Cyprogenia,stegaria,Cyprogenia stegaria,\n"


def written(tmp_path: Path, text: str, name: str = "metadata.csv") -> Path:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_both_files_name_a_family_alike(tmp_path: Path) -> None:
    study = written(tmp_path, STUDY_HEAD + "id1,12853737,449393,animalia,mollusca,unionidae,mollusca_unionidae/x.jpg\n")
    hub = written(tmp_path, HUB_HEAD + HUB_ROW, HUB.file)
    of_study, of_hub = STUDY.read_rows(study, "family")[1], HUB.read_rows(hub, "family")[1]
    assert of_study[0].class_name == of_hub[0].class_name == "mollusca_unionidae"
    assert of_study[0].species == of_hub[0].species == "449393"
    assert of_study[0].content_id == of_hub[0].content_id == 12853737


@pytest.mark.parametrize(
    ("level", "name"),
    [("phylum", "mollusca"), ("class", "bivalvia"), ("order", "unionida"), ("genus", "cyprogenia"),
     ("species", "cyprogenia_stegaria")],
)  # fmt: skip
def test_the_hub_has_every_label_level(level: str, name: str, tmp_path: Path) -> None:
    assert HUB.read_rows(written(tmp_path, HUB_HEAD + HUB_ROW, HUB.file), level)[1][0].class_name == name


def test_the_study_has_phylum_family_and_the_species_page(tmp_path: Path) -> None:
    file = written(tmp_path, STUDY_HEAD + "id1,1,449393,animalia,mollusca,unionidae,a/x.jpg\n")
    names = [STUDY.read_rows(file, level)[1][0].class_name for level in ("phylum", "family", "species")]
    assert names == ["mollusca", "mollusca_unionidae", "mollusca_unionidae_449393"]
    with pytest.raises(UserError, match="no column for the label level 'genus'; it has phylum, family, species"):
        STUDY.read_rows(file, "genus")


def test_a_hub_photo_is_found_by_its_two_ids_and_a_study_photo_by_its_path() -> None:
    assert HUB.photo_key("dataset/Animalia-x/12853737_449393_eol-full-size-copy.jpg") == "12853737_449393"
    assert HUB.photo_key("visuals/tree.png") == "visuals/tree.png"
    assert STUDY.photo_key("a/e\u0301te\u0301.jpg") == STUDY.photo_key("./a\\\u00e9t\u00e9.jpg") == "a/été.jpg"


def test_the_hub_s_catalogue_goes_before_its_viewer_s_metadata_csv(tmp_path: Path) -> None:
    def recognised() -> str:
        return next(layout.name for layout in LAYOUTS if layout.recognises(tmp_path))

    assert recognised() == "class folders"
    written(tmp_path, STUDY_HEAD)
    assert recognised() == STUDY.name
    written(tmp_path, HUB_HEAD, HUB.file)
    assert recognised() == HUB.name


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", r"lacks the column\(s\) rare_species_id, .* and has none$"),
        (STUDY_HEAD.replace("family,", "familia,"), r"lacks the column\(s\) family; it needs .* and has .*familia"),
        (STUDY_HEAD + "id1,1,2,animalia,mollusca\n", "metadata.csv line 2 has fewer fields than the header line"),
        (STUDY_HEAD + 'id1,1,2,animalia,mollusca,"' + "x" * 200_000 + '",y\n', "is not a CSV file: field larger"),
    ],
)
def test_a_damaged_file_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line) as caught:
        STUDY.read_rows(written(tmp_path, text), "family")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(STUDY_HEAD.encode() + b"id1,1,2,animalia,mollusca,\xe9,y\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        STUDY.read_rows(tmp_path / "metadata.csv", "family")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff" + STUDY_HEAD + "id1,1,2,animalia,mollusca,unionidae,a/x.jpg\n")
    assert STUDY.read_rows(file, "family")[1][0].photo_id == "id1"
