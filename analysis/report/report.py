"""The report: one page that says what a sweep found, with its pictures and tables as files beside it."""

import datetime
from collections.abc import Iterator
from pathlib import Path

from analysis.data.experiment import read
from analysis.data.frames import export
from analysis.data.report_data import Findings, find
from analysis.render.files import own_folder, write_text
from analysis.render.knob_axis import log_knobs
from analysis.render.page import render_page, write_figures
from analysis.render.svg import Picture
from analysis.render.table import Table
from analysis.render.wording import moment, plural
from analysis.report.cautions import cautions
from analysis.report.glossary import FRONT_TERM, TERMS
from analysis.report.sections.backbones import models, models_picture
from analysis.report.sections.calibration import calibration, calibration_picture
from analysis.report.sections.confusion import confusion, confusion_picture
from analysis.report.sections.contour import contours, contours_picture
from analysis.report.sections.epochs_spent import spending, spending_picture, spending_table
from analysis.report.sections.families import families, families_picture
from analysis.report.sections.final_tables import disjoint_table, families_table, final_table, pairs_table, splits_table
from analysis.report.sections.history import history, history_picture
from analysis.report.sections.importance import FEWEST, importance_picture, importances
from analysis.report.sections.learning_curves import curves_picture, learning_curves, stage_curves, stages_picture
from analysis.report.sections.parallel_coordinates import coordinates, coordinates_picture
from analysis.report.sections.pareto_front import front, front_picture, front_table
from analysis.report.sections.photos import examples, photographs
from analysis.report.sections.provenance import data_table, provenance_table
from analysis.report.sections.reference_tables import study_table
from analysis.report.sections.rungs import planned_rungs, rungs, rungs_picture
from analysis.report.sections.slices import slices, slices_picture
from analysis.report.sections.split_counts import counts_picture, counts_table, split_counts
from analysis.report.sections.trials_table import fixed_knobs, knobs_table, trials_table
from analysis.report.summary import oversampling_sentences, sentences, tiles
from search.records import Experiment
from trainables.files.experiment import BEST_FILE, REPORT_FOLDER

PAGE = "index.html"
_MARK = "Raretune report"  # in the page's meta data: how a later run knows that it may overwrite it


def write_report(experiment: Path, out: Path | None = None, baselines: Path | None = None) -> Path:
    """Write the report of `experiment` into `out` (experiment/report unless given) and return the page.

    `baselines` is another sweep's folder, one over backbones, whose figures are shown beside this sweep's.

    trials.csv, epochs.csv, columns.csv and figures/*.svg come first, index.html last: where it is, the rest is whole.

    Raises:
        UserError: no experiment there, a damaged record, or `out` cannot be written or holds another page.
    """
    findings = find(read(experiment), read(baselines) if baselines is not None else None)
    folder = own_folder(out or findings.experiment.folder / REPORT_FOLDER, PAGE, _MARK)
    pictures = {picture.name: picture for picture in draw_all(findings)}
    page = render(findings, pictures)
    export(findings.frames, folder)
    write_figures(folder / "figures", pictures.values())
    write_text(folder / PAGE, page)
    return folder / PAGE


def draw_all(findings: Findings) -> Iterator[Picture]:
    """Every picture for which there is data."""
    yield from _sweep_pictures(findings)
    yield from _final_pictures(findings)
    photos = counts_table(findings.experiment.manifest)
    if len(photos):
        yield counts_picture(split_counts(photos))


def _sweep_pictures(findings: Findings) -> Iterator[Picture]:
    trials, epochs, metric, mode = findings.frames.trials, findings.frames.epochs, findings.metric, findings.mode
    side_by_side = models(findings.baselines)
    if side_by_side is not None and side_by_side.names:
        yield models_picture(side_by_side)
    if len(trials):
        yield spending_picture(spending(trials, findings.best, findings.max_epochs))
    if trials["value"].notna().any():
        yield history_picture(history(trials, metric, mode))
        if findings.experiment.cost:
            yield front_picture(front(trials, metric, findings.experiment.cost))
        yield from _knob_pictures(findings)
    found = rungs(trials, epochs, metric, mode, planned_rungs(findings.experiment.sweep, findings.max_epochs))
    if found.rungs:
        yield rungs_picture(found)
    curves = learning_curves(trials, epochs, metric, mode)
    if curves.curves:
        yield curves_picture(curves)
    own = epochs[epochs["trial"] == findings.best]
    panels = [stage_curves(own, name) for name in ("macro_f1", "cross_entropy")]
    if len(own):
        yield stages_picture("best-trial", f"The best trial, {findings.best}: training and validation", panels)


def _knob_pictures(findings: Findings) -> Iterator[Picture]:
    trials, metric, mode = findings.frames.trials, findings.metric, findings.mode
    space = findings.experiment.sweep["space"]
    log = log_knobs(space)
    sliced = slices(trials, metric, mode, log)
    if sliced.slices:
        yield slices_picture(sliced)
    important = importances(trials, space, mode)
    if important is not None:
        yield importance_picture(important)
    lines = coordinates(trials, metric, mode, log)
    if lines is not None:
        yield coordinates_picture(lines)
    surfaces = contours(trials, metric, mode, important.knobs if important else (), log)
    if surfaces is not None:
        yield contours_picture(surfaces)


def _final_pictures(findings: Findings) -> Iterator[Picture]:
    final = findings.final
    if final is None:
        return
    panels = [stage_curves(final.history, name) for name in ("macro_f1", "cross_entropy")]
    if all(panels):
        yield stages_picture("final-curves", "The final stage, epoch by epoch", panels)
    if len(final.families):
        yield families_picture(families(final.families))
    photos = final.test_predictions
    if len(photos):
        mistakes = confusion(photos)
        if mistakes.names:
            yield confusion_picture(mistakes)
        yield calibration_picture(calibration(photos))


def render(findings: Findings, pictures: dict[str, Picture]) -> str:
    """The page as HTML."""
    return render_page(
        "report/report.html.j2",
        _MARK,
        pictures,
        findings=findings,
        name=findings.experiment.sweep["name"],
        trials=plural(len(findings.frames.trials), "trial"),
        written=moment(datetime.datetime.now(datetime.UTC).isoformat()),
        fixed=fixed_knobs(findings),
        cautions=cautions(findings),
        sentences=sentences(findings),
        tiles=tiles(findings),
        oversampling=oversampling_sentences(findings),
        photographs=photographs(findings),
        examples=examples(findings),
        fewest=FEWEST,
        tables=_tables(findings),
        terms=TERMS | (FRONT_TERM if findings.experiment.cost else {}),
        retrain=f"python -m trainables retrain {findings.experiment.folder / BEST_FILE}",
        retrain_other=_retrain_other(findings.experiment),
    )


def _retrain_other(experiment: Experiment) -> str:
    """How to train the cheapest trial of the front, as an example; "" where that is the best one."""
    front = experiment.front
    return f"python -m trainables retrain {experiment.front_file(front[-1])}" if len(front) > 1 else ""


def _tables(findings: Findings) -> dict[str, Table | None]:
    return {
        "knobs": knobs_table(findings),
        "study": study_table(findings),
        "spending": spending_table(findings),
        "front": front_table(findings),
        "trials": trials_table(findings),
        "final": final_table(findings),
        "families": families_table(findings),
        "pairs": pairs_table(findings),
        "splits": splits_table(findings),
        "disjoint": disjoint_table(findings),
        "data": data_table(findings),
        "provenance": provenance_table(findings),
    }
