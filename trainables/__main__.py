"""The commands of python -m trainables, from photos to a model."""

import sys
from typing import Any

from trainables.command_line import CommandParser
from trainables.data import commands as data_commands
from trainables.errors import run_command
from trainables.final import commands as train_commands
from trainables.inference import commands as model_commands
from trainables.probe import commands as probe_commands
from trainables.review import commands as review_commands


def main() -> int:
    """Run a command; exit status 2 and one line on bad input."""
    does = "review and prepare photos, probe a backbone, retrain the best configuration, predict, explain, export."
    parser = CommandParser(prog="python -m trainables", description=f"python -m trainables: {does}")
    commands: Any = parser.add_subparsers(required=True, metavar="COMMAND")
    for room in (review_commands, data_commands, probe_commands, train_commands, model_commands):
        room.add_commands(commands)
    arguments = parser.parse_args()
    return run_command(lambda: int(arguments.run(arguments)))


if __name__ == "__main__":
    sys.exit(main())
