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
    ranks,
    rungs,
    slices,
    trials_table,
)
from trainables.files.experiment import REPORT_FOLDER

# In the order of the page. To add a section, write a file in sections/ and name it here.
_SWEEP = (summary, configuration, history, rungs, epochs_spent, learning_curves, pareto_front)
_SETTINGS = (importance, slices, parallel_coordinates, trials_table)
_MODEL = (final_model, families, confusion, ranks, photos, calibration, backbones)
SECTIONS: tuple[Callable[[ReportData], Section | None], ...] = tuple(
    module.section for module in (*_SWEEP, *_SETTINGS, *_MODEL, dataset, provenance, glossary)
)


def write_report(experiment: Path, out: Path | None = None, baselines: Path | None = None) -> Path:
    """Write the report of `experiment` into `out` (experiment/report unless given) and return the page.

    `baselines` is another sweep's folder, one over backbones, whose figures are shown beside this sweep's.

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
        name=data.experiment.folder.name,
        subtitle=Markup("{} on <code>{}</code>, ").format(trials, sweep["dataset"]),
        cautions=cautions(data),
        contents=True,
    )
