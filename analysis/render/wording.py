"""Wording of numbers, durations and names, in pages and pictures."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from search.config.registry import STOP_RULES
from trainables.network.backbone_table import BACKBONES

THIN = "\u202f"  # narrow no-break space: keeps a number and its unit on one line
NBSP = "\u00a0"
WJ = "\u2060"  # word joiner: no line break at a dash
NONE = "–"

METRICS = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "loss": "loss",
    "cross_entropy": "cross-entropy",
    "model_mb": "model size",
    "latency_ms": "time for one photo",
}
UNITS = {"model_mb": "MB", "latency_ms": "ms"}
SPLITS = {"train": "training", "val": "validation", "validation": "validation", "test": "test"}

STOP_WORDS = {
    "max_epochs": "ran to the end",
    "early_stopping": "early stopping",
    **{kind: rule.words for kind, rule in STOP_RULES.items()},
    "budget": "budget used up",
    "interrupted": "interrupted",
    "diverged": "diverged",
    "infeasible": "costs too much",
    "failed": "failed",
    "running": "not finished",
}


def power_of_ten(exponent: int) -> str:
    """ "10⁻³"."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as per cent: 0.7554 is "75.5 %"."""
    return NONE if _missing(share) else f"{100 * share:.{digits}f}{THIN}%"  # type: ignore[operator]


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, with its sign: 0.021 is "+2.1"."""
    if _missing(difference):
        return NONE
    text = f"{100 * difference:+.1f}".replace("-", "−")  # type: ignore[operator]
    return "0.0" if text in {"+0.0", "−0.0"} else text


def significant(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits: 0.00123, 256, 3.2 × 10⁻⁵."""
    if _missing(value):
        return NONE
    number = float(value)  # type: ignore[arg-type]
    if number != 0 and not 1e-4 <= abs(number) < 1e6:
        mantissa, exponent = f"{number:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}{THIN}×{THIN}{power_of_ten(int(exponent))}".replace("-", "−")
    text = f"{number:.{digits}g}" if abs(number) < 10**digits else f"{number:,.0f}"
    return text.replace("-", "−")


def decimals(value: float | None, digits: int = 2) -> str:
    """A loss or cross-entropy with a fixed number of decimals."""
    return NONE if _missing(value) else f"{value:.{digits}f}".replace("-", "−")


def count(number: float | None) -> str:
    """A whole number with commas between thousands."""
    return NONE if _missing(number) else f"{int(number):,}"  # type: ignore[arg-type]


def plural(number: int, one: str, many: str = "") -> str:
    """ "1 trial", "20 trials", "0 families"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """A duration in the two largest units that matter: "2 h 03 min", "4 min 10 s", "8.2 s"."""
    if _missing(seconds):
        return NONE
    length = float(seconds)  # type: ignore[arg-type]
    if length < 60:
        return f"{length:.1f}{THIN}s"
    minutes, rest = divmod(round(length), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min{NBSP}{rest:02d}{THIN}s"
    hours, minutes = divmod(round(length / 60), 60)
    return f"{count(hours)}{THIN}h{NBSP}{minutes:02d}{THIN}min"


def setting(value: object) -> str:
    """The value of a knob: numbers to three significant digits, whole numbers in full, words as they are."""
    if value is None or (isinstance(value, float) and _missing(value)):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer() and abs(value) < 1e6):
        return str(int(value))
    return significant(value) if isinstance(value, float) else str(value)


def metric_words(metric: str) -> str:
    """`val_macro_f1` in plain words: "validation macro F1"; unknown names come back with spaces."""
    split, _, name = metric.partition("_")
    if split in SPLITS and name:
        return f"{SPLITS[split]} {METRICS.get(name, name.replace('_', ' '))}"
    return METRICS.get(metric, metric.replace("_", " "))


def is_share(metric: str) -> bool:
    """Whether the metric lies between 0 and 1 and reads best as per cent."""
    return metric.endswith(("_f1", "accuracy"))


def score(value: float | None, metric: str) -> str:
    """A value of `metric`: per cent where it is a share, four decimals where it is a loss."""
    return percent(value) if is_share(metric) else decimals(value, 4)


def cost_words(value: float | None, cost: str) -> str:
    """What a model costs, with its unit: 88.913 of `model_mb` is "88.91 MB"."""
    return NONE if _missing(value) else f"{significant(value, 4)}{THIN}{UNITS.get(cost, cost)}"


def knob_words(name: str) -> str:
    """`param_dense_units` or `dense_units` in plain words: "dense units"."""
    return name.removeprefix("param_").replace("_", " ").replace(".", " ")


def drawn_note(drawn: int, total: int, one: str, many: str = "") -> str:
    """A sentence that owns up to a picture showing fewer things than there are; "" when it shows all."""
    return f"{count(drawn)} of {plural(total, one, many)} are drawn." if drawn < total else ""


def sentence_case(text: str) -> str:
    """The first letter made large; the others stay as they are (`capitalize` would turn F1 into f1)."""
    return text[:1].upper() + text[1:]


def moment(text: object) -> str | None:
    """An ISO 8601 time for people: "23 November 2026, 17:02 UTC"; None and other text come back as they are."""
    try:
        when = datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None if text is None else str(text)
    return when.strftime("%-d %B %Y, %H:%M UTC")


def join_words(items: Sequence[str], limit: int = 12) -> str:
    """A list for a sentence: "a, b and c"; beyond `limit` the rest is counted."""
    if len(items) > limit:
        return f"{', '.join(items[:limit])} and {len(items) - limit} more"
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def short_names(families: Sequence[str]) -> dict[str, str]:
    """Family names without their phylum (`chordata_felidae` is "felidae") where that is still unmistakable.

    The full name stays where two phyla share a family name or the folder has no phylum.
    """
    tails = {name: name.partition("_")[2] or name for name in families}
    seen = Counter(tails.values())
    return {name: (tail if seen[tail] == 1 else name).replace("_", " ") for name, tail in tails.items()}


def _missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def backbone_words(name: object) -> str:
    """The backbone as its authors write it."""
    backbone = BACKBONES.get(str(name))
    return backbone.label if backbone else str(name)
