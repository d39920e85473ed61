"""Final model: scores and learning curves before and after oversampling."""

from analysis.data.experiment import FinalStage
from analysis.data.report_data import ReportData
from analysis.render.section import Head, Heading, Line, Part, Prose, Section, Table, retrain_command
from analysis.render.wording import SPLITS, decimals, percent, plural
from analysis.report.sections.learning_curves import stages_picture
from trainables.files.experiment import BEST_FILE

NOT_RUN = (
    "The final stage has not been run for this sweep. It trains the best configuration, adds copies of the training "
    "photos of weak families, trains again, and looks at the test photos once."
)
UNTESTED = (
    "No photo was kept for test: these figures are of photos that the model was trained on or chosen by, and flatter. "
    "`python -m trainables evaluate` tests the model on photos of your own."
)
LATER = {"ensemble": "the ensemble", "refit": "the last fit", "probe": "the probe"}
QUOTE = (
    "The sweep's own best score comes from photos that it chose its settings by, so it flatters a little. The test "
    "photos were not used for any choice: quote the test scores."
)


def section(data: ReportData) -> Section:
    """The scores, or how to get them."""
    heading, table = Heading("final", "Final model"), final_table(data)
    if data.final is None or table is None:
        when = "Run it with" if data.experiment.best else "It can be run once the sweep has ended:"
        return Section(heading, (Prose(f"{NOT_RUN} {when}"), retrain_command(data.experiment.folder / BEST_FILE)))
    parts: list[Part] = [Prose(oversampling_sentences(data.final)), table, Prose(QUOTE if data.test else UNTESTED)]
    if {"train_macro_f1", "val_macro_f1", "train_cross_entropy", "val_cross_entropy"} <= set(data.final.history):
        note = "Dashed for training photos, full for validation photos."
        note = f"Before and after oversampling. {note}" if data.final.oversampled else note
        parts.append(stages_picture("final-curves", "The final stage, epoch by epoch", data.final.history, note))
    return Section(heading, tuple(parts))


def oversampling_sentences(final: FinalStage) -> str:
    """What the final stage did about weak families, and which of its two models it kept."""
    metrics, below = final.metrics, percent(final.metrics.get("threshold"), 0)
    weak = len(metrics.get("oversampled_families") or [])
    other = f" The {final.chosen} was handed over in its place." if final.chosen in LATER else ""
    if not weak:
        return f"No family had a validation F1 below {below}, so nothing was oversampled.{other}"
    because = f", because {metrics['chosen_because']}" if metrics.get("chosen_because") and not other else ""
    copies = plural(int(metrics.get("copies", 0)), "augmented copy", "augmented copies")
    return (
        f"Validation F1 was below {below} for {plural(weak, 'family', 'families')}. The model was trained again with "
        f"{copies} of each of their training photos added. The model from {final.trial_chosen} oversampling was "
        f"kept{because}.{other}"
    )


def final_table(data: ReportData) -> Table | None:
    """The scores before and after oversampling, the ensemble's, the last fit's and the probe's, on each split."""
    final = data.final
    if final is None:
        return None
    rows = []
    names = {"before": "before", "after": "after"} if final.oversampled else {"before": "the training"}
    for stage, name in (names | LATER).items():
        for split in ("train", "validation", "test"):
            figures = final.figures(stage, split)
            if figures:
                shares = (percent(figures.get(name)) for name in ("accuracy", "macro_f1"))
                losses = (decimals(figures.get(name), 3) for name in ("loss", "cross_entropy"))
                rows.append(Line((name, SPLITS[split], *shares, *losses), stage == final.tested))
    scores = ("accuracy", "macro F1", "loss", "cross-entropy")
    heads = (
        Head("oversampling" if final.oversampled else "model"),
        Head("photos"),
        *(Head(text, "num") for text in scores),
    )
    note = "The kept model is highlighted. The loss contains the L2 penalty on weights; the cross-entropy does not."
    return Table("final", "Scores of the final stage", heads, tuple(rows), note)
