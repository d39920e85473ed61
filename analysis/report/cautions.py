"""What a reader must know before believing the figures; the report says it first."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from analysis.data.report_data import Findings, _leaks, leak_pairs
from analysis.render.wording import SPLITS, count, join_words, percent, plural, score, sentence_case

NAMED = 12  # families or reasons named in a sentence before the rest is counted


class Caution(NamedTuple):
    """`level` is "alarm" (the figures may not be what they seem) or "note" (know this when you read them)."""

    level: str
    title: str
    text: str


def cautions(findings: Findings) -> list[Caution]:
    """All cautions that apply, alarms first."""
    found = [caution for rule in _RULES for caution in rule(findings)]
    return sorted(found, key=lambda caution: caution.level != "alarm")


def _leak(findings: Findings) -> Iterator[Caution]:
    leaks = _leaks(findings)
    if leaks is not None and not leaks.get("passed"):
        shared = [_overlap(pair) for pair in leak_pairs(findings) if pair["shared"]]
        said = join_words(shared) or "the check did not pass"
        text = f"{sentence_case(said)}. Scores on photos seen in training are worth nothing."
        yield Caution("alarm", "The splits overlap", text)


def _overlap(pair: dict[str, Any]) -> str:
    a, b = (SPLITS.get(pair[side], pair[side]) for side in ("a", "b"))
    return f"{a} and {b} share {pair['shared']} by {pair['by']}"


def _too_good(findings: Findings) -> Iterator[Caution]:
    if findings.final and findings.final.metrics.get("alarm"):
        yield Caution("alarm", "The final score is suspiciously high", str(findings.final.metrics["alarm"]))


def _stage_warnings(findings: Findings) -> Iterator[Caution]:
    final = findings.final.metrics if findings.final else {}
    for record, stage in ((findings.experiment.provenance, "sweep"), (final, "final stage")):
        for warning in record.get("warnings", []):
            yield Caution("note", f"From the {stage}", f"{sentence_case(str(warning).rstrip('.'))}.")


def _random_weights(findings: Findings) -> Iterator[Caution]:
    weights = findings.weights
    if weights.get("warning"):
        text = f"{sentence_case(str(weights['warning']).rstrip('.'))}. Compare these figures only with each other."
        yield Caution("alarm", "Random weights", text)
    elif "warning" not in weights and "random" in (weights.get("kind"), weights.get("requested")):
        text = "The backbone started from random weights, not from weights trained on ImageNet. Expect far lower scores"
        yield Caution("alarm", "Random weights", f"{text}; compare these figures only with each other.")


def _changed_data(findings: Findings) -> Iterator[Caution]:
    manifest, best = findings.experiment.manifest, findings.experiment.best
    known = {best.dataset_fingerprint} if best else set()
    if findings.final and findings.final.metrics.get("dataset"):
        known.add(findings.final.metrics["dataset"].get("fingerprint"))
    if len(known) > 1:
        text = "The sweep and the final stage were run on different data: their fingerprints differ."
        yield Caution("alarm", "Two different datasets", text)
    elif manifest and known and manifest["fingerprint"] not in known:
        folder = findings.experiment.sweep["dataset"]
        text = f"{folder} has been prepared anew since; its counts below are not those of the runs."
        yield Caution("alarm", "The dataset has changed", text)


def _disagreement(findings: Findings) -> Iterator[Caution]:
    if findings.test and (findings.test_accuracy is None or findings.test_macro_f1 is None):
        own = f"accuracy {percent(findings.test.accuracy.value)} and macro F1 {percent(findings.test.macro_f1.value)}"
        text = f"predictions.csv gives {own} on test, metrics.json says otherwise. Run the final stage again."
        yield Caution("alarm", "The final stage's files disagree", text)


def _unfinished(findings: Findings) -> Iterator[Caution]:
    if not findings.experiment.ended:
        ended = plural(int((~findings.frames.trials["state"].isin(["running", "waiting"])).sum()), "trial")
        planned = findings.experiment.sweep.get("trials", len(findings.frames.trials))
        text = f"{ended} of {count(planned)} have ended; every figure here can still change."
        yield Caution("alarm", "This sweep is unfinished", text)


def _other_sweep(findings: Findings) -> Iterator[Caution]:
    final, best = findings.final, findings.experiment.best
    used = final.metrics.get("sweep_score") if final else None
    if used is not None and best is not None and abs(used - best.score) > 1e-6:
        words = f"{score(used, best.metric)}, but the sweep's best has {score(best.score, best.metric)}"
        text = f"The final stage was given a configuration with {words}. Run it again with this sweep's best.json."
        yield Caution("alarm", "The final model is not of this sweep's best trial", text)


def _train_only(findings: Findings) -> Iterator[Caution]:
    families = (findings.experiment.manifest or {}).get("train_only_families", [])
    if families:
        have = "has" if len(families) == 1 else "have"
        named = join_words([str(name) for name in families], NAMED)
        text = f"{named} {have} too few photos to be split: used for training only, so no score covers them."
        yield Caution("note", f"{plural(len(families), 'family', 'families')} never tested", text)


def _excluded(findings: Findings) -> Iterator[Caution]:
    excluded = (findings.experiment.manifest or {}).get("excluded", {})
    total = sum(excluded.values())
    if total:
        reasons = join_words([f"{count(number)} {reason}" for reason, number in sorted(excluded.items())], NAMED)
        text = f"{reasons}. excluded.csv in the dataset lists them."
        yield Caution("note", f"{plural(total, 'photo')} left out", text)


def _data_warnings(findings: Findings) -> Iterator[Caution]:
    for warning in (findings.experiment.manifest or {}).get("warnings", []):
        yield Caution("note", "From the preparation of the data", str(warning))


def _no_data(findings: Findings) -> Iterator[Caution]:
    if findings.experiment.manifest is None:
        text = f"{findings.experiment.sweep['dataset']} cannot be read from here, so photo counts are missing."
        yield Caution("note", "Dataset out of reach", text)


def _failed(findings: Findings) -> Iterator[Caution]:
    failed = findings.frames.trials[findings.frames.trials["state"] == "failed"]
    if len(failed):
        reasons = Counter(str(reason) for reason in failed["stop_reason"].dropna())
        said = [reason if times == 1 else f"{reason} ({times} trials)" for reason, times in reasons.most_common()]
        text = join_words(said, 4)
        yield Caution(
            "note", f"{plural(len(failed), 'trial')} failed", f"{sentence_case(text) or 'No reason is recorded'}."
        )


_RULES: tuple[Callable[[Findings], Iterator[Caution]], ...] = (
    _leak,
    _too_good,
    _stage_warnings,
    _random_weights,
    _changed_data,
    _disagreement,
    _other_sweep,
    _unfinished,
    _train_only,
    _excluded,
    _data_warnings,
    _no_data,
    _failed,
)
