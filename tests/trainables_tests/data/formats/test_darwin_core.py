from pathlib import Path

import pytest

from tests.trainables_tests.data.listed_photos import DC, draw, field, write_archive
from trainables.data.layouts import find_photos
from trainables.errors import UserError

CORE = (
    field("family", 2) + field("scientificName", 3) + field("taxonRank", None, "SPECIES") + field("genus", 5)
    + field("phylum", 4, "Chordata") + field("recordedBy", 6) + field("eventDate", 7) + field("occurrenceStatus", 8)
)  # fmt: skip


def occurrence(
    number: int, family: str, name: str, phylum: str = "", by: str = "ann", status: str = "PRESENT"
) -> list[str]:
    return [f"g{number}", "unmapped", family, name, phylum, name.split()[0], by, "2021-06-01T10:00Z/2021-06-02", status]


def still(number: int, address: str, kind: str = "StillImage") -> list[str]:
    return [f"g{number}", kind, address]


def test_columns_are_by_index_with_defaults_and_quotes_are_letters(tmp_path: Path) -> None:
    """What python-dwca-reader's pd_read gets wrong: unmapped columns, a default for empty fields, stray quotes."""
    write_archive(
        draw(tmp_path, "photos/1.jpg", "photos/2.jpg"),
        CORE,
        [
            occurrence(1, "Felidae", 'Lynx lynx "L., 1758', "Chordata"),
            occurrence(2, "Lycaenidae", "Lycaena phlaeas (L.)", "Arthropoda"),
        ],
        [still(1, "photos/1.jpg"), still(2, "photos/2.jpg")],
    )
    found = find_photos(tmp_path)
    assert {photo.source: photo.class_name for photo in found.photos} == {
        "photos/1.jpg": "chordata_felidae",
        "photos/2.jpg": "arthropoda_lycaenidae",
    }
    species = find_photos(tmp_path, "species").photos
    assert {photo.class_name for photo in species} == {"lynx_lynx", "lycaena_phlaeas"}
    values = dict(zip(found.columns, found.photos[0].values, strict=True))
    assert (values["photographer"], values["day"], values["observation"][0]) == ("ann", "2021-06-01", "g")
    assert found.together == ("observation",)


def test_an_empty_field_has_the_default_and_several_files_are_one_table(tmp_path: Path) -> None:
    write_archive(
        draw(tmp_path, "1.jpg", "2.jpg"),
        CORE,
        [occurrence(1, "Felidae", "Lynx lynx")],
        [still(1, "1.jpg"), still(2, "2.jpg")],
        more=[occurrence(2, "Lycaenidae", "Lycaena phlaeas", "Arthropoda")],
    )
    assert {photo.class_name for photo in find_photos(tmp_path).photos} == {
        "chordata_felidae",
        "arthropoda_lycaenidae",
    }


def test_addresses_are_found_on_the_disk_by_what_is_their_own(tmp_path: Path) -> None:
    """iNaturalist's files are all called original.jpg; GBIF's may have the id of an occurrence of one photo."""
    draw(tmp_path, "inat/12/original.jpg", "inat/13.jpg", "gbif/g3.png", "gbif/IMG_0004.JPG")
    write_archive(
        tmp_path,
        CORE,
        [occurrence(number, "Felidae", "Lynx lynx") for number in range(1, 7)],
        [
            still(1, "https://static.inaturalist.org/photos/12/original.jpg?1"),
            still(2, "https://static.inaturalist.org/photos/13/original.jpg"),
            still(3, "https://example.org/media?id=77"),
            still(4, "https://example.org/files/IMG_0004.JPG"),
            still(5, "https://example.org/a/medium.jpg"),
            still(6, "https://example.org/song.mp3", "Sound"),
            still(9, "https://example.org/9.jpg"),
        ],
    )
    found = find_photos(tmp_path)
    assert sorted(photo.source for photo in found.photos) == [
        "gbif/IMG_0004.JPG", "gbif/g3.png", "inat/12/original.jpg", "inat/13.jpg"
    ]  # fmt: skip
    assert sorted(one.reason for one in found.excluded) == ["bad_row", "no_file", "not_an_image"]


def test_absent_species_and_names_without_a_family_are_no_labels(tmp_path: Path) -> None:
    write_archive(
        draw(tmp_path, "1.jpg", "2.jpg", "3.jpg"),
        CORE,
        [
            occurrence(1, "Felidae", "Lynx lynx"),
            occurrence(2, "Felidae", "Lynx lynx", status="ABSENT"),
            occurrence(3, "", "Aves"),
        ],
        [still(number, f"{number}.jpg") for number in (1, 2, 3)],
    )
    found = find_photos(tmp_path)
    assert [photo.source for photo in found.photos] == ["1.jpg"]
    assert {one.source: one.reason for one in found.excluded} == {"2.jpg": "no_animal", "3.jpg": "no_label"}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("terms/Occurrence", "terms/Taxon"), "has the tables taxon, multimedia; needed are occurrences"),
        (("occurrence.txt", "gone.txt"), "gone.txt does not exist, and meta.xml names it"),
        (('fieldsTerminatedBy="\\t"', 'fieldsTerminatedBy="||"'), "one letter is read"),
        (("</core>", ""), "meta.xml cannot be read: mismatched tag"),
    ],
)
def test_an_archive_that_cannot_be_read_is_one_line(change: tuple[str, str], line: str, tmp_path: Path) -> None:
    write_archive(tmp_path, CORE, [occurrence(1, "Felidae", "Lynx lynx")], [still(1, "1.jpg")])
    text = (tmp_path / "meta.xml").read_text()
    (tmp_path / "meta.xml").write_text(text.replace(*change))
    with pytest.raises(UserError, match=line):
        find_photos(tmp_path)


def test_media_may_stand_in_the_occurrences_themselves(tmp_path: Path) -> None:
    core = CORE + field("associatedMedia", 9)
    row = [*occurrence(1, "Felidae", "Lynx lynx"), "a/1.jpg | a/2.jpg"]
    write_archive(draw(tmp_path, "a/1.jpg", "a/2.jpg"), core, [row], [])
    text = (tmp_path / "meta.xml").read_text()
    (tmp_path / "meta.xml").write_text(text[: text.index("<extension")] + "</archive>")
    (tmp_path / "multimedia.txt").unlink()
    assert [photo.class_name for photo in find_photos(tmp_path).photos] == ["chordata_felidae"] * 2
    assert DC in text


def test_quoted_fields_hold_commas_and_lines(tmp_path: Path) -> None:
    """As iNaturalist writes them."""
    draw(tmp_path, "13.jpg")
    write_archive(tmp_path, CORE, [], [])
    text = (tmp_path / "meta.xml").read_text()
    text = text.replace('fieldsTerminatedBy="\\t"', 'fieldsTerminatedBy=","')
    (tmp_path / "meta.xml").write_text(text.replace('fieldsEnclosedBy=""', "fieldsEnclosedBy='\"'"))
    row = 'g1,"a, ""b""\nc",Felidae,"Lynx lynx, L.",,Lynx,"ann, or bob",2021-06-01,'
    (tmp_path / "occurrence.txt").write_text(f"header\n{row}\n")
    address = "https://inaturalist-open-data.s3.amazonaws.com/photos/13/original.jpg"
    (tmp_path / "multimedia.txt").write_text(f"header\ng1,StillImage,{address}\n")
    [photo] = find_photos(tmp_path).photos
    assert (photo.source, photo.class_name) == ("13.jpg", "chordata_felidae")
    assert "ann, or bob" in photo.values
