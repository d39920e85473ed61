"""The command `review`."""

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
    help_line = "list photos that may not belong, for a person to decide on"
    parser = command(subparsers, "review", help_line, _REVIEW, "trainables.review.options:ReviewOptions")
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="folder of class folders")
    parser.add_argument("out", metavar="OUT", type=Path, help="new or empty folder for review.csv and index.html")
    help_text = "go on from random weights where ImageNet's are neither here nor can be downloaded, without a question"
    parser.add_argument("--yes", action="store_true", help=help_text)
    parser.set_defaults(run=run_review)


def run_review(arguments: argparse.Namespace) -> int:
    """Review, and print what to do next."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.review.options import ReviewOptions

    options = options_from(arguments, ReviewOptions)
    from trainables.review.findings import SECTIONS
    from trainables.review.review import LIST, PAGE, review

    result = review(arguments.photos, arguments.out, options, lambda line: print(line, flush=True), arguments.yes)
    if result.weights.warning:
        print(f"warning: {result.weights.warning}")
    counts = {name: len(result.section(name)) for name in SECTIONS}
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + f", listed in {arguments.out / LIST}")
    print(f"open {arguments.out / PAGE}, tick what does not belong, save the list as exclude.csv, then:")
    print(f"  python -m trainables prepare {shlex.quote(str(arguments.photos))} DATASET --exclude exclude.csv")
    return 0
