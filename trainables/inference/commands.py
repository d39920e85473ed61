"""The commands on a trained model: `predict`, `evaluate`, `explain` and `export`."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.command_line import command
from trainables.errors import UserError
from trainables.files.bucket import folder_or_url
from trainables.files.experiment import EXPORTED_FOLDER
from trainables.files.remote_experiment import model_here
from trainables.inference.formats import FORMATS

if TYPE_CHECKING:
    from trainables.data.formats.megadetector import Detections
    from trainables.inference.crops import Result
    from trainables.inference.keras_model import Answer, Classifier

_PREDICT = """\
example:
  python -m trainables predict runs/first/final photo.jpg album --top 3 --csv families.csv
  python -m trainables predict runs/first/final album --coverage 0.9
  python -m trainables predict runs/first/final album --sure 0.95
  python -m trainables predict runs/first/final station_1 --crop megadetector.json --megadetector classified.json
  python -m trainables predict runs/first/final package --camtrap-dp package_with_observations

Prints the likeliest families of each photo with their probabilities, or writes them: as CSV; as MegaDetector's results
1.6, which Timelapse and AddaxAI read; as the observations of the Camtrap DP package that IMAGE is. With --coverage it
prints a set of families instead, which holds the right one that often, over photos like those that the model was made
with. A photo unlike all of those is called unknown. With --sure, where the metadata had ranks, each photo is first
named at the deepest rank that is as likely as that. With --crop, each animal of the detector's file is asked about;
crop as the model's photos were. A photo in a folder that cannot be read is listed with its problem; one that is named
must be readable.
"""

_EVALUATE = """\
example:
  python -m trainables evaluate runs/first/final test_photos --out evaluated
  python -m trainables evaluate runs/first/final station_2 --crop megadetector.json

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

    _add_predict(predict)
    evaluate.add_argument("photos", type=Path, metavar="FOLDER", help="folder of labelled photos")
    help_text = "column or number of the folder that is the label, as for prepare (default: family)"
    evaluate.add_argument("--label-level", default="family", metavar="LEVEL", help=help_text)
    help_text = "CSV that gives names their ranks, as for prepare"
    evaluate.add_argument("--taxonomy", type=Path, metavar="FILE", help=help_text)
    help_text = "ask about the animals in the photos, as prepare --crop: MegaDetector's results, or boxes"
    evaluate.add_argument("--crop", metavar="FILE", help=help_text)
    _add_crop_sizes(evaluate)
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


def _add_predict(predict: argparse.ArgumentParser) -> None:
    add = predict.add_argument
    add("images", type=Path, nargs="+", metavar="IMAGE", help="JPEG, HEIC, PNG, WebP, TIFF, …; or a folder of them")
    add("--top", type=int, default=5, help="families to print (default: 5)")
    help_text = "print the set of families that holds the right one this often, such as 0.9 (default: no sets)"
    add("--coverage", type=float, metavar="SHARE", help=help_text)
    help_text = "name each photo at the deepest rank, such as family or phylum, whose probability is at least this"
    add("--sure", type=float, metavar="SHARE", help=help_text)
    add("--csv", type=Path, metavar="FILE", help="write a row per photo (or crop) instead of printing")
    add("--crop", type=Path, metavar="FILE", help="MegaDetector's results: ask about the animals in the photos")
    _add_crop_sizes(predict)
    add("--megadetector", type=Path, metavar="FILE", help="write MegaDetector's results 1.6 with the families in them")
    help_text = "write a Camtrap DP package with the families as observations; IMAGE is such a package"
    add("--camtrap-dp", type=Path, metavar="DIR", help=help_text)
    predict.set_defaults(run=run_predict)


def _add_crop_sizes(parser: argparse.ArgumentParser) -> None:
    help_text = "ask about what the detector is so sure of (default: 0.2)"
    parser.add_argument("--min-confidence", type=float, default=0.2, metavar="P", help=help_text)
    help_text = "widen a box by this share of its longer side (default: 0.1, as in prepare)"
    parser.add_argument("--crop-padding", type=float, default=0.1, metavar="SHARE", help=help_text)


def _check_crop_sizes(arguments: argparse.Namespace) -> None:
    for name, share in (("--min-confidence", arguments.min_confidence), ("--crop-padding", arguments.crop_padding)):
        if not 0 <= share <= 1:
            raise UserError(f"{name}: must be between 0 and 1, not {share}")


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
    for option in ("coverage", "sure"):
        value = getattr(arguments, option)
        if value is not None and not 0 < value < 1:
            raise UserError(f"--{option}: must lie between 0 and 1, such as 0.9, not {value:g}")
    detections = _checked(arguments)
    classifier, photos = _load(arguments)
    from trainables.inference.crops import ask, sources_of

    started, sources = time.monotonic(), sources_of(photos, arguments.images)
    sizes = arguments.min_confidence, arguments.crop_padding
    asked_for = {"coverage": arguments.coverage, "sure": arguments.sure}
    results = ask(classifier, photos, sources, arguments.top, detections, *sizes, **asked_for)
    seconds = time.monotonic() - started
    for result in results:
        for answer in result.answers:
            if answer.problem and answer.photo in arguments.images:
                raise UserError(f"{answer.photo} {answer.problem}")
    written = _write_results(arguments, results, classifier, detections)
    if not written:
        _print_results(results, arguments.sure)
    if written or any(image.is_dir() for image in arguments.images):
        asked = [answer for result in results for answer in result.answers]
        unread = sum(any(answer.problem for answer in result.answers) for result in results)
        crops = f", {len(asked)} animals in them" if detections else ""
        print(
            f"{len(results)} photos{crops}, {unread} of them unreadable, in {seconds:.1f} s: "
            f"{len(asked) / seconds:.0f} {'animals' if detections else 'photos'} a second"
            f"{f'; written to {written}' if written else ''}"
        )
    return 0


def _checked(arguments: argparse.Namespace) -> "Detections | None":
    """The detector's results, if crops are asked for; what cannot be done is refused before a model is loaded."""
    _check_crop_sizes(arguments)
    if arguments.camtrap_dp:
        from trainables.files.output import check_free

        check_free(arguments.camtrap_dp)
        if len(arguments.images) != 1 or not arguments.images[0].is_dir():
            raise UserError("--camtrap-dp needs one IMAGE, the folder of a Camtrap DP package")
    if not arguments.crop:
        return None
    from trainables.data.formats.megadetector import read_detections

    return read_detections(arguments.crop)


def _print_results(results: "Sequence[Result]", sure: float | None) -> None:
    for result in results:
        print(result.photo)
        if result.why:
            print(f"  {result.why}")
        for answer in result.answers:
            if answer.box:
                print(f"  box {(answer.share or answer.box).text()} (detector {answer.box.confidence:.2f})")
            print_answer(answer, sure)


def _write_results(
    arguments: argparse.Namespace,
    results: "Sequence[Result]",
    classifier: "Classifier",
    detections: "Detections | None",
) -> str:
    """Write what was asked for; where it is, "" for nothing."""
    names, written = classifier.labels.class_names, []
    model = f"Raretune {Path(str(arguments.model)).absolute().name} ({classifier.labels.backbone})"
    if arguments.csv:
        from trainables.inference.keras_model import Answer, write_answers

        rows = [answer for result in results for answer in (result.answers or [Answer(result.photo, [], result.why)])]
        write_answers(rows, min(arguments.top, len(names)), arguments.csv)
        written.append(arguments.csv)
    if arguments.megadetector:
        from trainables.inference.megadetector_results import write_results

        write_results(arguments.megadetector, results, names, model, detections)
        written.append(arguments.megadetector)
    if arguments.camtrap_dp:
        from trainables.inference.camtrap_dp_results import write_package

        write_package(arguments.images[0], arguments.camtrap_dp, results, model)
        written.append(arguments.camtrap_dp)
    return " and ".join(map(str, written))


def print_answer(answer: "Answer", sure: float | None) -> None:
    """Print a photo's set or else its likeliest families, its name at a rank, and what is wrong with it."""
    if answer.unknown:
        print("  unknown: unlike the photos that the model was trained on; the likeliest of its families:")
    if sure is not None and not answer.problem:
        at = answer.taxon
        print(f"  {at.probability:6.1%}  {at.rank} {at.name}" if at else f"  no rank reaches {sure:.0%}")
    for guess in answer.held or answer.guesses:
        print(f"  {guess.probability:6.1%}  {guess.family}")
    if answer.problem:
        print(f"  {answer.problem}")


def run_evaluate(arguments: argparse.Namespace) -> int:
    """Print the figures, the weakest family first, and what they do not tell; write them where that is asked."""
    # Imports stand in the functions: --help must answer at once.
    from trainables.device import prepare_tensorflow
    from trainables.files.output import check_free

    _check_crop_sizes(arguments)
    if arguments.out:
        check_free(arguments.out)
    prepare_tensorflow()
    from trainables.data.options import PrepareOptions
    from trainables.inference.evaluation import evaluate, write_evaluation
    from trainables.inference.keras_model import load_classifier

    model = model_here(arguments.model)
    names = ("label_level", "taxonomy", "crop", "min_confidence", "crop_padding")
    how = PrepareOptions(**{name: getattr(arguments, name) for name in names})
    found = evaluate(load_classifier(model), model, arguments.photos, how)
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
