"""Forecast of a sweep's cost, and count of what it saved."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search.config.registry import LEARNING, STOP_RULES
from search.config.schema import EarlyStopping, SweepConfig
from trainables.config import TrialConfig, Validation
from trainables.data.folds import as_they_are

# A process that trains: Ray's start of it, TensorFlow's import, building the network, tracing its first steps.
START_SECONDS = 15.0
# Of the probe's fits, for each pair of photos: 3,226 photos took 21 s on 2 cores.
PROBE_FIT_SECONDS = 2e-6


@dataclass(frozen=True)
class Throughput:
    """`concurrent` trials on a node with `threads` each, and what they were measured to reach together.

    `train` and `evaluate` are photos per second, averaged over the sweep's tails; `prefix` photos per second through
    the frozen part; `bytes_per_photo` what one view of a photo takes in the store, all cuts together.
    """

    concurrent: int
    threads: int
    train: float
    evaluate: float
    prefix: float
    bytes_per_photo: int


@dataclass(frozen=True)
class Forecast:
    """Seconds and bytes that a sweep will take from here on, with `concurrent` trials at once.

    `epochs` is how many a trial is expected to run, `most_seconds` what the sweep takes if none is stopped;
    `probe_seconds` is 0 where it has no probe.
    """

    fill_seconds: float
    train_seconds: float
    store_bytes: int
    epochs: float
    most_seconds: float
    concurrent: int
    probe_seconds: float = 0.0
    start_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """What the sweep is expected to take."""
        return self.start_seconds + self.probe_seconds + self.fill_seconds + self.train_seconds


@dataclass(frozen=True)
class Saved:
    """What a sweep read from the store, counted in views of photos, and how long computing them again would have taken.

    `seconds` is over all trials, at the rate at which this sweep filled the store; None where it filled nothing.
    """

    rows: int
    filled: int
    filled_bytes: int
    fill_seconds: float
    seconds: float | None


def forecast(config: SweepConfig, measured: Throughput, nodes: int, photos: Mapping[str, int]) -> Forecast:
    """Work out the cost from the measured speed of one node.

    Args:
        nodes: how many nodes share the trials; each fills its own store.
        photos: number of photos by split.
    """
    trial = TrialConfig.model_validate(config.trial)
    trial = trial.model_copy(update={"validation": config.validation})
    views = min(trial.augment_views, config.max_epochs) if trial.augmentation.varies else 0
    used = photos["train"] + photos["validation"]
    trained, judged, stored = _shown(config.validation, photos)
    plain = sum(photos[split] for split in as_they_are(trial))
    rows = stored * views + plain
    epoch = trained / measured.train + judged / measured.evaluate
    epochs = expected_epochs(config.early_stopping, config.max_epochs, config.trials, config.learns)
    # The probe's pass over the photos as they are stores what trials on its own node read of them.
    fill = (rows - plain if config.probe and nodes == 1 else rows) / measured.prefix
    pixels = used * trial.image_size**2 * 3
    # The probe passes each photo once, and then fits in the space of the photos.
    probe = used / measured.prefix + PROBE_FIT_SECONDS * used**2 + START_SECONDS if config.probe else 0.0
    start = START_SECONDS
    before = start + probe + fill
    again = config.confirm.trials * config.confirm.seeds * config.max_epochs * epoch / nodes if config.confirm else 0.0
    return Forecast(
        fill_seconds=fill,
        train_seconds=config.trials * epochs * epoch / nodes + again,
        store_bytes=rows * measured.bytes_per_photo + pixels,
        epochs=epochs,
        most_seconds=before + config.trials * config.max_epochs * epoch / nodes + again,
        concurrent=measured.concurrent * nodes,
        probe_seconds=probe,
        start_seconds=start,
    )


def _shown(validation: Validation, photos: Mapping[str, int]) -> tuple[int, int, int]:
    """How many photos an epoch trains on and judges by, and how many are stored in augmented views."""
    both = photos["train"] + photos["validation"]
    if validation.folds > 1:
        return both * (validation.folds - 1), both, both
    return photos["train"], photos["validation"], both if validation.reshuffled else photos["train"]


def forecast_lines(expected: Forecast, config: SweepConfig, measured: Throughput) -> list[str]:
    """Return the lines that state the measurement and the forecast."""
    trials = "1 trial" if measured.concurrent == 1 else f"{measured.concurrent} trials"
    threads = "1 thread" if measured.threads == 1 else f"{measured.threads} threads"
    each = " each" if measured.concurrent > 1 else ""
    probe = f", {duration(expected.probe_seconds)} for the probe" if expected.probe_seconds else ""
    return [
        f"measured     {trials} at once with {threads}{each}: {measured.train:.0f} photos/s in training, "
        f"{measured.prefix:.0f} through what is frozen",
        f"forecast     about {duration(expected.seconds)} from here, {duration(expected.most_seconds)} if no trial is "
        f"stopped: {config.trials} trials of {expected.epochs:.1f} epochs, and {duration(expected.fill_seconds)} to "
        f"compute {expected.store_bytes / 1e9:.2f} GB once{probe}, {duration(expected.start_seconds)} to start",
    ]


def saved(epochs: Iterable[Mapping[str, Any]]) -> Saved:
    """Add up what the epochs of all trials report about the store."""
    named = ("store_rows", "store_filled", "store_filled_bytes", "store_fill_seconds")
    counts = [[epoch.get(name) or 0 for name in named] for epoch in epochs]
    rows, filled, filled_bytes, seconds = map(sum, zip(*counts, strict=True)) if counts else (0, 0, 0, 0.0)
    without = rows * seconds / filled - seconds if filled else None
    return Saved(rows, filled, filled_bytes, seconds, without)


def saved_line(summary: Mapping[str, Any]) -> str:
    """Return the line that states what was saved, from sweep_summary.json."""
    use, epochs = summary.get("store"), summary["epochs_saved"] + summary["epochs_run"]
    line = f"saved        {summary['epochs_saved']} of {epochs} epochs by early stopping"
    if not use or not use["rows"]:  # A summary of an earlier version has none.
        return line
    again = "" if use["seconds"] is None else f", which saved {duration(max(0.0, use['seconds']))} of computing"
    return f"{line}; {use['rows']} stored pictures were read and {use['filled']} of them computed{again}"


def as_json(value: Forecast | Saved) -> dict[str, Any]:
    """The value for sweep_summary.json."""
    return {name: round(number, 1) if isinstance(number, float) else number for name, number in asdict(value).items()}


def expected_epochs(rule: EarlyStopping, most: int, trials: int, learns: bool = False) -> float:
    """How many epochs a trial runs on average if each rung lets the best 1/reduction_factor go on.

    The first `min_results` at a rung have no others to be judged against, and go on. A rule without rungs is taken as
    stopping its `stops` of the trials when its grace is over.

    Args:
        learns: the sampler does, so that a trial is better than those before it, which it is judged against: more of
            them go on (see LEARNING).
    """
    kind = STOP_RULES[rule.kind]
    rungs = kind.rungs(rule.grace_epochs, rule.reduction_factor, most)
    if not rungs:
        return most - kind.stops * max(0, most - rule.grace_epochs)
    share = rule.reduction_factor ** -(LEARNING if learns else 1.0)
    epochs, going, reached = 0.0, float(trials), 0
    for rung in (*rungs, most):
        epochs += going * (rung - reached)
        reached = rung
        unjudged = min(going, float(rule.min_results))
        going = unjudged + (going - unjudged) * share
    return epochs / trials


def duration(seconds: float) -> str:
    """Write seconds as 42s, 3m05s or 1h02m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
