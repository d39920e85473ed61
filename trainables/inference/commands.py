"""The commands on a trained model: `predict`, `explain` and `export`."""

import argparse
import time
from pathlib import Path

from trainables.files.bucket import folder_or_url
from trainables.files.experiment import EXPORTED_FOLDER

FORMATS = ("saved_model", "tflite", "onnx")  # trainables/formats.py says how each is written
MODEL_HELP = "the folder that retrain wrote, or its model.keras; also a URL"


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the three; nothing heavy is imported before one of them runs."""
    _add_predict(commands)
    _add_explain(commands)
    _add_export(commands)


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "predict",
        help="name the families of photos",
        description="Prints the likeliest families of each photo with their probabilities, or writes them as CSV. "
        "A photo in a folder that cannot be read is listed with its problem; one that is named must be readable.",
        epilog="example: python -m trainables predict runs/first/final photo.jpg album --top 3 --csv families.csv",
    )
    parser.add_argument("model", type=folder_or_url, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "images", type=Path, nargs="+", metavar="IMAGE", help="JPEG, PNG, WebP, TIFF, GIF, …; or a folder of them"
    )
    parser.add_argument("--top", type=int, default=5, help="families to print (default: 5)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row per photo instead of printing")
    parser.set_defaults(run=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    from trainables.device import prepare_tensorflow
    from trainables.errors import UserError

    if arguments.top < 1:
        raise UserError(f"--top: must be at least 1, not {arguments.top}")
    prepare_tensorflow()
    from trainables.files.remote_experiment import model_here
    from trainables.inference.predict import find_photos, load_classifier, write_answers

    photos = find_photos(arguments.images)
    classifier = load_classifier(model_here(arguments.model))
    started = time.monotonic()
    answers = list(classifier.answers(photos, arguments.top))
    seconds = time.monotonic() - started
    for answer in answers:
        if answer.problem and answer.photo in arguments.images:
            raise UserError(f"{answer.photo} {answer.problem}")
    if arguments.csv:
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


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "explain",
        help="show what in a photo speaks for a family (Grad-CAM)",
        description="Writes PHOTO_cam.jpg for each photo: the photo, and beside it what in it speaks for the family, "
        "in colour; the rest is dark and grey. It shows where the model looked, not why it is right.",
        epilog="example: python -m trainables explain runs/first/final photo.jpg --out explained",
    )
    parser.add_argument("model", type=folder_or_url, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("images", type=Path, nargs="+", metavar="PHOTO", help="photos, or folders of them")
    parser.add_argument("--family", help="whose evidence to show (default: the family that the model finds likeliest)")
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    parser.set_defaults(run=_explain)


def _explain(arguments: argparse.Namespace) -> int:
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    from trainables.files.remote_experiment import model_here
    from trainables.inference.explain import explain
    from trainables.inference.predict import find_photos, load_classifier

    photos = find_photos(arguments.images)
    classifier = load_classifier(model_here(arguments.model))
    cam, explanations = explain(classifier, photos, arguments.family, arguments.out)
    for photo, about, file in explanations:
        print(f"{photo}: {about.probability:.1%} {about.family}; {file}")
    print(f"Grad-CAM at the layer {cam.layer}, {cam.cells} × {cam.cells} cells")
    return 0


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "export",
        help="write the model in other formats, and check that each predicts the same",
        description="Writes the model for TensorFlow Serving (saved_model), phones (tflite) and ONNX Runtime (onnx). "
        "All take RGB pixels 0..255 and hold the labels. Each is read back and must predict what model.keras predicts.",
        epilog="example: python -m trainables export runs/first/final --format saved_model tflite",
    )
    parser.add_argument("model", type=folder_or_url, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--format", nargs="+", choices=FORMATS, default=list(FORMATS[:2]), help="(default: saved_model tflite)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="a new folder (default: exported/ beside model.keras)")
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from trainables.device import prepare_tensorflow

    prepare_tensorflow()
    from trainables.files.remote_experiment import model_here
    from trainables.inference.formats import export

    model = model_here(arguments.model)
    out = arguments.out or (model if model.is_dir() else model.absolute().parent) / EXPORTED_FOLDER
    for exported in export(model, arguments.format, out):
        print(
            f"{exported.path}  {exported.megabytes:.1f} MB; on {exported.photos} photos no probability differs from "
            f"model.keras by more than {exported.difference:.1g}"
        )
    return 0
