"""Ranks of names: from the data, from a mapping file, from the name itself; and the label that a level asks for."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from trainables.data.photo_files import Found
from trainables.errors import UserError
from trainables.files.output import named_errors, parse_table, read_text

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
NAME = "name"
"""The level at which a label is the name as it stands in the data, whatever its rank."""

_NAME_COLUMNS = ("name", "scientificname", "scientific_name", "species", "category", "label")

Ranks = Mapping[str, str]


def key(name: str) -> str:
    """A name as it is compared and as a label shows it: lower case, with "_" for blanks."""
    return "_".join(name.strip().lower().split())


def with_binomial(ranks: Ranks) -> Ranks:
    """The ranks, with the genus that a species' name begins with."""
    species = ranks.get("species", "").split()
    return {**ranks, "genus": species[0]} if len(species) > 1 and not ranks.get("genus") else ranks


def read_taxonomy(file: Path) -> dict[str, Ranks]:
    """Read a mapping file: a CSV with a column of names and at least one rank; {key of a name: its ranks}.

    The names stand in the column `name`, `scientificName`, `species`, `category` or `label`, the first that is there.

    Raises:
        UserError: the file cannot be read, lacks such a column or any rank, or gives one name two meanings.
    """
    needs = f"--taxonomy takes a CSV with a column name (or scientificName, species) and ranks ({', '.join(RANKS)})"
    with named_errors(file, needs):
        columns, lines = parse_table(read_text(file))
        rows = list(lines)
    by_lower = {column.strip().lower(): column for column in reversed(columns)}
    named = next((by_lower[name] for name in _NAME_COLUMNS if name in by_lower), None)
    there = {rank: by_lower[rank] for rank in RANKS if rank in by_lower}
    if named is None or not set(there.values()) - {named}:
        raise UserError(f"{file} has the columns {', '.join(columns) or '(none)'}; {needs}")
    found: dict[str, Ranks] = {}
    for number, row in rows:
        ranks = {rank: text for rank, column in there.items() if (text := (row[column] or "").strip())}
        name = key(row[named] or "")
        if name and found.setdefault(name, with_binomial(ranks)) != with_binomial(ranks):
            raise UserError(f"{file} line {number}: {row[named]} stands there twice, with different ranks")
    return found


def levels_of(all_ranks: Iterable[Ranks]) -> list[str]:
    """The ranks below the kingdom that any of the names has, the highest first."""
    have = {rank for ranks in all_ranks for rank, text in ranks.items() if text}
    return [rank for rank in RANKS[1:] if rank in have]


def label_of(name: str, ranks: Ranks, level: str, with_phylum: bool) -> str:
    """The class name of a photo; "" where its name has no such rank.

    Families are named `phylum_family` where every family of the data has a phylum, as in the Rare Species set, so that
    a family is the same class whichever layout it came in.
    """
    if level == NAME:
        return key(name)
    label = key(ranks.get(level, ""))
    return f"{key(ranks['phylum'])}_{label}" if label and level == "family" and with_phylum else label


def relabel(found: Found, taxonomy: Mapping[str, Ranks], level: str) -> None:
    """Give the photos of folders named by species, say, the label of a level; those without one go to `excluded`.

    Raises:
        UserError: no folder's name has the level.
    """
    names = sorted({photo.class_name for photo in found.photos})
    known = {name: taxonomy[key(name)] for name in names if key(name) in taxonomy}
    with_phylum = all(ranks.get("phylum") for ranks in known.values() if ranks.get("family"))
    labels = {name: label_of(name, ranks, level, with_phylum) for name, ranks in known.items()}
    if not any(labels.values()):
        has = ", ".join(levels_of(known.values())) or "none of these names"
        raise UserError(f"--taxonomy gives no {level} for {', '.join(names[:3])}; it has {has}")
    photos, found.photos = found.photos, []
    for photo in photos:
        if label := labels.get(photo.class_name):
            found.photos.append(photo._replace(class_name=label))
        else:
            found.exclude(photo.source, "no_label", f"the taxonomy gives no {level} for {photo.class_name}")
    if unknown := [name for name in names if name not in known]:
        found.warnings.append(f"the taxonomy has no row for {len(unknown)} names: {', '.join(unknown[:3])}")
