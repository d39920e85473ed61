"""Consent to work that is most likely for nothing: the warning first, then the question where a person sits."""

import sys

from trainables.errors import UserError


def warn_and_ask(warning: str, yes: bool, remedy: str) -> None:
    """Print a warning, and go on only if that is wanted: by `yes`, or by a person at the terminal.

    Args:
        yes: it was agreed to beforehand (--yes).
        remedy: what to do instead, for the error's line.

    Raises:
        UserError: the person does not agree, or there is none and it was not agreed to beforehand.
    """
    print(f"warning: {warning}", file=sys.stderr, flush=True)
    if yes:
        return
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UserError(f"not begun, because nobody is here to ask: {remedy}, or --yes to go on all the same")
    print("Go on all the same? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UserError(f"not begun: {remedy}")
