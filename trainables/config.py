"""Configuration of one trial and the settings of its run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, AllowInfNan, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from trainables.network.backbone_table import BACKBONES


def _countable(number: int) -> int:
    if abs(number) > 2**53:  # It becomes another number, or none, wherever one is a float.
        raise PydanticCustomError("too_large", "must be at most 9007199254740992")
    return number


# Text and true are no numbers: YAML gives text where a number was mistyped, and pydantic takes true for 1. Nor is .nan,
# which no limit holds, or .inf, which is no limit.
Whole: TypeAlias = Annotated[int, Strict(), AfterValidator(_countable)]
Number: TypeAlias = Annotated[float, Strict(), AllowInfNan(False)]
MOST_SEED = 2**32  # NumPy and Keras take none that is larger.
Backbone: TypeAlias = Literal[tuple(BACKBONES)]  # type: ignore[valid-type]  # One table: the names stand there alone.


class Augmentation(BaseModel):
    """How training photos are varied; the defaults are the reference study's.

    `rotation` is in degrees to either side; `zoom`, `brightness` and `contrast` are fractions to either side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    horizontal_flip: bool = True
    vertical_flip: bool = True
    rotation: Number = Field(default=20.0, ge=0, le=180)
    zoom: Number = Field(default=0.1, ge=0, lt=1)
    brightness: Number = Field(default=0.2, ge=0, le=1)
    contrast: Number = Field(default=0.2, ge=0, lt=1)

    @property
    def varies(self) -> bool:
        """Whether a photo's views differ from the photo as it is."""
        return any(self.model_dump().values())

    def words(self) -> str:
        """Say what is varied and by how much, such as "horizontal flip, rotation to 20°, zoom to 10%"."""
        flips = [name.replace("_", " ") for name in ("horizontal_flip", "vertical_flip") if getattr(self, name)]
        turned = [f"rotation to {self.rotation:.0f}°"] if self.rotation else []
        amounts = {name: getattr(self, name) for name in ("zoom", "brightness", "contrast")}
        shares = [f"{name} to {value:.0%}" for name, value in amounts.items() if value]
        return ", ".join([*flips, *turned, *shares]) or "nothing"


class Validation(BaseModel):
    """Which photos judge a trial; test photos never do.

    One fold is the dataset's own validation photos. More folds part the training and validation photos: a trial trains
    as many models, and its figures are of all these photos, each judged by the model that did not see it. `reshuffled`
    draws as many photos as the dataset's validation has, other ones for every trial (Nagler et al. 2024, "Reshuffling
    Resampling Splits Can Improve Generalization of Hyperparameter Optimization").
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folds: Whole = Field(default=1, ge=1, le=20, description="models of a trial, each judged by a part of the photos")
    reshuffled: bool = Field(default=False, description="a holdout of each trial's own")

    @model_validator(mode="after")
    def _check(self) -> "Validation":
        if self.folds > 1 and self.reshuffled:
            raise ValueError(f"validation: folds {self.folds} are the same for every trial; leave out reshuffled")
        return self

    @property
    def parted(self) -> bool:
        """Whether other photos judge than the dataset's validation alone."""
        return self.folds > 1 or self.reshuffled

    def words(self) -> str:
        """Say which photos judge, such as "5 folds of training and validation photos"."""
        if self.reshuffled:
            return "a holdout of each trial's own"
        return f"{self.folds} folds of training and validation photos" if self.parted else "the validation photos"


AWS_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""Variables of the environment that a driver hands on to its trials, and where in the memory of Ray's head."""
CREDENTIALS_PLACE = b"credentials"

SWEEP_WIDE = ("sweep_seed", "validation")
"""Fields of a trial's configuration that are keys of the sweep, not of `trial` or `space`."""


class TrialConfig(BaseModel):
    """One configuration: the four searched knobs of the default space, and all others a sweep may fix or search.

    `unfrozen_layers` counts Keras layers from the end of the backbone (InceptionV3 has 311 without top) or, with `head`
    depths, from the last depth that is read; BatchNorm among them stays frozen, as in the reference study. `simple_cnn`
    has no weights to keep: all of it trains, whatever this says. `weights` is auto (ImageNet where it is available,
    else random with a warning), imagenet, random or a weights file; or one of these by backbone, where a sweep searches
    the backbone (auto for those not named).
    `head` is the reference study's (global averages of the last output, dropout, dense, dropout) or "depths": global
    averages of several depths, standardised, then dropout, dense and dropout. 0 `dense_units` leave out the dense layer
    and the dropout behind it. `depths` names the operations (of `cut.block_ends`); none means the probe's with
    `head_start` probe, else the last four. `head_start` is what the head begins from: random weights (zeros without a
    dense layer); "warm": `head_epochs` epochs in which all of the backbone is frozen; "probe": the probe's solution,
    which a dense layer keeps exactly, or the same as "warm" where that has too few units for it (twice the families are
    enough). `head_learning_rate` is the head's, None the backbone's.
    `weight_average` is what is judged and kept: the weights as an epoch leaves them ("none"), or their mean over the
    epochs so far, in which what the head starts from, unless it is random, counts as one more ("epochs"; Izmailov et
    al. 2018, "Averaging Weights Leads to Wider Optima", and Wortsman et al. 2022, "Robust fine-tuning of zero-shot
    models"); training goes on from the last ones either way.
    `patience` is early stopping on validation macro F1, in epochs.
    `precision` is what convolutions compute in; weights, batch normalisation, head and loss stay float32, and with
    float16 the trained layers do too, as their gradients would vanish in it. On NVIDIA GPUs since Ampere float32 means
    TF32 (10 bits of mantissa), TensorFlow's default there. "auto" is for sweep files and commands, which put what
    `device.fast_precision` says in its place before anything is computed. `store_dtype` is what stored activations
    are rounded to. Both are for the search: the final stage computes in float32.
    `augment_views` is how many augmented pictures a photo has; epoch e shows the one numbered e modulo that.
    `validation` is the sweep's: which photos judge. `seed` is the trial's own (the head's first weights, dropout, the
    order of batches), `sweep_seed` that of all trials alike (augmentation, a random backbone).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: Number = Field(default=1e-3, gt=0, le=10)
    dropout: Number = Field(default=0.3, ge=0, lt=1)
    dense_units: Whole = Field(default=256, ge=0, le=65536)
    unfrozen_layers: Whole = Field(default=0, ge=0, le=10000)

    head: Literal["study", "depths"] = "study"
    depths: list[str] | None = None
    head_start: Literal["probe", "warm", "random"] = "random"
    head_learning_rate: Number | None = Field(default=None, gt=0, le=10)
    head_epochs: Whole = Field(default=10, ge=1, le=10000)

    backbone: Backbone = "inception_v3"
    weights: str | dict[Backbone, str] = "auto"
    image_size: Whole = Field(default=299, ge=32, le=2048)
    batch_size: Whole = Field(default=32, ge=1, le=4096)
    epochs: Whole = Field(default=9, ge=1, le=10000)
    optimizer: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_average: Literal["none", "epochs"] = "none"
    label_smoothing: Number = Field(default=0.0, ge=0, lt=1)
    l2: Number = Field(default=1e-3, ge=0)
    imbalance: Literal["class_weights", "effective_number", "logit_adjustment", "none"] = "class_weights"
    patience: Whole = Field(default=5, ge=1, le=10000)
    augmentation: Augmentation = Augmentation()
    augment_views: Whole = Field(default=3, ge=1, le=1000)
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    store_dtype: Literal["float32", "float16"] = "float32"
    validation: Validation = Validation()
    seed: Whole = Field(default=0, ge=0, lt=MOST_SEED)
    sweep_seed: Whole = Field(default=0, ge=0, lt=MOST_SEED)

    @model_validator(mode="after")
    def _check_head(self) -> "TrialConfig":
        if self.depths and self.head == "study":
            raise ValueError("depths: only head: depths reads several; the study's head reads the last output")
        return self

    @property
    def tail_precision(self) -> str:
        """What the trained layers compute in."""
        return "bfloat16" if self.precision == "bfloat16" else "float32"

    @property
    def backbone_weights(self) -> str:
        """Which weights this configuration's backbone is to start from: auto, imagenet, random or a file."""
        return self.weights if isinstance(self.weights, str) else self.weights.get(self.backbone, "auto")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a trial gets besides its configuration: where its data, its store and its checkpoints lie, and its share.

    It travels in a trial's Ray configuration as "run": small, picklable and never changed.

    Attributes:
        trial: the Optuna trial's number.
        dataset: absolute path or URL of the dataset.
        store: absolute path of the node-local store of activations.
        store_bytes: the store's budget in bytes; None takes half of what is free.
        threads: CPU threads of the trial.
        plan: all counts of unfrozen layers that the sweep may ask for.
        checkpoint_dir: absolute path or URL of the folder of the trial's checkpoints.
        checkpoint_every: epochs from one checkpoint to the next; 0 writes none.
        known_epochs: the epoch up to which the study holds the trial's results; None: of all but the checkpoint's own.
        cost: which of cost.COSTS every result holds; None holds none.
    """

    trial: int
    dataset: str
    store: Path
    threads: int
    checkpoint_dir: str
    store_bytes: int | None = None
    plan: tuple[int, ...] = ()
    checkpoint_every: int = 0
    known_epochs: int | None = None
    cost: str | None = None
