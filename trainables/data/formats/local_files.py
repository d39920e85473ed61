"""Photos on this disk, found by the paths, addresses and names under which a list knows them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import unquote, urlsplit

from trainables.data.photo_files import path_key

_DEEPEST = 8


def common_offset(listed: Sequence[str], there: Iterable[str]) -> tuple[int, str]:
    """How a list's paths lie to the paths that are there: folders to drop in front of a listed path, or to put there.

    Returns:
        (n, ""): drop the first n folders of each; (0, "a/b/"): put this in front. Whichever finds most photos, the
        least change where several find as many. Case does not count.
    """
    known = {path.casefold(): path for path in there}
    some = [path.casefold() for path in listed[:: max(1, len(listed) // 2000)]]
    best = (sum(path in known for path in some), 0, "")
    if best[0] == len(some):
        return 0, ""
    for dropped in range(1, _DEEPEST + 1):
        hits = sum(path.split("/", dropped)[-1] in known for path in some if path.count("/") >= dropped)
        best = max(best, (hits, -dropped, ""))
    # The list may have been made in a folder below this one.
    tails, fronts = set(some), Counter[str]()
    for folded, path in known.items():
        for depth in range(1, min(folded.count("/") + 1, _DEEPEST)):
            if folded.split("/", depth)[-1] in tails:
                fronts["/".join(path.split("/")[:depth]) + "/"] += 1
    if fronts:
        front, _ = min(fronts.items(), key=lambda each: (-each[1], len(each[0]), each[0]))
        hits = sum(front.casefold() + path in known for path in some)
        best = max(best, (hits, -_DEEPEST - 1, front))
    return (0, best[2]) if best[2] else (-best[1], "")


class LocalFiles:
    """The photos below a folder, by path, by the ends of their paths, and by name."""

    def __init__(self, sources: Iterable[str]) -> None:
        self.by_path = {path_key(source): source for source in sources}
        self._by_end: dict[str, list[str]] = {}
        self._by_folded: dict[str, list[str]] = {}
        for key, source in self.by_path.items():
            self._by_folded.setdefault(key.casefold(), []).append(source)
            parts = key.split("/")
            ends = {"/".join(parts[-2:]), parts[-1], parts[-1].rpartition(".")[0]}
            for end in ends:
                self._by_end.setdefault(end, []).append(source)

    def at(self, path: str) -> str | None:
        """The photo at a path, or None; else the one whose path differs in case alone, as Windows takes them."""
        key = path_key(path)
        alike = self._by_folded.get(key.casefold(), [])
        return self.by_path.get(key) or (alike[0] if len(alike) == 1 else None)

    def called(self, *names: str) -> str | None:
        """The one photo whose path ends in one of `names`: a folder and a file, a file, or a file without its suffix.

        The first name that one photo alone has; None where there is none.
        """
        for name in names:
            found = self._by_end.get(path_key(name), [])
            if name and len(found) == 1:
                return found[0]
        return None


def address_names(address: str) -> tuple[str, str]:
    """Of a web address the last two parts of its path, and the last: `photos/12/medium.jpg` is `12/medium.jpg`, …"""
    parts = [part for part in unquote(urlsplit(address).path).split("/") if part]
    return "/".join(parts[-2:]), parts[-1] if parts else ""


def is_address(path: str) -> bool:
    """Whether a path is a web address."""
    return path.lower().startswith(("http://", "https://", "ftp://"))
