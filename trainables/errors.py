"""The two kinds of error: a trial that failed, and a sweep that cannot go on."""

import sys
from collections.abc import Callable


class TrialFailed(Exception):
    """One trial cannot go on (non-finite loss, out of memory): it ends with this reason, the sweep goes on."""


class OutOfMemory(TrialFailed):
    """The device's memory did not suffice, at least not for this trial beside its neighbours."""


class UserError(Exception):
    """Nothing can go on (bad config, missing data, unreachable storage).

    The message is one line: the rule, the value, what would be valid. Commands print it and exit with status 2.
    """


def run_command(main: Callable[[], int]) -> int:
    """Run a command's body; a `UserError` becomes one line on stderr and exit status 2."""
    try:
        return main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        return 130
