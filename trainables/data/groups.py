"""Groups of photos that the split keeps together."""

from collections.abc import Iterable, Sequence

from trainables.data.options import GROUP_RULES, NEAR_DUPLICATES
from trainables.data.photo_files import PhotoFile
from trainables.errors import UserError
from trainables.near_duplicates.descriptor import ImageDescriptor
from trainables.near_duplicates.links import near_duplicate_links
from trainables.near_duplicates.union_find import components, links_of_equal


def check_rules(rules: Sequence[str], photos: Sequence[PhotoFile]) -> None:
    """Refuse rules that do not exist, contradict each other, or need metadata that are not there.

    Raises:
        UserError: a rule is unknown, stands beside none, or needs metadata that `photos` lack.
    """
    unknown = [rule for rule in rules if rule not in GROUP_RULES]
    if unknown:
        raise UserError(f"no grouping rule is called {unknown[0]!r}; the rules are {', '.join(GROUP_RULES)}")
    if "none" in rules and len(rules) > 1:
        raise UserError(f"--group none goes with no other rule, not with {', '.join(sorted({*rules} - {'none'}))}")
    needy = [rule for rule in rules if rule in ("bursts", "species")]
    if needy and not any(photo.species for photo in photos):
        raise UserError(f"--group {needy[0]} needs metadata with eol_page_id; class folders alone do not tell species")


def group_photos(
    photos: Sequence[PhotoFile], hashes: Sequence[str], descriptors: Sequence[ImageDescriptor], rules: Iterable[str]
) -> list[str]:
    """The group of each photo: the smallest photo id in its connected component.

    Exact copies (equal content hash) are always linked; `rules` say what else is. If a is linked to b and b to c, all
    three are one group, or a leak would remain.
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
    component = components(len(photos), links)
    smallest: dict[int, str] = {}
    for photo, top in zip(photos, component, strict=True):
        smallest[top] = min(smallest.get(top, photo.photo_id), photo.photo_id)
    return [smallest[top] for top in component]
