"""Summary of the report: the result in sentences and large numbers."""

import numpy as np

from analysis.compare.differences import difference, model_verdict
from analysis.data.experiment import FinalStage
from analysis.data.report_data import ReportData
from analysis.render.section import Heading, Part, Prose, Section, Tile, Tiles, retrain_command
from analysis.render.wording import (
    SPLITS,
    THIN,
    WJ,
    backbone_words,
    cost_words,
    count,
    decimals,
    duration,
    is_share,
    join_words,
    knob_words,
    metric_words,
    percent,
    plural,
    points,
    score,
    sentence_case,
    setting,
)
from analysis.report.sections.epochs_spent import saved_epochs
from trainables.files.experiment import BEST_FILE


def section(data: ReportData) -> Section:
    """Sentences, large numbers, and the command for a final model where there is none."""
    parts: list[Part] = [*(Prose(sentence, style="lead") for sentence in sentences(data)), Tiles(tiles(data))]
    if data.final is None and data.experiment.best is not None:
        what = "To train the best configuration to its end, oversample the weak families and evaluate the test photos"
        parts += [Prose(f"{what} once:"), retrain_command(data.experiment.folder / BEST_FILE)]
    return Section(Heading("summary", "Summary"), tuple(parts))


def budget(data: ReportData) -> tuple[int, int]:
    """Epochs run and epochs saved by early stopping: of the sweep's summary, or counted where it has not ended."""
    summary, trials = data.experiment.summary or {}, data.frames.trials
    if {"epochs_run", "epochs_saved"} <= set(summary):
        return int(summary["epochs_run"]), int(summary["epochs_saved"])
    return int(trials["epochs"].sum()), int(saved_epochs(trials, data.max_epochs).sum())


def interval_words(data: ReportData, name: str) -> str:
    """ "95 % interval 72.9–79.4 %"."""
    interval = data.test_interval(name)
    if interval is None:
        return ""
    return f"95{THIN}% interval {100 * interval.low:.1f}{WJ}–{WJ}{percent(interval.high)}"


def sentences(data: ReportData) -> list[str]:
    """What was tried, what won, whether it beat the probe, what a cheaper model gives up, what was saved; what the
    final model is worth, and the probe beside it."""
    model = backbone_words(data.config.get("backbone", "the model"))
    knobs = join_words([knob_words(name) for name in data.experiment.sweep["space"]])
    tried = f"This sweep tried {plural(len(data.frames.trials), 'configuration')} of {model}, varying {knobs}."
    compared = (best_sentence(data), confirmed_sentence(data), probe_sentence(data), front_sentence(data))
    swept = (tried, judged_sentence(data), *compared, saved_sentence(data))
    said = (*swept, final_sentence(data), probe_test_sentence(data))
    return [text for text in said if text]


def best_sentence(data: ReportData) -> str:
    """The best trial, and what it beat: the next best, and the middle of those that were trained to their end."""
    if data.best is None:
        return "No trial has a result yet."
    row = data.frames.trials.set_index("trial").loc[data.best]
    knobs = []
    for name in data.experiment.sweep["space"]:
        if f"param_{name}" in row:
            value, words = row[f"param_{name}"], knob_words(name)
            value = value.item() if isinstance(value, np.generic) else value
            counted = words.endswith("s") and isinstance(value, int)
            knobs.append(f"{setting(value)} {words}" if counted else f"{words} {setting(value)}")
    said = (
        f"The best, trial {data.best}, reached a {metric_words(data.metric)} of {score(data.best_value, data.metric)} "
        f"in epoch {row['best_epoch']} with {join_words(knobs)}."
    )
    ranked = data.ranked.dropna(subset=["value"])
    others = ranked[ranked["trial"] != data.best]
    if others.empty:
        return said
    second = others.iloc[0]
    said += f" Next came trial {second['trial']} with {score(second['value'], data.metric)}"
    complete = ranked.loc[ranked["state"] == "complete", "value"]
    if len(complete) > 2:
        middle = score(float(complete.median()), data.metric)
        said += f"; the middle one of the {count(len(complete))} trials that ran to their end reached {middle}"
    return f"{said}."


def judged_sentence(data: ReportData) -> str:
    """Which photos judged the trials; "" where the dataset's validation photos did."""
    validation = data.config.get("validation") or {}
    if validation.get("reshuffled"):
        return "Each trial was judged by a holdout of its own, drawn from the training and validation photos."
    folds = int(validation.get("folds", 1))
    if folds == 1:
        return ""
    said = f"Each trial trained {folds} models, and every training and validation photo was judged"
    return f"{said} by one that did not see it."


def confirmed_sentence(data: ReportData) -> str:
    """What the best trials reached with further seeds; "" where none was trained again."""
    found = data.experiment.best.confirmation if data.experiment.best else None
    if found is None or not found.row.whole:
        return ""
    runs, metric = plural(len(found.row.values), "further run"), metric_words(data.metric)
    judged = f", judged by {found.folds} folds" if found.folds > 1 else " with other seeds"
    mean = score(found.row.mean(), data.metric)
    within = "" if found.half_width is None else f" (95{THIN}% interval ± {_by(found.half_width, data.metric)})"
    has = f"trial {found.chosen} has a mean {metric} of {mean}{within} in {runs}{judged}"
    said = f"The best {count(len(found.rows))} trials were trained again: {has}."
    flattered = found.flattered(data.mode)
    if flattered is None or found.folds > 1:
        return said
    first = found.rows[0]
    if flattered <= 0:
        return f"{said} The sweep’s first choice, trial {first.trial}, had not flattered itself."
    value = f"The value that trial {first.trial} was first chosen by"
    return f"{said} {value} had flattered it by {_by(flattered, data.metric)}."


def _by(difference: float, metric: str) -> str:
    return f"{points(abs(difference)).lstrip('+')} points" if is_share(metric) else decimals(abs(difference), 4)


def probe_sentence(data: ReportData) -> str:
    """Whether the sweep beat the probe on validation; "" without a probe, and where it has no figure of the metric."""
    probe = data.experiment.probe
    value = None if probe is None else probe.value(data.metric)
    if probe is None or value is None:
        return ""
    what = f"The probe, {probe.classifier} on what the frozen backbone sees ({probe.depth_words()}),"
    has = f"{what} has a {metric_words(data.metric)} of {score(value, data.metric)}"
    if data.best_value is None:
        return f"{has}."
    gain = data.best_value - value if data.mode == "max" else value - data.best_value
    by = _by(gain, data.metric)
    if gain > 0:
        return f"{has}: the sweep’s best trial beats it by {by}."
    return f"{has}, and the sweep did not beat it: its best trial is {f'{by} worse' if gain else 'as good'}."


def probe_test_sentence(data: ReportData) -> str:
    """Whether the trained model is better than the probe on test, with the paired interval; "" without both."""
    final = data.final
    if final is None or final.predictions.empty or not final.figures("probe", "test"):
        return ""
    trained = final.trial_chosen if final.chosen == "probe" else final.tested
    probe, trial = final.predictions_of("probe"), final.predictions_of(trained)
    if probe.empty or trial.empty:
        return ""
    return sentence_case(model_verdict(difference(("the probe", probe), ("the trained model", trial))))


def front_sentence(data: ReportData) -> str:
    """What a smaller or faster model would give up; "" where the sweep weighs no cost."""
    cost, members = data.experiment.cost, data.front
    if cost is None or data.best is None:
        return ""
    if len(members) < 2:
        return f"No other trial's model has a lower {metric_words(cost)} without a worse score." if len(members) else ""
    best, cheapest = members.iloc[0], members.iloc[-1]
    return (
        f"Weighed against {metric_words(cost)}, {count(len(members))} trials are beaten by none: from trial "
        f"{best['trial']}, {score(best['value'], data.metric)} at {cost_words(best[cost], cost)}, to trial "
        f"{cheapest['trial']}, {score(cheapest['value'], data.metric)} at {cost_words(cheapest[cost], cost)}."
    )


def saved_sentence(data: ReportData) -> str:
    """How many epochs early stopping saved."""
    run, saved = budget(data)
    if not saved:
        return f"Every trial ran all of its epochs, {count(run)} in all."
    pruned = int((data.frames.trials["state"] == "pruned").sum())
    stopped = plural(pruned, "trial was", "trials were")
    whole = plural(run + saved, "epoch")
    return (
        f"{stopped} stopped early for doing worse than others. In all, stopping early saved {count(saved)} of "
        f"{whole} ({percent(saved / (run + saved), 0)})."
    )


def final_sentence(data: ReportData) -> str:
    """What the final model is worth on the test photos."""
    final = data.final
    if final is None:
        return "There is no final model yet: no test photo has been looked at."
    test = final.figures(final.tested, "test")
    photos = f"{count(data.test.photos)} test photos" if data.test else "the test photos"
    interval = interval_words(data, "macro_f1")
    worth = (
        f"It names {percent(test.get('accuracy'))} of {photos} correctly. Its test macro F1, which counts every family "
        f"alike, is {percent(test.get('macro_f1'))}{f' ({interval})' if interval else ''}."
    )
    if not test:
        worth = "No photo was kept for test, so nothing here says how good it is on new photos."
    again = refit_words(final)
    if final.chosen == "probe":
        why = str(final.metrics.get("chosen_because"))
        return f"The final model is the probe{again and f', fitted again {again}'}: {why}. {worth}"
    names = [str(name) for name in final.metrics.get("oversampled_families", [])]
    how = f"with {plural(len(names), 'weak family', 'weak families')} oversampled" if names else "without oversampling"
    kept = (
        how if final.trial_chosen == "after" or not names else "without oversampling, which was tried and did not help"
    )
    if again:
        kept += f", and once more {again}"
    if final.chosen == "ensemble":
        kept += f"; it is an ensemble: {final.metrics.get('chosen_because')}"
    return f"The final model has that configuration, trained again {kept}. {worth}"


def refit_words(final: FinalStage) -> str:
    """Which photos the last fit had, and what was tested; "" without one."""
    # Earlier versions wrote no "refit": they always fitted a probe again that they handed over, and never a training.
    always = {"splits": ["train", "validation"], "tested": True} if final.chosen == "probe" else None
    refit = final.metrics.get("refit", always)
    if not refit:
        return ""
    photos = f"on {join_words([SPLITS[split] for split in refit['splits']])} photos"
    return photos if refit["tested"] else f"{photos} (the test figures are of the model before that)"


def tiles(data: ReportData) -> tuple[Tile, ...]:
    """The large numbers, the most important first."""
    (run, saved), trials, final = budget(data), data.frames.trials, data.final
    pruned = int((trials["state"] == "pruned").sum())
    seconds = (data.experiment.summary or {}).get("wall_seconds")
    stopped = f"{count(pruned)} of {plural(len(trials), 'trial')} stopped early"
    test = final.figures(final.tested, "test") if final else {}
    of_test = (
        Tile(
            "test macro F1 of the final model",
            percent(test.get("macro_f1")),
            interval_words(data, "macro_f1"),
        ),
        Tile("test photos named correctly", percent(test.get("accuracy")), interval_words(data, "accuracy")),
    )
    return (
        *(of_test if test else ()),
        Tile(
            f"best {metric_words(data.metric)} in the sweep",
            score(data.best_value, data.metric),
            f"trial {data.best} of {count(len(trials))}" if data.best is not None else "",
        ),
        Tile(
            "epochs saved by stopping early",
            percent(saved / max(run + saved, 1), 0),
            stopped if seconds is None else f"{stopped}; the sweep took {duration(seconds)}",
        ),
    )
