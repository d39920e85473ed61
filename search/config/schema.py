"""Keys of a sweep file: meaning, default and check of each."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from search.config.portfolio import portfolio
from search.config.registry import SAMPLERS, STOP_RULES, either
from search.config.space import DEFAULT_SPACE, Knob, Scalar, check_point, dump_space, parse_space
from search.config.storage_url import Source, StorageUrl, parse_sources, parse_url
from trainables.config import MOST_SEED, Number, TrialConfig, Validation, Whole
from trainables.errors import UserError, one_line
from trainables.network.cost import COSTS

LOWER_IS_BETTER = ("train_loss", "train_cross_entropy", "val_loss", "val_cross_entropy", "epoch_seconds")
HIGHER_IS_BETTER = ("train_accuracy", "train_macro_f1", "val_accuracy", "val_macro_f1")
REPORTED = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)


def _space(raw: object) -> dict[str, Knob]:
    """Parse a space for pydantic, which expects ValueError."""
    try:
        return parse_space(raw)
    except UserError as error:
        raise ValueError(str(error)) from None


Auto = Literal["auto"]
Space = Annotated[dict[str, Knob], BeforeValidator(_space), PlainSerializer(dump_space)]
Sources = Annotated[
    tuple[Source, ...],
    BeforeValidator(parse_sources),
    PlainSerializer(lambda sources: [one if isinstance(one, str) else one.as_json() for one in sources]),
]
Storage = Annotated[
    StorageUrl | None,
    BeforeValidator(lambda raw: raw if raw is None or isinstance(raw, StorageUrl) else parse_url(str(raw))),
    PlainSerializer(lambda storage: None if storage is None else storage.shown),
]
if TYPE_CHECKING:
    SamplerName: TypeAlias = str
    StopRuleName: TypeAlias = str
else:  # Pydantic lists the names where one is unknown.
    SamplerName, StopRuleName = Literal[tuple(SAMPLERS)], Literal[tuple(STOP_RULES)]


def _about(kinds: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {kind.about}" for name, kind in kinds.items())


_LEARNERS = either(name for name, kind in SAMPLERS.items() if kind.learns)
_OF_TWO = either(name for name, kind in SAMPLERS.items() if kind.several_objectives)


class _Section(BaseModel):
    """Keys whose descriptions are the help; a default in words stands in brackets at the end of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EarlyStopping(_Section):
    """When a scheduler stops a trial that does worse than others at the same epoch."""

    kind: StopRuleName = Field("asha", description=_about(STOP_RULES))
    grace_epochs: Whole = Field(1, ge=1, description="epochs that every trial may run")
    reduction_factor: Number = Field(3.0, ge=1.01, description="at a rung, the best 1/reduction_factor of trials go on")
    brackets: Whole = Field(1, ge=1, description="of asha: bracket s leaves out the first s rungs")
    min_results: Whole = Field(3, ge=1, description="other trials must have been at an epoch before it stops one")


class Resources(_Section):
    """How trials share the machine; `auto` is explained in search/tune/resources.py."""

    concurrent_trials: Auto | Whole = Field("auto", description="trials at once")
    threads_per_trial: Auto | Whole = Field("auto", description="CPU threads of a trial")
    gpus_per_trial: Auto | Number = Field(
        "auto", description="0.25: four trials share a GPU; 0 keeps trials off the GPUs; more than 1: a whole number"
    )
    measure: bool = Field(True, description="without GPUs, measure how many trials at once are fastest, and forecast")

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


class Plateau(_Section):
    """End the sweep when its trials no longer find anything better."""

    trials: Whole = Field(ge=1, description="trials in a row that are no better than any before them at no higher cost")
    min_improvement: Number = Field(0.0, ge=0, description="by how much a trial must be better")


class Budget(_Section):
    """Limits of a sweep; trials that run when one is reached are stopped, and the best so far is the result."""

    epochs: Whole | None = Field(None, ge=1, description="of all trials together; running ones may go over [no limit]")
    hours: Number | None = Field(None, gt=0, description="on the clock since this run or resume began [no limit]")
    gpu_hours: Number | None = Field(None, gt=0, description="each trial's time times its share of a GPU [no limit]")
    plateau: Plateau | None = Field(None, description="no better trial for so long [no limit]")
    target: Number | None = Field(None, description="value of the metric that is good enough [no limit]")


class Confirm(_Section):
    """The best trials are trained again before one is handed over."""

    trials: Whole = Field(3, ge=2, le=100, description="how many of the best")
    seeds: Whole = Field(2, ge=1, le=100, description="runs of each, with further seeds")
    folds: Whole = Field(1, ge=1, le=20, description="folds that judge each run; 1: the photos that judged the trials")


class SweepConfig(_Section):
    """A sweep: what is searched, how, on which data, and where the records go."""

    name: str = Field(min_length=1, max_length=200, description="the study's name [the file's name]")
    dataset: str = Field(min_length=1, description="folder or s3:// URL that `python -m trainables prepare` wrote")
    experiment: str = Field(
        min_length=1,
        description="folder for the records, new or empty, or a URL (s3://bucket/first): short for a folder, "
        "runs/first, and the URL as its mirror [runs/NAME]",
    )
    mirror: str | None = Field(None, description="URL for the records as they come, and for the trials' checkpoints")
    metric: str = Field("val_macro_f1", description=f"what is optimised: {either(REPORTED)}")
    mode: Literal["max", "min"] = Field("max", description="max or min [follows from the metric]")
    objectives: tuple[str, ...] = Field(
        (),
        description="in place of metric, [METRIC, COST]: the metric, and what a model costs, which is to be low: "
        "model_mb (MB of all weights, float32) or latency_ms (milliseconds for one photo); "
        f"with {_OF_TWO} [the metric alone]",
    )
    constraints: dict[Literal[COSTS], Number] = Field(  # type: ignore[valid-type]
        {},
        description="the most that a model may cost, such as {model_mb: 20}; a trial whose model costs more ends with "
        f"its first epoch and is never the result; with {_OF_TWO} [no limit]",
    )
    trials: Whole = Field(20, ge=1, description="how many trials")
    seed: Whole = Field(0, ge=0, lt=MOST_SEED, description="what all chance follows from")
    space: Space = Field(
        description="knobs to search: for each a list of choices, or a range {low, high, log, step, points}; any knob "
        "of a trial may be searched, also backbone, optimizer, label_smoothing, augmentation.rotation"
    )
    trial: dict[str, Any] = Field({}, description="knobs that are fixed")
    sampler: SamplerName = Field("tpe", description=_about(SAMPLERS))
    startup_trials: Whole = Field(5, ge=1, description=f"random trials before {_LEARNERS} begins to model")
    points: Auto | tuple[dict[str, Any], ...] = Field(
        (),
        description="what to try first: a list of {knob: value}, whole or in part; auto: configurations that did well "
        "on other photos, as far as they lie in the space [none]",
    )
    warm_start: Sources = Field(
        (),
        description="experiments whose trials the sampler learns from (same metric), and studies that Optuna wrote: "
        "[runs/first, {storage: old.db or postgresql://…, study: NAME}]; they count for nothing else",
    )
    budget: Budget = Field(Budget(), description="the first limit that is reached ends the sweep, with the best so far")
    probe: bool = Field(
        True,
        description="before the first trial, find the best linear classifier on the frozen backbone's features: what "
        "fine-tuning has to beat; false: no probe",
    )
    validation: Validation = Field(
        Validation(),
        description="which photos judge a trial: {folds: 5} trains five models of it, each judged by a fifth of the "
        "training and validation photos; {reshuffled: true} draws a holdout for each trial [the validation photos]",
    )
    confirm: Confirm | None = Field(
        None,
        description="train the best trials again with further seeds, and hand over the one with the best mean: "
        "{trials: 3, seeds: 2} [the best trial is handed over as it is]",
    )
    early_stopping: EarlyStopping = Field(EarlyStopping(), description="of trials that do worse than others")
    resources: Resources = Field(Resources(), description="how trials share the machine")
    max_failures: Whole = Field(
        1,
        ge=0,
        description="retries of a trial that lost its worker, or a GPU's memory (then with half the neighbours)",
    )
    checkpoint_every: Whole = Field(
        1, ge=0, description="epochs between checkpoints, where a retry or resume begins; 0: none"
    )
    keep_checkpoints: Whole = Field(1, ge=0, description="of how many of the best ended trials they stay on the disk")
    checkpoint_gb: Number | None = Field(
        None, gt=0, description="most disk (GiB) for all checkpoints; the worst ended trials' go first [no limit]"
    )
    storage: Storage = Field(
        None,
        description="postgresql://USER@HOST/DATABASE for the study; the password from PGPASSWORD or ~/.pgpass, or in "
        "the URL, which is then written nowhere [SQLite file in the experiment]",
    )
    store: str | None = Field(None, description="folder of activations, computed once per node [beside the experiment]")
    store_gb: Number | None = Field(None, gt=0, description="most disk (GiB) for the store [a part of what is free]")
    address: str | None = Field(None, description="running Ray cluster; local: none [RAY_ADDRESS, or Ray started here]")

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = self.objectives
        if names and (len(names) != 2 or names[0] in COSTS or names[1] not in COSTS):
            rule = f"objectives: must be a metric and one of {', '.join(COSTS)}, such as [val_macro_f1, model_mb]"
            raise ValueError(f"{rule}, not [{', '.join(names)}]")
        if names and names[0] != self.metric:
            raise ValueError(f"metric: is {self.metric}, but the first of `objectives` is {names[0]}")
        sampler = SAMPLERS[self.sampler]
        if self.cost and not sampler.several_objectives:
            raise ValueError(f"sampler: {self.sampler} models one objective only; with two of them use {_OF_TWO}")
        if self.constraints and not sampler.several_objectives:
            raise ValueError(f"constraints: the {self.sampler} sampler does not know them here; use {_OF_TWO}")
        if len({*self.constraints, *names[1:]}) > 1:
            raise ValueError(f"constraints: a sweep weighs one of {', '.join(COSTS)} alone, in `objectives` as well")
        for name, most in self.constraints.items():
            if most <= 0:
                raise ValueError(f"constraints.{name}: must be above 0, not {most}")
        if self.confirm and self.cost:
            raise ValueError("confirm: chooses one trial; with two objectives every one of the front is handed over")
        if self.metric not in REPORTED:
            raise ValueError(f"metric: no trial reports {self.metric!r}; reported are: {', '.join(REPORTED)}")
        if self.mode != better(self.metric):
            wanted = "smaller" if self.mode == "max" else "larger"
            raise ValueError(f"mode: {self.metric} is better when {wanted}; use {better(self.metric)}")
        if (target := self.budget.target) is not None and (target <= 0 or (target > 1 and self.mode == "max")):
            values = "lies between 0 and 1" if self.mode == "max" else "is above 0"
            raise ValueError(f"budget.target: {self.metric} {values}, and never at {target:g}")
        for key, own in (("seed", "seed"), ("sweep_seed", "seed"), ("validation", "validation")):
            if key in self.trial:
                raise ValueError(f"trial.{key}: follows from the sweep's own {own}; set `{own}` instead")
        for name in self.space:
            outer, _, inner = name.partition(".")
            if outer in self.trial and (not inner or inner in self.trial[outer]):
                raise ValueError(f"trial.{name}: is searched in `space` too; a knob is either fixed or searched")
        for key in ("points", "warm_start"):
            if getattr(self, key) not in ((), "auto") and sampler.grid:
                others = either(name for name, kind in SAMPLERS.items() if not kind.grid)
                raise ValueError(f"{key}: the {self.sampler} sampler tries all of its points in any case; use {others}")
        if self.points != "auto" and len(self.points) > self.trials:
            raise ValueError(f"points: there are {len(self.points)} of them, but only {self.trials} trials")
        if self.warm_start and not sampler.learns:
            why = f"the {self.sampler} sampler learns nothing from earlier trials"
            raise ValueError(f"warm_start: {why}; use {_LEARNERS}")
        return self

    @field_validator("points", mode="before")
    @classmethod
    def _check_points(cls, points: Any, info: ValidationInfo) -> Any:
        if points == "auto":
            return points
        if not isinstance(points, list | tuple):
            raise ValueError(f"points: must be auto or a list of {{knob: value}} to try first, not {points!r}")
        space = info.data.get("space")
        if space is None:
            return ()  # The error of the space comes first.
        try:
            return tuple(check_point(space, point, f"points[{at}]") for at, point in enumerate(points))
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("trial")
    @classmethod
    def _check_trial(cls, trial: dict[str, Any]) -> dict[str, Any]:
        # What was written in the file, in pydantic's `include` form.
        given: Any = {key: set(value) if isinstance(value, dict) else True for key, value in trial.items()}
        try:
            return TrialConfig.model_validate(trial).model_dump(include=given)
        except ValidationError as error:
            line = f"trial.{one_line(error, TrialConfig)}".replace("trial.unknown", "trial: unknown")
            raise ValueError(line) from None

    @property
    def first_points(self) -> tuple[dict[str, Scalar], ...]:
        """Configurations to try first, whole or in part; `auto` means none with a grid, which tries its own points."""
        if self.points == "auto":
            return () if SAMPLERS[self.sampler].grid else portfolio(self.space)
        return self.points

    @property
    def cost(self) -> str | None:
        """What a model costs in this sweep, as its trials report it; None where only the metric counts."""
        return self.objectives[1] if self.objectives else None

    @property
    def weighed(self) -> str | None:
        """What trials report of what their model costs: the second objective, or what is limited; None for neither."""
        return self.cost or next(iter(self.constraints), None)

    @property
    def learns(self) -> bool:
        """Whether the sampler learns from ended trials, so that later ones tend to be better."""
        return SAMPLERS[self.sampler].learns

    @property
    def max_epochs(self) -> int:
        """The most epochs that a trial may run."""
        return TrialConfig.model_validate(self.trial).epochs


def better(metric: str) -> Literal["max", "min"]:
    """Return the mode of a metric: whether larger or smaller values are better."""
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
        first = error.errors(include_url=False)[0]
        own = first["type"] == "value_error"  # One of the checks above, which names its key itself.
        line = str(first["msg"]).removeprefix("Value error, ") if own else one_line(error, SweepConfig)
        raise UserError(line) from None
