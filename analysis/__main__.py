"""Say what a sweep found.

python -m analysis report runs/demo                # writes runs/demo/report/index.html
python -m analysis report runs/demo --out share    # the same, elsewhere
python -m analysis compare runs/a runs/b           # is b really better than a? also a page, in runs/a/comparison
python -m analysis export runs/demo                # trials and epochs as CSV and Parquet, in runs/demo/export
python -m analysis dashboard runs/demo             # TensorBoard and optuna-dashboard, until Ctrl-C
python -m analysis report s3://bucket/demo         # of an experiment at a URL, as every command: a copy is made first
"""

import argparse
import contextlib
import sys
from pathlib import Path

from trainables.errors import UserError, run_command

FORMATS = ("csv", "parquet")


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m analysis", description=__doc__, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = _command(commands, "report", "write one HTML page on a sweep and its final model", "EXPERIMENT/report")
    one.add_argument("experiment", metavar="EXPERIMENT", help="folder or URL that `search run` wrote")
    one.add_argument(
        "--baselines",
        metavar="EXPERIMENT",
        help="a sweep over backbones on the same dataset to show beside it",
    )
    many = _command(
        commands, "compare", "tell whether a final model or a sweep is really better than another", "FIRST/comparison"
    )
    many.add_argument(
        "experiments",
        nargs="+",
        metavar="EXPERIMENT",
        help="two or more folders or URLs that `search run` or `retrain` wrote; each is held against the first",
    )
    tables = _command(commands, "export", "write the trials and epochs as CSV and Parquet files", "FIRST/export")
    tables.add_argument("experiments", nargs="+", metavar="EXPERIMENT", help="folders or URLs that `search run` wrote")
    tables.add_argument(
        "--format", nargs="+", choices=FORMATS, default=FORMATS, dest="formats", help="which files (default: both)"
    )
    _add_dashboard(commands)
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, line: str, default: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=line, description=line.capitalize() + ".", epilog=_EXAMPLES[name])
    command.add_argument("--out", type=Path, metavar="DIR", help=f"where to write (default: {default})")
    return command


def _add_dashboard(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    line = "show a sweep, running or ended, in TensorBoard and optuna-dashboard"
    command = commands.add_parser(
        "dashboard",
        help=line,
        description=f"{line.capitalize()}: both on this machine only, until Ctrl-C.",
        epilog="Example: python -m analysis dashboard runs/demo",
    )
    command.add_argument("experiment", metavar="EXPERIMENT", help="folder or URL that `search run` wrote")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, which nobody else can reach); there is no password",
    )


_EXAMPLES = {
    "report": "Example: python -m analysis report runs/demo --baselines runs/baselines",
    "compare": "Example: python -m analysis compare runs/tpe runs/random --out tpe-or-random",
    "export": "Example: python -m analysis export runs/demo --out tables --format parquet",
}


def report(options: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    # Imported here: Matplotlib, pandas and Optuna take seconds, which --help must not pay.
    from analysis.report.report import write_report

    print(f"report: {write_report(options.experiment, options.out, options.baselines)}")
    return 0


def compare(options: argparse.Namespace) -> int:
    """Say who is better, and write the page."""
    if len(options.experiments) < 2:
        raise UserError("compare needs at least two experiments; the first is what the others are held against")
    from analysis.compare.candidates import candidates
    from analysis.compare.page import write_comparison

    page, said = write_comparison(candidates(options.experiments), options.out or options.experiments[0] / "comparison")
    for sentence in said:
        print(sentence)
    print(f"comparison: {page}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write the tables and say where they are."""
    import analysis
    from analysis.data.frames import export as write_tables
    from analysis.render.files import output_folder

    frames = analysis.load(*options.experiments)
    folder = output_folder(options.out or options.experiments[0] / "export")
    for file in write_tables(frames, folder, options.formats):
        print(file)
    return 0


def dashboard(options: argparse.Namespace) -> int:
    """Serve the dashboards until Ctrl-C."""
    from analysis.dashboard import show_dashboards

    with contextlib.suppress(KeyboardInterrupt):
        show_dashboards(options.experiment, options.host, lambda line: print(line, flush=True))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or 2 for a problem that the user can solve."""
    options = parser().parse_args(arguments)
    command = {"report": report, "compare": compare, "export": export, "dashboard": dashboard}[options.command]
    return run_command(lambda: command(_here(options)))


def _here(options: argparse.Namespace) -> argparse.Namespace:
    """Return the options with a folder in place of every experiment that was named, which may be at a URL."""
    from search.records import local_copy

    def folder(place: str | list[str] | None) -> Path | list[Path] | None:
        if isinstance(place, list):
            return [local_copy(one) for one in place]
        return None if place is None else local_copy(place)

    named = {"experiment", "experiments", "baselines"} & vars(options).keys()
    return argparse.Namespace(**{**vars(options), **{name: folder(getattr(options, name)) for name in named}})


if __name__ == "__main__":
    sys.exit(main())
