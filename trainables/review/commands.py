"""The commands on photos that a person looks at: `review` and `next`."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from trainables.command_line import command, options_from
from trainables.errors import UserError
from trainables.files.bucket import folder_or_url
from trainables.files.remote_experiment import model_here

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


_NEXT = """\
example:
  python -m trainables next runs/first/final unlabelled runs/next --top 60

OUT/index.html is a contact sheet that works without a server: photos that the model is unsure of, unlike each other,
and rather of families that have few photos. Write the families there and save them as labels.csv; or fill the column
family of OUT/next.csv.
"""


def add_commands(subparsers: Any) -> None:
    """Add both to what `ArgumentParser.add_subparsers` returned; each sets `run`, Namespace to exit status."""
    help_line = "list photos that may not belong, for a person to decide on"
    parser = command(subparsers, "review", help_line, _REVIEW, "trainables.review.options:ReviewOptions")
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="folder of class folders")
    parser.add_argument("out", metavar="OUT", type=Path, help="new or empty folder for review.csv and index.html")
    help_text = "go on from random weights where ImageNet's are neither here nor can be downloaded, without a question"
    parser.add_argument("--yes", action="store_true", help=help_text)
    parser.set_defaults(run=run_review)

    help_line = "list the unlabelled photos whose labels would teach a model most"
    parser = command(subparsers, "next", help_line, _NEXT)
    help_text = "the folder that retrain or probe wrote, or its model.keras; also a URL"
    parser.add_argument("model", type=folder_or_url, metavar="MODEL", help=help_text)
    parser.add_argument("photos", type=Path, metavar="FOLDER", help="folder of unlabelled photos")
    parser.add_argument("out", type=Path, metavar="OUT", help="new or empty folder for next.csv and index.html")
    parser.add_argument("--top", type=int, default=60, metavar="N", help="photos to list (default: 60)")
    parser.set_defaults(run=run_next)


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


def run_next(arguments: argparse.Namespace) -> int:
    """Write the list and the contact sheet, and print the first photos."""
    if arguments.top < 1:
        raise UserError(f"--top: must be at least 1, not {arguments.top}")
    # Imports stand in the function: --help must answer at once.
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    from trainables.inference.keras_model import load_classifier
    from trainables.review.labelling import LIST, label_next
    from trainables.review.review import PAGE

    classifier = load_classifier(model_here(arguments.model))
    chosen = label_next(classifier, arguments.photos, arguments.out, arguments.top, print)
    for rank, one in enumerate(chosen[:5], start=1):
        print(f"{rank:3}  {one.reason}")
    print(f"{len(chosen)} photos to label next are in {arguments.out / PAGE} and {arguments.out / LIST}")
    return 0
