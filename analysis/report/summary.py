"""The first screen of the report: the result in plain sentences and in a few large numbers."""

from typing import NamedTuple

import numpy as np

from analysis.data.intervals import Interval
from analysis.data.report_data import Findings
from analysis.render.wording import (
    JOIN,
    THIN,
    backbone_words,
    count,
    duration,
    join_words,
    knob_phrase,
    knob_words,
    metric_words,
    percent,
    plural,
    score,
)
from analysis.report.sections.pareto_front import front_sentence


class Tile(NamedTuple):
    """One large number: what it is, the number, and what to know with it."""

    label: str
    number: str
    more: str


class Budget(NamedTuple):
    """Epochs run, and epochs that early stopping saved against running every trial to the last one."""

    run: int
    saved: int

    @property
    def share_saved(self) -> float:
        """What part of the full budget was saved."""
        return self.saved / max(self.run + self.saved, 1)


def budget(findings: Findings) -> Budget:
    """Taken from the sweep's own summary, or counted where the sweep has not ended."""
    summary = findings.experiment.summary or {}
    if {"epochs_run", "epochs_saved"} <= set(summary):
        return Budget(int(summary["epochs_run"]), int(summary["epochs_saved"]))
    ended = findings.frames.trials[~findings.frames.trials["state"].isin(["running", "waiting"])]
    return Budget(
        int(findings.frames.trials["epochs"].sum()), int((findings.max_epochs - ended["epochs"]).clip(lower=0).sum())
    )


def interval_words(interval: Interval | None) -> str:
    """ "95 % interval 72.9–79.4 %"."""
    if interval is None:
        return ""
    return f"95{THIN}% interval {100 * interval.low:.1f}{JOIN}–{JOIN}{percent(interval.high)}"


def sentences(findings: Findings) -> list[str]:
    """What was tried, what won, what it is worth, what was saved: a sentence or two each."""
    told = (_tried(findings), _won(findings), front_sentence(findings), _saved(findings), _final(findings))
    return [text for text in told if text]


def _tried(findings: Findings) -> str:
    trials, config = len(findings.frames.trials), findings.config
    model = backbone_words(config.get("backbone", "the model"))
    knobs = join_words([knob_words(name) for name in findings.experiment.sweep["space"]])
    return f"This sweep tried {plural(trials, 'configuration')} of {model}, varying {knobs}."


def _won(findings: Findings) -> str:
    if findings.best is None:
        return "No trial has a result yet."
    row = findings.frames.trials.set_index("trial").loc[findings.best]
    knobs = [
        knob_phrase(name, _plain(row[f"param_{name}"]))
        for name in findings.experiment.sweep["space"]
        if f"param_{name}" in row
    ]
    value = score(findings.best_value, findings.metric)
    return (
        f"The best, trial {findings.best}, reached a {metric_words(findings.metric)} of {value} in epoch "
        f"{row['best_epoch']} with {join_words(knobs)}.{_beaten(findings)}"
    )


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _beaten(findings: Findings) -> str:
    """What the best trial beat: the next best, and the middle of those that were trained to their end."""
    ranked = findings.ranked.dropna(subset=["value"])
    others = ranked[ranked["trial"] != findings.best]
    if others.empty:
        return ""
    second = others.iloc[0]
    said = f" Next came trial {second['trial']} with {score(second['value'], findings.metric)}"
    complete = ranked.loc[ranked["state"] == "complete", "value"]
    if len(complete) > 2:
        middle = score(float(complete.median()), findings.metric)
        said += f"; the middle one of the {count(len(complete))} trials that ran to their end reached {middle}"
    return f"{said}."


def _saved(findings: Findings) -> str:
    spent = budget(findings)
    if not spent.saved:
        return f"Every trial ran all of its epochs, {count(spent.run)} in all."
    pruned = int((findings.frames.trials["state"] == "pruned").sum())
    stopped = plural(pruned, "trial was", "trials were")
    whole = plural(spent.run + spent.saved, "epoch")
    return (
        f"{stopped} stopped early for doing worse than others. In all, stopping early saved {count(spent.saved)} of "
        f"{whole} ({percent(spent.share_saved, 0)})."
    )


def _final(findings: Findings) -> str:
    final = findings.final
    if final is None:
        return "There is no final model yet: no test photo has been looked at."
    test = final.figures(final.chosen, "test")
    names = [str(name) for name in final.metrics.get("oversampled_families", [])]
    how = f"with {plural(len(names), 'weak family', 'weak families')} oversampled" if names else "without oversampling"
    kept = how if final.chosen == "after" or not names else "without oversampling, which was tried and did not help"
    photos = f"{count(findings.test.photos)} test photos" if findings.test else "the test photos"
    interval = interval_words(findings.test_macro_f1)
    return (
        f"The final model has that configuration, trained again {kept}. It names {percent(test.get('accuracy'))} of "
        f"{photos} correctly. Its test macro F1, which counts every family alike, is {percent(test.get('macro_f1'))}"
        f"{f' ({interval})' if interval else ''}."
    )


def oversampling_sentences(findings: Findings) -> str:
    """What the final stage did about weak families, and which of its two models it kept; "" without a final stage."""
    if findings.final is None:
        return ""
    metrics, below = findings.final.metrics, percent(findings.final.metrics.get("threshold"), 0)
    weak = len(metrics.get("oversampled_families") or [])
    if not weak:
        return f"No family had a validation F1 below {below}, so nothing was oversampled."
    because = f", because {metrics['chosen_because']}" if metrics.get("chosen_because") else ""
    copies = plural(int(metrics.get("copies", 0)), "augmented copy", "augmented copies")
    return (
        f"Validation F1 was below {below} for {plural(weak, 'family', 'families')}. The model was trained again with "
        f"{copies} of each of their training photos added. The model from {findings.final.chosen} oversampling was "
        f"kept{because}."
    )


def tiles(findings: Findings) -> list[Tile]:
    """The large numbers, the most important first."""
    spent, trials = budget(findings), findings.frames.trials
    pruned = int((trials["state"] == "pruned").sum())
    seconds = (findings.experiment.summary or {}).get("wall_seconds")
    stopped = f"{count(pruned)} of {plural(len(trials), 'trial')} stopped early"
    time = stopped if seconds is None else f"{stopped}; the sweep took {duration(seconds)}"
    return [
        *_test_tiles(findings),
        Tile(
            f"best {metric_words(findings.metric)} in the sweep",
            score(findings.best_value, findings.metric),
            f"trial {findings.best} of {count(len(trials))}" if findings.best is not None else "",
        ),
        Tile("epochs saved by stopping early", percent(spent.share_saved, 0), time),
    ]


def _test_tiles(findings: Findings) -> list[Tile]:
    final = findings.final
    if final is None:
        return []
    test = final.figures(final.chosen, "test")
    return [
        Tile("test macro F1 of the final model", percent(test.get("macro_f1")), interval_words(findings.test_macro_f1)),
        Tile("test photos named correctly", percent(test.get("accuracy")), interval_words(findings.test_accuracy)),
    ]
