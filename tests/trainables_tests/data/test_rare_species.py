from pathlib import Path

import pytest

from trainables.data.rare_species import HUB_FILE, metadata_file, photo_key, read_rows
from trainables.errors import UserError

STUDY = "rare_species_id,eol_content_id,eol_page_id,kingdom,phylum,family,file_path\n"
HUB = "rarespecies_id,eol_content_id,eol_page_id,kingdom,phylum,class,order,family,genus,species,sciName,common\n"
HUB_ROW = "id1,12853737,449393,Animalia,Mollusca,Bivalvia,Unionida,Unionidae,Cyprogenia,stegaria,Cyprogenia stegaria,\n"


def written(tmp_path: Path, text: str, name: str = "metadata.csv") -> Path:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_both_files_name_a_family_alike(tmp_path: Path) -> None:
    study = written(tmp_path, STUDY + "id1,12853737,449393,animalia,mollusca,unionidae,mollusca_unionidae/x.jpg\n")
    hub = written(tmp_path, HUB + HUB_ROW, HUB_FILE)
    of_study, of_hub = read_rows(study, "family"), read_rows(hub, "family")
    assert of_study[0].class_name == of_hub[0].class_name == "mollusca_unionidae"
    assert of_study[0].species == of_hub[0].species == "449393"
    assert of_study[0].content_id == of_hub[0].content_id == 12853737


@pytest.mark.parametrize(
    ("level", "name"),
    [("phylum", "mollusca"), ("class", "bivalvia"), ("order", "unionida"), ("genus", "cyprogenia"),
     ("species", "cyprogenia_stegaria")],
)  # fmt: skip
def test_the_hub_has_every_label_level(level: str, name: str, tmp_path: Path) -> None:
    assert read_rows(written(tmp_path, HUB + HUB_ROW, HUB_FILE), level)[0].class_name == name


def test_the_study_has_phylum_family_and_the_species_page(tmp_path: Path) -> None:
    file = written(tmp_path, STUDY + "id1,1,449393,animalia,mollusca,unionidae,a/x.jpg\n")
    names = [read_rows(file, level)[0].class_name for level in ("phylum", "family", "species")]
    assert names == ["mollusca", "mollusca_unionidae", "mollusca_unionidae_449393"]
    with pytest.raises(UserError, match="no column for the label level 'genus'; it has phylum, family, species"):
        read_rows(file, "genus")


def test_a_hub_photo_is_found_by_its_two_ids_and_a_study_photo_by_its_path() -> None:
    hub = Path(HUB_FILE)
    assert photo_key(hub, "dataset/Animalia-x/12853737_449393_eol-full-size-copy.jpg") == "12853737_449393"
    assert photo_key(hub, "visuals/tree.png") == "visuals/tree.png"
    study = Path("metadata.csv")
    assert photo_key(study, "a/e\u0301te\u0301.jpg") == photo_key(study, "./a\\\u00e9t\u00e9.jpg") == "a/été.jpg"


def test_the_hub_s_catalogue_goes_before_its_viewer_s_metadata_csv(tmp_path: Path) -> None:
    assert metadata_file(tmp_path) is None
    study = written(tmp_path, STUDY)
    assert metadata_file(tmp_path) == study
    hub = written(tmp_path, HUB, HUB_FILE)
    assert metadata_file(tmp_path) == hub


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", r"lacks the column\(s\) rare_species_id, .* and has none$"),
        (STUDY.replace("family,", "familia,"), r"lacks the column\(s\) family; it needs .* and has .*familia"),
        (STUDY + "id1,1,2,animalia,mollusca\n", "metadata.csv line 2 has fewer fields than the header line"),
        (STUDY + 'id1,1,2,animalia,mollusca,"' + "x" * 200_000 + '",y\n', "is not a CSV file: field larger"),
    ],
)
def test_a_damaged_file_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line) as caught:
        read_rows(written(tmp_path, text), "family")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_says_so(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_bytes(STUDY.encode() + b"id1,1,2,animalia,mollusca,\xe9,y\n")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_rows(tmp_path / "metadata.csv", "family")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    file = written(tmp_path, "\ufeff" + STUDY + "id1,1,2,animalia,mollusca,unionidae,a/x.jpg\n")
    assert read_rows(file, "family")[0].photo_id == "id1"
