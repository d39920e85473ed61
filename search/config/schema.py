"""What a sweep is: every key, its default and its check."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)

from search.config.space import DEFAULT_SPACE, Knob, check_point, dump_space, parse_space
from search.config.storage_url import StorageUrl, parse_url
from search.config.warm_start_source import Source, StudyAddress, parse_sources
from trainables.config import TrialConfig
from trainables.errors import UserError, one_line
from trainables.network.cost import COSTS

LOWER_IS_BETTER = ("train_loss", "train_cross_entropy", "val_loss", "val_cross_entropy", "epoch_seconds")
HIGHER_IS_BETTER = ("train_accuracy", "train_macro_f1", "val_accuracy", "val_macro_f1")
REPORTED = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)

Auto = Literal["auto"]


class EarlyStopping(BaseModel):
    """When a scheduler stops a trial that does worse than others at the same epoch.

    `asha`: asynchronous successive halving, with rungs at grace_epochs times the powers of reduction_factor;
    `hyperband`: the same with every bracket, from stopping at the first rung to never stopping; `median`: worse
    than the median of the others' running means; `none`: every trial runs to its own end. At least `min_results`
    other trials must have been there before a rung (or a median) may stop anyone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["asha", "hyperband", "median", "none"] = "asha"
    grace_epochs: int = Field(default=1, ge=1)
    reduction_factor: float = Field(default=3.0, gt=1)
    brackets: int = Field(default=1, ge=1)
    min_results: int = Field(default=3, ge=1)


class Resources(BaseModel):
    """How trials share the machine; `auto` is explained in search/resources.py.

    `gpus_per_trial` may be a fraction (0.25: four trials share a GPU) and 0 keeps trials off the GPUs. `measure`: on
    machines without GPUs, try out how many trials at once are fastest, and forecast what the sweep will cost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    concurrent_trials: Auto | int = Field(default="auto")
    threads_per_trial: Auto | int = Field(default="auto")
    gpus_per_trial: Auto | float = Field(default="auto")
    measure: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("concurrent_trials", "threads_per_trial"):
            value = getattr(self, key)
            if value != "auto" and value < 1:
                raise ValueError(f"resources.{key}: must be auto or at least 1, not {value}")
        share = self.gpus_per_trial
        if share != "auto" and (share < 0 or (share > 1 and share != int(share))):
            raise ValueError(f"resources.gpus_per_trial: must be auto, 0 to 1, or a whole number, not {share}")
        return self


class Plateau(BaseModel):
    """End the sweep when `trials` trials in a row have ended without a best value better by `min_improvement`.

    With two objectives: better than every trial before it that costs no more.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trials: int = Field(ge=1)
    min_improvement: float = Field(default=0.0, ge=0)


class Budget(BaseModel):
    """Limits of a sweep; whichever is reached first ends it, with the best so far handed over.

    `epochs` counts those of all trials together, `hours` is wall-clock time since this run (or resume) began, and
    `gpu_hours` is the time of each trial times its share of a GPU, added up. Trials that run when a limit is reached
    are stopped; of epochs, as many as run at once may be begun over the limit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = Field(default=None, ge=1)
    hours: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    plateau: Plateau | None = None

    @property
    def limited(self) -> bool:
        """Whether anything is limited at all."""
        return self != Budget()


class SweepConfig(BaseModel):
    """A sweep: what is searched, how, on which data, and where the records go.

    `trial` fixes knobs of TrialConfig (those not given keep their defaults), `space` searches others. `mode` follows
    from the metric. `objectives` is empty, or the metric and what a model costs (trainables/cost.py), which is to be
    low as well. `points` are configurations (or parts of them) to try first; `warm_start` names experiments and
    studies whose trials the sampler learns from; `budget` is explained in search/budget.py. `max_failures` is how often
    a trial whose worker was lost is tried again, or one that ran out of memory beside others on its GPU (then with half
    as many neighbours); no other exception of the training code is. `checkpoint_every` is in epochs; 0 keeps no
    checkpoint, so that a trial whose worker was lost starts again. `keep_checkpoints` is of how many of the best ended
    trials they stay. `store` is where the activations computed once per node lie, `store_gb` the most disk they may
    take (GiB; by default, a part of what is free). `mirror` is the URL that the experiment's records go to as they
    come, and where its trials keep their checkpoints.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    dataset: str = Field(min_length=1)
    experiment: str = Field(min_length=1)
    mirror: str | None = None
    metric: str = "val_macro_f1"
    mode: Literal["max", "min"] = "max"
    objectives: tuple[str, ...] = ()
    trials: int = Field(default=20, ge=1)
    seed: int = Field(default=0, ge=0)
    space: dict[str, Knob]
    trial: dict[str, Any] = {}
    sampler: Literal["tpe", "random", "grid", "gp"] = "tpe"
    startup_trials: int = Field(default=5, ge=1)
    points: tuple[dict[str, Any], ...] = ()
    warm_start: tuple[Source, ...] = ()
    budget: Budget = Budget()
    early_stopping: EarlyStopping = EarlyStopping()
    resources: Resources = Resources()
    max_failures: int = Field(default=1, ge=0)
    checkpoint_every: int = Field(default=1, ge=0)
    keep_checkpoints: int = Field(default=1, ge=0)
    checkpoint_gb: float | None = Field(default=None, gt=0)
    storage: StorageUrl | None = None
    store: str | None = None
    store_gb: float | None = Field(default=None, gt=0)
    address: str | None = None

    @field_validator("space", mode="before")
    @classmethod
    def _parse_space(cls, raw: object) -> dict[str, Knob]:
        try:
            return parse_space(raw)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_serializer("space")
    def _dump_space(self, space: dict[str, Knob]) -> dict[str, Any]:
        return dump_space(space)

    @field_validator("storage", mode="before")
    @classmethod
    def _parse_storage(cls, raw: object) -> StorageUrl | None:
        return raw if raw is None or isinstance(raw, StorageUrl) else parse_url(str(raw))

    @field_serializer("storage")
    def _dump_storage(self, storage: StorageUrl | None) -> str | None:
        return None if storage is None else storage.shown

    @field_validator("warm_start", mode="before")
    @classmethod
    def _parse_warm_start(cls, raw: object) -> tuple[Source, ...]:
        return parse_sources(raw)

    @field_serializer("warm_start")
    def _dump_warm_start(self, sources: tuple[Source, ...]) -> list[str | dict[str, str]]:
        return [source.as_json() if isinstance(source, StudyAddress) else source for source in sources]

    @field_validator("objectives")
    @classmethod
    def _check_objectives(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        rule = f"objectives: must be a metric and one of {', '.join(COSTS)}, such as [val_macro_f1, model_mb]"
        if names and (len(names) != 2 or names[0] in COSTS or names[1] not in COSTS):
            raise ValueError(f"{rule}, not [{', '.join(names)}]")
        return names

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.objectives and self.objectives[0] != self.metric:
            raise ValueError(f"metric: is {self.metric}, but the first of `objectives` is {self.objectives[0]}")
        if self.cost and self.sampler == "gp":
            raise ValueError("sampler: gp models one objective only; with two of them use tpe, random or grid")
        if self.metric not in REPORTED:
            raise ValueError(f"metric: nobody reports {self.metric!r}; reported are: {', '.join(REPORTED)}")
        if self.mode != better(self.metric):
            raise ValueError(f"mode: {self.metric} is better when {_WORDS[self.mode]}; use {better(self.metric)}")
        for key in ("seed", "sweep_seed"):
            if key in self.trial:
                raise ValueError(f"trial.{key}: follows from the sweep's own seed; set `seed` instead")
        both = [name for name in self.space if _holds(self.trial, name)]
        if both:
            raise ValueError(f"trial.{both[0]}: is searched in `space` too; a knob is either fixed or searched")
        for key in ("points", "warm_start"):
            if getattr(self, key) and self.sampler == "grid":
                raise ValueError(f"{key}: the grid sampler tries all of its points in any case; use tpe, random or gp")
        if len(self.points) > self.trials:
            raise ValueError(f"points: there are {len(self.points)} of them, but only {self.trials} trials")
        if self.warm_start and self.sampler == "random":
            raise ValueError("warm_start: the random sampler learns nothing from earlier trials; use tpe or gp")
        return self

    @field_validator("points")
    @classmethod
    def _check_points(cls, points: tuple[dict[str, Any], ...], info: ValidationInfo) -> tuple[dict[str, Any], ...]:
        space = info.data.get("space")
        if space is None:
            return points  # Its own error is said.
        try:
            return tuple(check_point(space, point, f"points[{at}]") for at, point in enumerate(points))
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("trial")
    @classmethod
    def _check_trial(cls, trial: dict[str, Any]) -> dict[str, Any]:
        try:
            return TrialConfig.model_validate(trial).model_dump(include=_given(trial))
        except ValidationError as error:
            raise ValueError(
                f"trial.{one_line(error, TrialConfig)}".replace("trial.unknown", "trial: unknown")
            ) from None

    @property
    def cost(self) -> str | None:
        """What a model costs in this sweep, as its trials report it; None where only the metric counts."""
        return self.objectives[1] if self.objectives else None

    @property
    def learns(self) -> bool:
        """Whether the sampler learns from ended trials, so that later ones tend to be better."""
        return self.sampler in ("tpe", "gp")

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial may run."""
        return TrialConfig.model_validate(self.trial).epochs

    def whole_trial(self) -> dict[str, Any]:
        """Return all fields of TrialConfig as this sweep fixes them; those that it searches have their defaults."""
        return TrialConfig.model_validate(self.trial).model_dump()


_WORDS = {"max": "smaller", "min": "larger"}


def better(metric: str) -> Literal["max", "min"]:
    """Say whether larger or smaller values of a metric are better."""
    return "min" if metric in LOWER_IS_BETTER else "max"


def sweep_config(values: dict[str, Any]) -> SweepConfig:
    """Check `values` and return the sweep.

    Raises:
        UserError: one line that names the key, the value and what is allowed.
    """
    filled = {"space": DEFAULT_SPACE, **values}
    if filled.get("objectives") and isinstance(filled["objectives"], list | tuple):
        filled.setdefault("metric", filled["objectives"][0])
    filled.setdefault("mode", better(str(filled.get("metric", "val_macro_f1"))))
    try:
        return SweepConfig.model_validate(filled)
    except ValidationError as error:
        raise UserError(_line(error)) from None


def _line(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":
        return str(first["msg"]).removeprefix("Value error, ")
    return one_line(error, SweepConfig)


def _holds(trial: dict[str, Any], name: str) -> bool:
    outer, _, inner = name.partition(".")
    return outer in trial and (not inner or inner in trial[outer])


def _given(trial: dict[str, Any]) -> Any:
    """What of a TrialConfig was written in the file, in pydantic's `include` form."""
    return {key: set(value) if isinstance(value, dict) else True for key, value in trial.items()}
