"""The sub-command `review`."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from trainables.command_line import command, options_from

_REVIEW = """\
examples:
  python -m trainables review ../shared/data/rare_families runs/review
  python -m trainables review rare-species runs/review --group near-duplicates bursts --top 700
  python -m trainables prepare ../shared/data/rare_families runs/dataset --exclude exclude.csv

Nothing is removed: OUT/index.html is a contact sheet that works without a server. Tick what does not belong there and
save the list as exclude.csv; or write yes in the column exclude of OUT/review.csv. `prepare --exclude` takes either.
The list: photos that are likely irrelevant (people, text, maps, objects), worst first; files that are no picture;
tiny ones; blank ones; and, for information, near-duplicates, which `prepare` keeps in one split by itself.
"""


def add_commands(subparsers: Any) -> None:
    """Add `review` to what `ArgumentParser.add_subparsers` returned; it sets `run`, Namespace to exit status."""
    parser = command(subparsers, "review", "list photos that may not belong, for a person to decide on", _REVIEW)
    add = parser.add_argument
    add("photos", metavar="PHOTOS", type=Path, help="folder of class folders")
    add("out", metavar="OUT", type=Path, help="new or empty folder for review.csv and index.html")
    add("--top", type=int, metavar="N",
        help="photos to list as likely irrelevant (default: 6.4 %% of all, twice what the study removed)")  # fmt: skip
    add("--weights", default="auto", metavar="WEIGHTS",
        help="of InceptionV3: auto (default), imagenet, random, or a file without top")  # fmt: skip
    add("--image-size", type=int, default=299, metavar="PIXELS",
        help="size at which photos are judged (default 299; 139 takes a fifth of the time and finds less)")  # fmt: skip
    add("--tiny", type=int, default=64, metavar="PIXELS", help="list photos whose shorter side is less (default 64)")
    add("--label-level", default="family", metavar="LEVEL",
        help="phylum, class, order, family, genus or species, where the metadata has it (default family)")  # fmt: skip
    add("--group", nargs="+", default=("near-duplicates",), metavar="RULE",
        help="photos that must not vouch for each other: near-duplicates (default), bursts (one species, adjacent "
        "content ids), species, or none")  # fmt: skip
    add(
        "--seed", type=int, default=0, help="of the folds in which photos are judged, and of random weights (default 0)"
    )
    add("--workers", type=int, metavar="N", help="processes that look at the photos (default: one per core)")
    parser.set_defaults(run=run_review)


def run_review(arguments: argparse.Namespace) -> int:
    """Review, and say what to do next."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.review.findings import SECTIONS
    from trainables.review.review import LIST, PAGE, ReviewOptions, review

    result = review(
        arguments.photos,
        arguments.out,
        options_from(arguments, ReviewOptions),
        say=lambda line: print(line, flush=True),
    )
    if result.weights.warning:
        print(f"warning: {result.weights.warning}")
    counts = {name: len(result.section(name)) for name in SECTIONS}
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + f", listed in {arguments.out / LIST}")
    print(f"open {arguments.out / PAGE}, tick what does not belong, save the list as exclude.csv, then:")
    print(f"  python -m trainables prepare {shlex.quote(str(arguments.photos))} DATASET --exclude exclude.csv")
    return 0
