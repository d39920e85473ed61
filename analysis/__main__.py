"""Say what a sweep found.

python -m analysis report runs/demo              # writes runs/demo/report/index.html
python -m analysis report runs/demo --out share  # the same, elsewhere
python -m analysis export runs/demo              # trials.csv, epochs.csv and columns.csv in runs/demo/export
"""

import argparse
import sys
from pathlib import Path

from trainables.errors import run_command


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m analysis", description=__doc__, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, line, default in (
        ("report", "write one HTML page on a sweep and its final model", "EXPERIMENT/report"),
        ("export", "write the trials and epochs as CSV files", "EXPERIMENT/export"),
    ):
        command = commands.add_parser(name, help=line, description=line.capitalize() + ".", epilog=_EXAMPLES[name])
        command.add_argument("experiment", type=Path, metavar="EXPERIMENT", help="folder that `search run` wrote")
        command.add_argument("--out", type=Path, metavar="DIR", help=f"where to write (default: {default})")
    return top


_EXAMPLES = {
    "report": "Example: python -m analysis report runs/demo",
    "export": "Example: python -m analysis export runs/demo --out tables",
}


def report(options: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    # Imported here: Matplotlib, pandas and Optuna take seconds, which --help must not pay.
    from analysis.report import write_report

    print(f"report: {write_report(options.experiment, options.out)}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write the tables and say where they are."""
    from analysis.files import output_folder
    from analysis.frames import export as write_tables
    from analysis.frames import load

    frames = load(options.experiment)
    folder = output_folder(options.out or options.experiment / "export")
    for file in write_tables(frames, folder):
        print(file)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or 2 for a problem that the user can solve."""
    options = parser().parse_args(arguments)
    command = {"report": report, "export": export}[options.command]
    return run_command(lambda: command(options))


if __name__ == "__main__":
    sys.exit(main())
