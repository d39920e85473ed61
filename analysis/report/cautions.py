"""Cautions: what a reader must know before believing the figures."""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from analysis.data.report_data import ReportData
from analysis.render.wording import SPLITS, count, join_words, percent, plural, score, sentence_case


class Caution(NamedTuple):
    """`level` is "alarm" (the figures may not be what they seem) or "note" (know this when you read them)."""

    level: str
    title: str
    text: str


def cautions(data: ReportData) -> list[Caution]:
    """All cautions that apply, alarms first."""
    found = itertools.chain(of_scores(data), of_origins(data), of_files(data), of_dataset(data), of_trials(data))
    return sorted(found, key=lambda caution: caution.level != "alarm")


def of_scores(data: ReportData) -> Iterator[Caution]:
    """Scores that may be too good: photos in two splits, or the final stage's own alarm."""
    if data.leaks is not None and not data.leaks.get("passed"):
        shared = []
        for pair in data.leaks.get("pairs", []):
            if pair["shared"]:
                a, b = (SPLITS.get(pair[side], pair[side]) for side in ("a", "b"))
                shared.append(f"{a} and {b} share {pair['shared']} by {pair['by']}")
        said = sentence_case(join_words(shared) or "the check did not pass")
        yield Caution("alarm", "The splits overlap", f"{said}. Scores on photos seen in training are worth nothing.")
    if data.final and data.final.metrics.get("alarm"):
        yield Caution("alarm", "The final score is suspiciously high", str(data.final.metrics["alarm"]))


def of_origins(data: ReportData) -> Iterator[Caution]:
    """Warnings of the stages themselves, random weights, and data that are not the same throughout."""
    experiment, final = data.experiment, data.final.metrics if data.final else {}
    for record, stage in ((experiment.provenance, "sweep"), (final, "final stage")):
        for warning in record.get("warnings", []):
            yield Caution("note", f"From the {stage}", f"{sentence_case(str(warning).rstrip('.'))}.")
    if data.weights.get("warning"):
        text = f"{sentence_case(str(data.weights['warning']).rstrip('.'))}. Compare these figures only with each other."
        yield Caution("alarm", "Random weights", text)
    elif "warning" not in data.weights and "random" in (data.weights.get("kind"), data.weights.get("requested")):
        text = "The backbone started from random weights, not from weights trained on ImageNet. Expect far lower scores"
        yield Caution("alarm", "Random weights", f"{text}; compare these figures only with each other.")
    known = {experiment.best.dataset_fingerprint} if experiment.best else set()
    if final.get("dataset"):
        known.add(final["dataset"].get("fingerprint"))
    if len(known) > 1:
        text = "The sweep and the final stage were run on different data: their fingerprints differ."
        yield Caution("alarm", "Two different datasets", text)
    elif experiment.manifest and known and experiment.manifest["fingerprint"] not in known:
        text = (
            f"{experiment.sweep['dataset']} has been prepared anew since; its counts below are not those of the runs."
        )
        yield Caution("alarm", "The dataset has changed", text)


def of_files(data: ReportData) -> Iterator[Caution]:
    """Files of the final stage that contradict each other or the sweep."""
    if data.test and (data.test_interval("accuracy") is None or data.test_interval("macro_f1") is None):
        own = f"accuracy {percent(data.test.accuracy.value)} and macro F1 {percent(data.test.macro_f1.value)}"
        text = f"predictions.csv gives {own} on test, metrics.json says otherwise. Run the final stage again."
        yield Caution("alarm", "The final stage's files disagree", text)
    used, best = data.final.metrics.get("sweep_score") if data.final else None, data.experiment.best
    if used is not None and best is not None and abs(used - best.score) > 1e-6:
        words = f"{score(used, best.metric)}, but the sweep's best has {score(best.score, best.metric)}"
        text = f"The final stage was given a configuration with {words}. Run it again with this sweep's best.json."
        yield Caution("alarm", "The final model is not of this sweep's best trial", text)


def of_dataset(data: ReportData) -> Iterator[Caution]:
    """What the dataset's manifest tells: families without a score, photos left out, warnings."""
    manifest = data.experiment.manifest
    if manifest is None:
        text = f"{data.experiment.sweep['dataset']} cannot be read from here, so photo counts are missing."
        yield Caution("note", "Dataset out of reach", text)
        return
    families = manifest.get("train_only_families", [])
    if families:
        have = "has" if len(families) == 1 else "have"
        named = join_words([str(name) for name in families])
        text = f"{named} {have} too few photos to be split: used for training only, so no score covers them."
        yield Caution("note", f"{plural(len(families), 'family', 'families')} never tested", text)
    excluded = manifest.get("excluded", {})
    total = sum(excluded.values())
    if total:
        reasons = join_words([f"{count(number)} {reason}" for reason, number in sorted(excluded.items())])
        text = f"{reasons}. excluded.csv in the dataset lists them."
        yield Caution("note", f"{plural(total, 'photo')} left out", text)
    for warning in manifest.get("warnings", []):
        yield Caution("note", "From the preparation of the data", str(warning))


def of_trials(data: ReportData) -> Iterator[Caution]:
    """A sweep that has not ended, and trials that failed or diverged."""
    trials = data.frames.trials
    if not data.experiment.ended:
        ended = plural(int((~trials["state"].isin(["running", "waiting"])).sum()), "trial")
        planned = data.experiment.sweep.get("trials", len(trials))
        text = f"{ended} of {count(planned)} have ended; every figure here can still change."
        yield Caution("alarm", "This sweep is unfinished", text)
    for state, words in (("failed", "failed"), ("diverged", "diverged"), ("infeasible", "cost too much")):
        chosen = trials[trials["state"] == state]
        if len(chosen):
            reasons = Counter(str(reason) for reason in chosen["stop_reason"].dropna())
            said = [reason if times == 1 else f"{reason} ({times} trials)" for reason, times in reasons.most_common()]
            text = f"{sentence_case(join_words(said, 4)) or 'No reason is recorded'}."
            yield Caution("note", f"{plural(len(chosen), 'trial')} {words}", text)
