"""Say what a sweep found.

python -m analysis report runs/demo              # writes runs/demo/report/index.html
python -m analysis report runs/demo --out share  # the same, elsewhere
python -m analysis export runs/demo              # trials.csv, epochs.csv and columns.csv in runs/demo/export
python -m analysis dashboard runs/demo           # TensorBoard and optuna-dashboard, until Ctrl-C
"""

import argparse
import contextlib
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
    _add_dashboard(commands)
    return top


def _add_dashboard(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    line = "show a sweep, running or ended, in TensorBoard and optuna-dashboard"
    command = commands.add_parser(
        "dashboard",
        help=line,
        description=f"{line.capitalize()}: both on this machine only, until Ctrl-C.",
        epilog="Example: python -m analysis dashboard runs/demo",
    )
    command.add_argument("experiment", type=Path, metavar="EXPERIMENT", help="folder that `search run` wrote")
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: 127.0.0.1, which nobody else can reach); there is no password",
    )


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


def dashboard(options: argparse.Namespace) -> int:
    """Serve the dashboards until Ctrl-C."""
    from analysis.dashboard import show_dashboards

    with contextlib.suppress(KeyboardInterrupt):
        show_dashboards(options.experiment, options.host, lambda line: print(line, flush=True))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit status: 0, or 2 for a problem that the user can solve."""
    options = parser().parse_args(arguments)
    command = {"report": report, "export": export, "dashboard": dashboard}[options.command]
    return run_command(lambda: command(options))


if __name__ == "__main__":
    sys.exit(main())
