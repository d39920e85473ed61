"""Report of an experiment: one page, with pictures and tables beside it."""

from collections.abc import Callable
from pathlib import Path

from markupsafe import Markup

from analysis.data.experiment import read
from analysis.data.frames import export
from analysis.data.report_data import ReportData, report_data
from analysis.render.page import write_page
from analysis.render.section import Section
from analysis.render.wording import plural
from analysis.report import glossary, summary
from analysis.report.cautions import cautions
from analysis.report.sections import (
    backbones,
    calibration,
    configuration,
    confusion,
    dataset,
    epochs_spent,
    families,
    final_model,
    history,
    importance,
    learning_curves,
    parallel_coordinates,
    pareto_front,
    photos,
    provenance,
    rungs,
    slices,
    split_counts,
    trials_table,
)
from trainables.files.experiment import REPORT_FOLDER

# In the order of the page. To add a section, write a file in sections/ and name it here.
SECTIONS: tuple[Callable[[ReportData], Section | None], ...] = (
    summary.section,
    configuration.section,
    history.section,
    rungs.section,
    epochs_spent.section,
    learning_curves.section,
    pareto_front.section,
    importance.section,
    slices.section,
    parallel_coordinates.section,
    trials_table.section,
    final_model.section,
    families.section,
    confusion.section,
    photos.section,
    calibration.section,
    backbones.section,
    split_counts.section,
    dataset.section,
    provenance.section,
    glossary.section,
)


def write_report(experiment: Path, out: Path | None = None, baselines: Path | None = None) -> Path:
    """Write the report of `experiment` into `out` (experiment/report unless given) and return the page.

    `baselines` is another sweep's folder, one over backbones, whose figures are shown beside this sweep's.

    trials.csv, epochs.csv, columns.csv and figures/*.svg come first, index.html last: where it is, the rest is whole.

    Raises:
        UserError: no experiment there, a damaged record, or `out` cannot be written or holds another page.
    """
    data = report_data(read(experiment), read(baselines) if baselines is not None else None)
    sweep, trials = data.experiment.sweep, plural(len(data.frames.trials), "trial")
    return write_page(
        out or data.experiment.folder / REPORT_FOLDER,
        "Raretune report",
        [made for section in SECTIONS if (made := section(data)) is not None],
        lambda folder: export(data.frames, folder),
        name=sweep["name"],
        subtitle=Markup("{} on <code>{}</code>, ").format(trials, sweep["dataset"]),
        cautions=cautions(data),
        contents=True,
    )
