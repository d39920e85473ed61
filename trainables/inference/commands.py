"""The commands on a trained model: `predict`, `evaluate`, `explain` and `export`."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.command_line import command
from trainables.errors import UserError
from trainables.files.bucket import folder_or_url
from trainables.files.experiment import EXPORTED_FOLDER
from trainables.files.remote_experiment import model_here
from trainables.inference.formats import FORMATS

if TYPE_CHECKING:
    from trainables.inference.keras_model import Classifier

_PREDICT = """\
example:
  python -m trainables predict runs/first/final photo.jpg album --top 3 --csv families.csv

Prints the likeliest families of each photo with their probabilities, or writes them as CSV. A photo in a folder that
cannot be read is listed with its problem; one that is named must be readable.
"""

_EVALUATE = """\
example:
  python -m trainables evaluate runs/first/final test_photos --out evaluated

FOLDER has a folder for each family, called as the model calls it, or metadata as for `prepare`. Prints accuracy and
macro F1 with 95 % intervals and a line per family, the weakest first. Photos of other families are left out and
counted; photos that the model was trained on are named.
"""

_EXPLAIN = """\
example:
  python -m trainables explain runs/first/final photo.jpg --out explained

Writes PHOTO_cam.jpg for each photo: the photo, and beside it what in it speaks for the family, in colour; the rest is
dark and grey. It shows where the model looked, not why it is right.
"""

_EXPORT = """\
example:
  python -m trainables export runs/first/final --format saved_model tflite
  python -m trainables export runs/first/final --format saved_model --decode

Writes the model for {readers}.
All take RGB pixels 0..255 (docs/pixels.md says how they are made)
and hold the labels. Each is read back and must predict what model.keras predicts.
"""


def add_commands(subparsers: Any) -> None:
    """Add the four to what `ArgumentParser.add_subparsers` returned; each sets `run`, Namespace to exit status."""
    *most, last = [f"{each.reader} ({name})" for name, each in FORMATS.items()]
    export_text = _EXPORT.format(readers=f"{', '.join(most)} and {last}")
    predict = command(subparsers, "predict", "name the families of photos", _PREDICT)
    evaluate = command(subparsers, "evaluate", "test a model on a folder of labelled photos", _EVALUATE)
    explain = command(subparsers, "explain", "show what in a photo speaks for a family (Grad-CAM)", _EXPLAIN)
    help_line = "write the model in other formats, and check that each predicts the same"
    export = command(subparsers, "export", help_line, export_text)
    for parser in (predict, evaluate, explain, export):
        help_text = "the folder that retrain wrote, or its model.keras; also a URL"
        parser.add_argument("model", type=folder_or_url, metavar="MODEL", help=help_text)

    add = predict.add_argument
    add("images", type=Path, nargs="+", metavar="IMAGE", help="JPEG, HEIC, PNG, WebP, TIFF, …; or a folder of them")
    add("--top", type=int, default=5, help="families to print (default: 5)")
    add("--csv", type=Path, metavar="FILE", help="write a row per photo instead of printing")
    predict.set_defaults(run=run_predict)

    evaluate.add_argument("photos", type=Path, metavar="FOLDER", help="folder of labelled photos")
    help_text = "column or number of the folder that is the label, as for prepare (default: family)"
    evaluate.add_argument("--label-level", default="family", metavar="LEVEL", help=help_text)
    help_text = "new folder for families.csv, predictions.csv and evaluation.json (default: print only)"
    evaluate.add_argument("--out", type=Path, metavar="DIR", help=help_text)
    evaluate.set_defaults(run=run_evaluate)

    add = explain.add_argument
    add("images", type=Path, nargs="+", metavar="PHOTO", help="photos, or folders of them")
    add("--family", help="whose evidence to show (default: the family that the model finds likeliest)")
    add("--out", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    explain.set_defaults(run=run_explain)

    usual = [name for name, each in FORMATS.items() if not each.packages]
    more = [f"; {name} needs {each.requirements}" for name, each in FORMATS.items() if each.packages]
    help_text = f"(default: {' '.join(usual)}{''.join(more)})"
    export.add_argument("--format", nargs="+", choices=FORMATS, default=usual, help=help_text)
    help_text = "let the SavedModel take photo files too (signature encoded); says how its answers differ"
    export.add_argument("--decode", action="store_true", help=help_text)
    export.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: exported/ beside model.keras)")
    export.set_defaults(run=run_export)


def _load(arguments: argparse.Namespace) -> "tuple[Classifier, list[Path]]":
    """The model, after a quiet start of TensorFlow, and the photos; says what was passed over in their folders."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    from trainables.data.photo_files import Found
    from trainables.inference.keras_model import find_photos, load_classifier

    others = Found("album")
    photos = find_photos(arguments.images, others)
    if others.excluded:
        print(f"{len(others.excluded)} files are no photos and passed over: {others.passed_over()}", file=sys.stderr)
    return load_classifier(model_here(arguments.model)), photos


def run_predict(arguments: argparse.Namespace) -> int:
    """Print the families of the photos, or write them."""
    if arguments.top < 1:
        raise UserError(f"--top: must be at least 1, not {arguments.top}")
    classifier, photos = _load(arguments)
    started = time.monotonic()
    answers = list(classifier.answers(photos, arguments.top))
    seconds = time.monotonic() - started
    for answer in answers:
        if answer.problem and answer.photo in arguments.images:
            raise UserError(f"{answer.photo} {answer.problem}")
    if arguments.csv:
        from trainables.inference.keras_model import write_answers

        write_answers(answers, min(arguments.top, len(classifier.labels.class_names)), arguments.csv)
    else:
        for answer in answers:
            print(answer.photo)
            for guess in answer.guesses:
                print(f"  {guess.probability:6.1%}  {guess.family}")
            if answer.problem:
                print(f"  {answer.problem}")
    if arguments.csv or any(image.is_dir() for image in arguments.images):
        unread = sum(answer.problem is not None for answer in answers)
        print(
            f"{len(answers)} photos, {unread} of them unreadable, in {seconds:.1f} s: {len(answers) / seconds:.0f} "
            f"photos a second{f'; written to {arguments.csv}' if arguments.csv else ''}"
        )
    return 0


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print the figures, the weakest family first, and what they do not tell; write them where that is asked."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.device import prepare_tensorflow
    from trainables.files.output import check_free

    if arguments.out:
        check_free(arguments.out)
    prepare_tensorflow()
    from trainables.inference.evaluation import evaluate, write_evaluation
    from trainables.inference.keras_model import load_classifier

    model = model_here(arguments.model)
    found = evaluate(load_classifier(model), model, arguments.photos, arguments.label_level)
    width = max(len("family"), *(len(each.family) for each in found.families))
    print(f"{'family':<{width}}  photos  right  recall (95% interval)     precision      F1")
    for each in found.families:
        recall = f"{each.recall.value:6.1%} ({each.recall.low:.1%} to {each.recall.high:.1%})"
        shares = f"{recall:<25} {each.precision:9.1%}  {each.f1:6.1%}"
        print(f"{each.family:<{width}}  {each.photos:6}  {each.right:5}  {shares}")
    for name, (value, low, high) in (("accuracy", found.scores.accuracy), ("macro F1", found.scores.macro_f1)):
        print(f"{name} {value:.1%} (95% interval {low:.1%} to {high:.1%}) on {found.scores.photos} photos")
    for line in found.warnings():
        print(f"warning: {line}")
    if arguments.out:
        write_evaluation(found, arguments.out)
        print(f"tables are in {arguments.out}")
    return 0


def run_explain(arguments: argparse.Namespace) -> int:
    """Write the explanations, and print what each is about."""
    classifier, photos = _load(arguments)
    from trainables.inference.explain import explain

    cam, explanations = explain(classifier, photos, arguments.family, arguments.out)
    for photo, about, file in explanations:
        print(f"{photo}: {about.probability:.1%} {about.family}; {file}")
    print(f"Grad-CAM at the layer {cam.layer}, {cam.cells} × {cam.cells} cells")
    return 0


def run_export(arguments: argparse.Namespace) -> int:
    """Write the formats, and print how far each was from the model.

    Raises:
        UserError: one was not written; the others are kept.
    """
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    from trainables.inference.export import export, failures

    model = model_here(arguments.model)
    out = arguments.out or (model if model.is_dir() else model.absolute().parent) / EXPORTED_FOLDER
    written, failed = export(model, arguments.format, out, arguments.decode)
    for exported in written:
        print(
            f"{exported.path}  {exported.megabytes:.1f} MB; on {exported.photos} photos no probability differs from "
            f"model.keras by more than {exported.difference:.1g}"
        )
        if (seen := exported.decoded) is not None:
            others = f"; {seen.unread} more are of kinds that it does not read" if seen.unread else ""
            print(
                f"  signature encoded: {seen.otherwise} of {seen.photos} photos that it decodes itself get another "
                f"answer, and probabilities differ by up to {seen.difference:.2g}{others}"
            )
    if failed:
        raise UserError(failures(failed))
    return 0
