"""The final stage in TensorBoard, beside the sweep's trials: its curves under the same names, and its pictures.

A view of the final stage's files, made from them alone; the files stay the record.
"""

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from tensorboardX import SummaryWriter

from trainables.files.experiment import CONFUSION_FILE, HISTORY_FILE, MISTAKES_FILE, PICTURES_FOLDER
from trainables.files.output import read_rows
from trainables.final.mistakes import SIDE

_PICTURES = {  # TensorBoard orders by name: what matters most comes first.
    "1_confusion_matrix_test": CONFUSION_FILE,
    "3_augmentation": "augmentation.jpg",
    "4_training_photos": "samples.jpg",
}
_MISTAKES = "2_most_confident_mistakes_test"
_ACROSS = 3  # mistakes side by side, each a photo and its overlay
_GAP = 8
_LINE = 14  # height of a line of Pillow's own font, in pixels


def write_final_board(final: Path, folder: Path) -> None:
    """Write the runs `folder`, with pictures, and `folder`_before and `folder`_after, with the curves of each training.

    Runs of an earlier final stage are replaced. TensorBoard finds them where the sweep's runs are:
    EXPERIMENT/tensorboard/final.
    """
    for old in (folder, *(folder.with_name(f"{folder.name}_{stage}") for stage in ("before", "after"))):
        shutil.rmtree(old, ignore_errors=True)
    history = read_rows(final / HISTORY_FILE)
    for stage in dict.fromkeys(row["stage"] for row in history):
        with SummaryWriter(str(folder.with_name(f"{folder.name}_{stage}"))) as writer:
            for row in history:
                if row["stage"] == stage:
                    _write_epoch(writer, row)
    pictures = final / PICTURES_FOLDER
    with SummaryWriter(str(folder)) as writer:
        for tag, name in _PICTURES.items():
            with Image.open(pictures / name) as picture:
                writer.add_image(tag, np.asarray(picture.convert("RGB")), dataformats="HWC")
        sheet = mistakes_sheet(pictures)
        if sheet is not None:
            writer.add_image(_MISTAKES, sheet, dataformats="HWC")


def _write_epoch(writer: SummaryWriter, row: dict[str, str]) -> None:
    for name, value in row.items():
        if name not in ("stage", "epoch", "epoch_seconds"):
            writer.add_scalar(name, float(value), int(row["epoch"]))


def mistakes_sheet(pictures: Path) -> npt.NDArray[np.uint8] | None:
    """All mistakes of mistakes.csv on one sheet, uint8 [height, width, 3]; None where there are none."""
    mistakes = read_rows(pictures / MISTAKES_FILE)
    if not mistakes:
        return None
    width, height = 2 * SIDE + 3 * _GAP, SIDE + 3 * _LINE + _GAP
    lines = -(-len(mistakes) // _ACROSS)
    sheet = Image.new("RGB", (width * min(_ACROSS, len(mistakes)), height * lines), "white")
    draw = ImageDraw.Draw(sheet)
    for number, mistake in enumerate(mistakes):
        left, top = width * (number % _ACROSS) + _GAP, height * (number // _ACROSS) + _GAP
        draw.text((left, top), f"{mistake['predicted']}, {float(mistake['probability']):.0%}", fill="black")
        draw.text((left, top + _LINE), f"in truth {mistake['family']}", fill="black")
        for column, name in enumerate((mistake["photo"], mistake["cam"])):
            with Image.open(pictures / name) as picture:
                sheet.paste(picture, (left + column * (SIDE + _GAP), top + 2 * _LINE + 4))
    return np.asarray(sheet)
