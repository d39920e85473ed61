"""Groups of photos that must not be parted."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from trainables.data.options import DEFAULT_RULES, GROUP_RULES, NEAR_DUPLICATES
from trainables.data.photo_files import Found, PhotoFile
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import ImageDescriptor
from trainables.near_duplicates.links import components, links_of_equal, near_duplicate_links

AND = "+"
"""Between two columns: `station+day` keeps together what one station took on one day."""


class Grouping(NamedTuple):
    """Of each photo its group, and which photos show `alike` things: the smallest photo id of each.

    Photos that are alike are copies, near-duplicates, bursts or of one species, as the rules say; a group may hold
    more, such as all photos of a station.
    """

    groups: list[str]
    alike: list[str]


def rules_for(found: Found, rules: Sequence[str]) -> tuple[str, ...]:
    """The rules that apply: by default also what the data themselves say belongs together.

    Raises:
        UserError: see `check_rules`.
    """
    rules = tuple(rules)
    check_rules(rules, found.photos, found.columns)
    there = [column for column in found.together if column in found.columns]  # Not all data have sequences.
    return (*rules, *there) if rules == DEFAULT_RULES else rules


def check_rules(rules: Sequence[str], photos: Sequence[PhotoFile], columns: Sequence[str] = ()) -> None:
    """Refuse rules that do not exist, contradict each other, or need metadata that are not there.

    Raises:
        UserError: a rule is unknown and no column, stands beside none, or needs metadata that `photos` lack.
    """
    parts = [part for rule in rules if rule not in GROUP_RULES for part in rule.split(AND)]
    unknown = [part for part in parts if part not in columns]
    if unknown:
        has = f"; the columns are {', '.join(columns)}" if columns else "; these photos come without columns"
        raise UserError(f"no grouping rule is called {unknown[0]!r}; the rules are {', '.join(GROUP_RULES)}{has}")
    if "none" in rules and len(rules) > 1:
        raise UserError(f"--group none goes with no other rule, not with {', '.join(sorted({*rules} - {'none'}))}")
    needy = [rule for rule in rules if rule in ("bursts", "species")]
    if needy and not any(photo.species for photo in photos):
        raise UserError(f"--group {needy[0]} needs metadata with eol_page_id; class folders alone do not tell species")


def group_photos(
    photos: Sequence[PhotoFile],
    hashes: Sequence[str],
    descriptors: Sequence[ImageDescriptor],
    rules: Iterable[str],
    columns: Sequence[str] = (),
) -> Grouping:
    """The groups of photos, and the photos that are alike.

    Exact copies (equal content hash) are always linked, and so are crops of one photo; `rules` say what else is, by the
    photos' values in `columns` too. If a is linked to b and b to c, all three are one group, or a leak would remain.
    """
    rules = set(rules)
    links = list(links_of_equal(hashes))
    if NEAR_DUPLICATES in rules:
        links += near_duplicate_links(descriptors, [photo.class_name for photo in photos])
    if "species" in rules:
        links += links_of_equal([photo.species for photo in photos])
    if "bursts" in rules:  # Photos of one species whose content ids follow each other: one photographer's series.
        at = {(photo.species, photo.content_id): position for position, photo in enumerate(photos) if photo.species}
        for (species, content_id), position in at.items():
            if content_id is not None and (before := at.get((species, content_id - 1))) is not None:
                links.append((before, position))
    alike = _smallest_ids(photos, links)
    more = list(links_of_equal([photo.source for photo in photos]))
    for rule in sorted(rules.difference(GROUP_RULES)):
        at_columns = [columns.index(part) for part in rule.split(AND)]
        more += links_of_equal([_key(photo, at_columns) for photo in photos])
    return Grouping(_smallest_ids(photos, [*links, *more]) if more else alike, alike)


def _key(photo: PhotoFile, at: Sequence[int]) -> tuple[str, ...] | None:
    """The photo's values in some columns; None where one is not known, which links nothing."""
    values = tuple(photo.values[column] for column in at)
    return values if all(values) else None


def _smallest_ids(photos: Sequence[PhotoFile], links: Iterable[tuple[int, int]]) -> list[str]:
    component = components(len(photos), links)
    smallest: dict[int, str] = {}
    for photo, top in zip(photos, component, strict=True):
        smallest[top] = min(smallest.get(top, photo.photo_id), photo.photo_id)
    return [smallest[top] for top in component]
