"""The trained network as one plain Keras model: built, saved, loaded, asked."""

import json
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from trainables.config import TrialConfig
from trainables.data.crops import Box
from trainables.data.images import ImageUnreadable, decode_resized
from trainables.data.photo_files import Found, photo_bytes, photo_files
from trainables.device import usable_cores
from trainables.errors import UserError, message_of, out_of_memory
from trainables.files.experiment import LABELS_FILE, MODEL_FILE
from trainables.files.output import replacing, write_json, write_rows
from trainables.files.record import read_record
from trainables.guarantee import Guarantee
from trainables.network.backbones import scaling_layer
from trainables.network.head import head_layers, pooled_backbone
from trainables.network.tail import Tail
from trainables.taxonomy import AtRank, Taxonomy

Array = npt.NDArray[Any]

BATCH = 32
_MOST_TEXT = 2**26  # bytes of the texts in a model: InceptionV3's are 0.3 MB
_METADATA = "metadata.json"  # Keras' own entry in a .keras file; Keras writes it and never reads it.


class Labels(BaseModel):
    """What a model's numbers mean: the families by label, and the side in pixels of the photos that it takes.

    `guarantee` makes its probabilities honest and gives sets of families; None in models of earlier versions.
    `taxonomy` is None where the dataset's metadata had no ranks above the labels.
    """

    model_config = ConfigDict(frozen=True)

    class_names: tuple[str, ...]
    image_size: int
    backbone: str
    guarantee: Guarantee | None = None
    taxonomy: Taxonomy | None = None


def whole_model(base: Any, tail: Tail, config: TrialConfig) -> Any:
    """Backbone, tail and head in one Keras model, scaling inside.

    It maps RGB pixels 0..255, [n, size, size, 3], to float32 probabilities [n, classes].
    """
    import keras

    backbone = keras.models.clone_model(base)
    backbone.set_weights(base.get_weights())
    for layer in tail.body.layers:
        if layer.weights:
            backbone.get_layer(layer.name).set_weights(layer.get_weights())
    standard = [variable.numpy() for variable in tail.standard] if tail.body.cut.depths else None
    return headed_model(backbone, tail.body.cut.depths, config, standard, [each.numpy() for each in tail.head])


def headed_model(
    backbone: Any, depths: Sequence[str], config: TrialConfig, standard: Sequence[Array] | None, head: Sequence[Array]
) -> Any:
    """A backbone without top and a head in one Keras model, scaling inside; the backbone is frozen, not copied.

    Args:
        depths: what the head reads (see `head.pooled_backbone`).
        standard: mean and deviation of the features, float32 [channels] each, None where they stay as they are.
        head: kernel and bias of each dense layer, one after the other; the last one's width is the number of families.
    """
    import keras

    backbone.trainable = False
    pixels = keras.Input((config.image_size, config.image_size, 3), name="pixels")
    features = pooled_backbone(backbone, depths)(scaling_layer(config.backbone)(pixels), training=False)
    layers = head_layers(config, len(head[-1]), standard)
    for layer in layers:
        features = layer(features)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    for layer, weights in zip(dense, zip(head[::2], head[1::2], strict=True), strict=True):
        layer.set_weights(weights)
    return keras.Model(pixels, features, name="raretune")


def save_model(
    model: Any,
    class_names: tuple[str, ...],
    config: TrialConfig,
    folder: Path,
    guarantee: Guarantee | None = None,
    taxonomy: Taxonomy | None = None,
) -> None:
    """Write model.keras, its labels inside, and labels.json for readers without Keras."""
    file = folder / MODEL_FILE
    told = {"class_names": class_names, "image_size": config.image_size, "backbone": config.backbone}
    labels = Labels(**told, guarantee=guarantee, taxonomy=taxonomy).model_dump(mode="json")
    model.save(file)
    # The labels go into the metadata: a fourth entry would make Keras unpack all of the archive to load it.
    written = file.with_name(f".{file.name}.labels")
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(written, "w") as copy:
        for entry in archive.infolist():
            same = zipfile.ZipInfo(entry.filename, entry.date_time)
            with archive.open(entry) as source, copy.open(same, "w", force_zip64=True) as target:
                if entry.filename == _METADATA:
                    target.write(json.dumps(json.load(source) | {"labels": labels}, ensure_ascii=False).encode())
                else:
                    shutil.copyfileobj(source, target, 1 << 20)
    written.replace(file)
    write_json(labels, folder / LABELS_FILE)


def read_labels(model: Path) -> Labels:
    """Read the labels in a .keras file, or the labels.json beside an older one.

    Raises:
        UserError: the file is missing, is no .keras file, or has no labels.
    """
    hint = "MODEL is the folder that `python -m trainables retrain` wrote, or the model.keras in it"
    if not model.is_file():
        raise UserError(f"{model} does not exist; {hint}")
    try:
        with zipfile.ZipFile(model) as archive:
            _check_archive(archive, model.stat().st_size)
            labels = json.loads(archive.read(_METADATA)).get("labels")
        if labels is not None:
            return Labels.model_validate(labels)
    except Exception as error:  # A zip file with a wrong byte fails in a dozen ways, and each means the same.
        raise UserError(f"{model} is no model that `retrain` wrote: {message_of(error)[:200]}") from None
    return read_record(model.with_name(LABELS_FILE), Labels, hint)


def _check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Refuse what unpacks to far more than it is, and what is not as it was written.

    Keras packs nothing: a model's parts are as large as they stand in it.

    Raises:
        ValueError: it unpacks to too much, or a part is damaged.
    """
    parts = {entry.filename: entry.file_size for entry in archive.infolist()}
    texts = sum(length for name, length in parts.items() if name.endswith(".json"))
    if texts > _MOST_TEXT or sum(parts.values()) > 2 * size + _MOST_TEXT:
        raise ValueError(f"its {size:,} bytes unpack to {sum(parts.values()):,}")
    damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its part {damaged} is damaged")


class Guess(NamedTuple):
    """A family and its probability, 0..1."""

    family: str
    probability: float


class Answer(NamedTuple):
    """The likeliest families of a photo, likeliest first; or the problem that kept it from being read.

    `held` is the set of families that was asked for, likeliest first, `unknown` whether the photo is unlike all that
    the model was trained on; `taxon` is the answer at the deepest rank that is as sure as was asked, None where no rank
    is, or none was asked for.
    Of a crop `box` is the box that was asked for, and `share` the same as shares of the photo's sides.
    """

    photo: Path
    guesses: list[Guess]
    problem: str | None = None
    held: Sequence[Guess] = ()
    unknown: bool = False
    box: Box | None = None
    share: Box | None = None
    taxon: AtRank | None = None


@dataclass(frozen=True)
class Classifier:
    """A final stage's model with its labels: `model` maps pixels 0..255 to probabilities, without a temperature."""

    model: Any
    labels: Labels

    @cached_property
    def _two_ends(self) -> Any:
        """The model with a second output: what goes into its last layer, whose logits are lost behind softmax."""
        import keras

        return keras.Model(self.model.inputs, [self.model.output, self.model.layers[-1].input])

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> Array:
        """Calibrated probabilities [n, families] of photos [n, size, size, 3], where the model has a guarantee."""
        return self._calibrated(np.asarray(self.model.predict_on_batch(pixels)))

    def answers(
        self,
        photos: Sequence[Path],
        top: int,
        boxes: Sequence[Box | None] = (),
        padding: float = 0.0,
        coverage: float | None = None,
        sure: float | None = None,
    ) -> Iterator[Answer]:
        """The `top` likeliest families photo by photo, in their order; or the problem of one that cannot be read.

        Args:
            boxes: of each photo the part that is asked about, cropped as `prepare --crop` does it.
            coverage: how often a set of families must hold the right one, 0..1; None: no sets.
            sure: the least probability of the answer at a rank, 0..1; None: no such answers.

        Raises:
            UserError: sets are asked for, and the model has no guarantee; or ranks, and it knows none.
        """
        if sure is not None and self.labels.taxonomy is None:
            raise UserError(
                "--sure: this model knows no ranks above its labels; `prepare` takes them from metadata with columns "
                "such as phylum and family, and `retrain` or `probe` on such a dataset writes a model that does"
            )
        if coverage is not None and self.labels.guarantee is None:
            raise UserError(
                "--coverage: this model has no guarantee, because an earlier version wrote it; `python -m trainables "
                "retrain` or `probe` writes one with it"
            )
        names = self.labels.class_names
        asked = list(zip(photos, boxes or [None] * len(photos), strict=True))
        with ThreadPoolExecutor(usable_cores()) as pool:
            for first in range(0, len(asked), BATCH):
                chosen = asked[first : first + BATCH]
                read = list(pool.map(lambda each: self._read(each[0], each[1], padding), chosen))
                pixels = [each[0] for each in read if not isinstance(each, str)]
                rows = zip(*self._told(np.stack(pixels), coverage), strict=True) if pixels else iter(())
                for (photo, box), each in zip(chosen, read, strict=True):
                    if isinstance(each, str):
                        yield Answer(photo, [], each, box=box)
                        continue
                    row, inside, unknown = next(rows)
                    ranked = [int(label) for label in np.argsort(-row, kind="stable")]
                    guesses = [Guess(names[label], float(row[label])) for label in ranked[:top]]
                    held = [Guess(names[label], float(row[label])) for label in ranked if inside[label]]
                    taxon = None
                    if sure is not None and self.labels.taxonomy is not None:
                        [taxon] = self.labels.taxonomy.deepest(row[None], sure)
                    yield Answer(photo, guesses, None, held, bool(unknown), box, each[1], taxon)

    def _told(self, pixels: npt.NDArray[np.uint8], coverage: float | None) -> tuple[Array, Array, Array]:
        """Of photos [n, size, size, 3]: probabilities and sets, both [n, families], and which are unknown, [n]."""
        guarantee = self.labels.guarantee
        # Not `predict`, which sets up a data pipeline for every call.
        if guarantee is None:
            probabilities = np.asarray(self.model.predict_on_batch(pixels))
            return probabilities, np.zeros(probabilities.shape, np.bool_), np.zeros(len(pixels), np.bool_)
        probabilities, _, unknown = self.seen(pixels)
        none = np.zeros(probabilities.shape, np.bool_)
        return probabilities, none if coverage is None else guarantee.sets(probabilities, coverage), unknown

    def seen(self, pixels: npt.NDArray[np.uint8]) -> tuple[Array, Array, Array]:
        """What a model with a guarantee sees in photos [n, size, size, 3].

        Returns:
            Calibrated probabilities [n, families]; what its last layer reads, float32 [n, channels]; whether each photo
            is unlike all that it was trained on, [n].
        """
        plain, features = (np.asarray(each) for each in self._two_ends.predict_on_batch(pixels))
        last = self.model.layers[-1]
        logits = features.astype(np.float64) @ np.asarray(last.kernel) + np.asarray(last.bias)
        unknown = np.zeros(len(plain), np.bool_)
        if self.labels.guarantee is not None:
            unknown = self.labels.guarantee.unknown(logits, np.linalg.norm(features, axis=1))
        return self._calibrated(plain), features, unknown

    def _calibrated(self, probabilities: Array) -> Array:
        guarantee = self.labels.guarantee
        if guarantee is None:
            return probabilities
        return guarantee.probabilities(np.log(np.maximum(probabilities, np.finfo(np.float32).tiny)))

    def _read(self, photo: Path, box: Box | None, padding: float) -> tuple[npt.NDArray[np.uint8], Box | None] | str:
        """The pixels of a photo or of a crop, and the crop's box; or what is wrong with it."""
        try:
            image, share = photo_bytes(photo.parent, photo.name, box, padding)
            return decode_resized(image, self.labels.image_size), share
        except (OSError, ImageUnreadable) as error:
            return problem(error)


def load_classifier(model: Path) -> Classifier:
    """Load a final stage's folder, or its model.keras, which is enough alone.

    Raises:
        UserError: there is no model, or no labels in it.
    """
    file = model / MODEL_FILE if model.is_dir() else model
    labels = read_labels(file)
    import keras

    try:
        return Classifier(keras.models.load_model(file, compile=False), labels)
    except Exception as error:  # Keras fails in many ways on a file that is not its own.
        if out_of_memory(error) is not None:
            raise
        raise UserError(f"{file} is no Keras model: {message_of(error)[:200]}") from None


def find_photos(named: Sequence[Path], passed_over: Found | None = None) -> list[Path]:
    """The photos named: files as they are, and all photos in a folder, however deep, by name.

    `passed_over` gets the files of the folders that are no photos, each with its reason.

    Raises:
        UserError: a folder holds no photo.
    """
    photos = []
    for path in named:
        inside = [path]
        if path.is_dir():
            found = Found("album")
            inside = sorted(path / source for source in photo_files(path, found))
            if not inside:
                raise UserError(f"{path} holds no photo ({found.passed_over() or 'it is empty'})")
            if passed_over is not None:
                passed_over.excluded += found.excluded
        photos += inside
    return photos


def write_answers(answers: Sequence[Answer], top: int, file: Path) -> None:
    """Write a CSV with a row per photo: photo, problem (empty for most), then family_1, probability_1, family_2, …

    Where there are crops, a row is one of them, and the columns box (left, top, width, height as shares of the photo's
    sides) and confidence (the detector's) stand before the families. The last columns are unknown (true or false),
    set_size and set (families joined by "; "), rank, taxon and taxon_probability; empty where none was asked for.
    """
    ranks, boxed = range(1, top + 1), any(answer.box for answer in answers)
    between = ["box", "confidence"] if boxed else []
    header = ["photo", "problem", *between, *(f"{name}_{rank}" for rank in ranks for name in ("family", "probability"))]
    header += ["unknown", "set_size", "set", "rank", "taxon", "taxon_probability"]
    rows: list[list[object]] = []
    for answer in answers:
        shown = [text for guess in answer.guesses for text in (guess.family, f"{guess.probability:.6f}")]
        shown += [""] * (2 * top - len(shown))
        where = [(answer.share or answer.box).text(), answer.box.confidence] if answer.box else ["", ""]
        unknown = "" if answer.problem else str(answer.unknown).lower()
        held = [len(answer.held) or "", "; ".join(guess.family for guess in answer.held)]
        taxon = answer.taxon
        at_rank = [taxon.rank, taxon.name, f"{taxon.probability:.6f}"] if taxon else [""] * 3
        rows.append([answer.photo, answer.problem or "", *where[: len(between)], *shown, unknown, *held, *at_rank])
    try:
        if file.exists() and not file.is_file():  # Such as /dev/stdout.
            write_rows(file, header, rows)
            return
        with replacing(file.resolve()) as temporary:
            write_rows(temporary, header, rows)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None


def problem(error: OSError | ImageUnreadable) -> str:
    """What keeps a photo from being read, to stand behind its name."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return f"is no picture that can be read ({error})"
