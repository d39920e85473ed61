"""Say what a sweep found.

python -m analysis report runs/demo                # writes runs/demo/report/index.html
python -m analysis report runs/demo --out share    # the same, elsewhere
python -m analysis compare runs/a runs/b           # is b really better than a? also a page, in runs/a/comparison
python -m analysis export runs/demo                # trials and epochs as CSV and Parquet, in runs/demo/export
python -m analysis export runs/demo --mlflow http://localhost:5000   # the same as runs of an MLflow server
python -m analysis dashboard runs/demo             # TensorBoard and optuna-dashboard, until Ctrl-C
python -m analysis report s3://bucket/demo         # of an experiment at a URL, as every command: a copy is made first
"""

import argparse
import contextlib
import sys
from pathlib import Path

from trainables.errors import UserError, run_command
from trainables.files.experiment import COMPARISON_FOLDER, REPORT_FOLDER

FORMATS = ("csv", "parquet")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m analysis", description=__doc__, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, line: str, example: str, more: str = ".") -> argparse.ArgumentParser:
        epilog = f"Example: python -m analysis {name} {example}"
        return commands.add_parser(name, help=line, description=line.capitalize() + more, epilog=epilog)

    one = command(
        "report", "write one HTML page on a sweep and its final model", "runs/demo --baselines runs/baselines"
    )
    one.add_argument("experiment", metavar="EXPERIMENT", help="folder or URL that `search run` wrote")
    one.add_argument(
        "--baselines", metavar="EXPERIMENT", help="a sweep over backbones on the same dataset to show beside it"
    )
    line = "tell whether a final model or a sweep is really better than another"
    many = command("compare", line, "runs/tpe runs/random --out tpe-or-random")
    what = "two or more folders or URLs that `search run` or `retrain` wrote; each is held against the first"
    many.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help=what)
    line = "write the trials and epochs as CSV and Parquet files"
    tables = command("export", line, "runs/demo --out tables --format parquet")
    tables.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="folders or URLs that `search run` wrote")
    tables.add_argument(
        "--format", nargs="+", choices=FORMATS, default=FORMATS, dest="formats", help="which files (default: both)"
    )
    what = "write trials and final model as runs of an MLflow server instead (needs requirements-mlflow.txt)"
    tables.add_argument("--mlflow", metavar="URI", help=what)
    for each, default in ((one, "EXPERIMENT/report"), (many, "FIRST/comparison"), (tables, "FIRST/export")):
        each.add_argument("--out", type=Path, metavar="DIR", help=f"where to write (default: {default})")
    line = "show a sweep, running or ended, in TensorBoard and optuna-dashboard"
    served = command("dashboard", line, "runs/demo", ": both on this machine only, until Ctrl-C.")
    served.add_argument("experiment", metavar="EXPERIMENT", help="folder or URL that `search run` wrote")
    what = "address to listen on (default: 127.0.0.1, which only this machine reaches); there is no password"
    served.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=what)
    return top


def report(options: argparse.Namespace) -> None:
    """Write the report and say where it is."""
    # Imported here: Matplotlib, pandas and Optuna take seconds, which --help must not pay.
    from analysis.report.report import write_report

    print(f"report: {write_report(options.experiment, options.out, options.baselines)}")


def compare(options: argparse.Namespace) -> None:
    """Say who is better, and write the page."""
    if len(options.experiments) < 2:
        raise UserError("compare needs at least two experiments; the first is what the others are held against")
    from analysis.compare.candidates import candidates
    from analysis.compare.page import own_folder, write_comparison

    found = candidates(options.experiments)
    out = options.out or own_folder(found, options.experiments[0] / COMPARISON_FOLDER)
    page, said = write_comparison(found, out)
    for sentence in said:
        print(sentence)
    print(f"comparison: {page}")


def export(options: argparse.Namespace) -> None:
    """Write the tables and say where they are; or the runs of an MLflow server."""
    if options.mlflow:
        return export_to_mlflow(options)
    import analysis
    from analysis.data.frames import export as write_tables
    from analysis.render.files import output_folder

    frames = analysis.load(*options.experiments)
    folder = output_folder(options.out or options.experiments[0] / "export")
    for file in write_tables(frames, folder, options.formats):
        print(file)


def export_to_mlflow(options: argparse.Namespace) -> None:
    """Write the runs, each experiment's report with them, and say how many."""
    from analysis.data.experiment import read
    from analysis.data.mlflow_runs import export_runs, needed
    from analysis.report.report import write_report

    needed()
    for folder in options.experiments:
        page = folder / REPORT_FOLDER / "index.html"
        if not page.is_file():
            page = write_report(folder, None, None)
        counts = export_runs(read(folder), options.mlflow, page)
        print(f"{folder}: {counts['written']} runs written to {options.mlflow}, {counts['kept']} were there")


def dashboard(options: argparse.Namespace) -> None:
    """Serve the dashboards until Ctrl-C."""
    from analysis.dashboard import show_dashboards

    with contextlib.suppress(KeyboardInterrupt):
        show_dashboards(options.experiment, options.host, lambda line: print(line, flush=True))


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or 2 for a problem that the user can solve."""
    options = parser().parse_args(arguments)
    command = {"report": report, "compare": compare, "export": export, "dashboard": dashboard}[options.command]

    def run() -> int:
        from search.records import local_copy

        # An experiment may be at a URL; the commands are given a folder.
        for name in {"experiment", "experiments", "baselines"} & vars(options).keys():
            place = getattr(options, name)
            copied = [local_copy(one) for one in place] if isinstance(place, list) else place and local_copy(place)
            setattr(options, name, copied)
        command(options)
        return 0

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
