"""Run a sweep or another command on a cluster's head.

`ray submit` copies this one file to the head and runs it there; the cluster file's file_mounts brought the rest of the
checkout to ~/raretune:

    ray submit cluster/onprem.yaml cluster/submit.py -- search/sweeps/default.yaml --experiment /mnt/raretune/first
    ray submit cluster/onprem.yaml cluster/submit.py -- resume /mnt/raretune/first
    ray submit cluster/aws.yaml cluster/submit.py -- search/sweeps/default.yaml --experiment s3://bucket/first
    ray submit cluster/onprem.yaml cluster/submit.py -- -m trainables retrain /mnt/raretune/first/best.json

What follows `--` goes to `python -m search run`, to `python -m search resume` if it begins with resume, or to `python`
if it begins with -m or a .py file. It runs in ~/raretune (or $RARETUNE_HOME), and its exit status is this command's.
A sweep that must outlive your connection is a job: `python -m cluster submit --help`.
"""

import os
import sys
from pathlib import Path

# Imports nothing of ours: on the head this file stands alone in the home folder.


def command(arguments: list[str], python: str) -> list[str]:
    """Return the words of the command that `arguments` stand for."""
    if arguments[0] == "-m" or arguments[0].endswith(".py"):
        return [python, *arguments]
    if arguments[0] == "resume":
        return [python, "-m", "search", *arguments]
    return [python, "-m", "search", "run", *arguments]


def main(arguments: list[str]) -> int:
    """Become the command; return 2 after an error of one line."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if arguments else 2
    home = Path(os.environ.get("RARETUNE_HOME", "~/raretune")).expanduser()
    if not (home / "search" / "__main__.py").exists():
        hint = "bring it with `ray up`, or set RARETUNE_HOME"
        print(f"error: the checkout is not at {home} on this node; {hint}", file=sys.stderr)
        return 2
    os.chdir(home)
    words, environment = command(arguments, sys.executable), dict(os.environ)
    environment.setdefault("RAY_ADDRESS", "auto")
    if (Path.home() / ".ray" / "auth_token").exists():
        environment.setdefault("RAY_AUTH_MODE", "token")
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(home), environment.get("PYTHONPATH")]))
    # Ray's shells limit numerical libraries to one thread, which a driver that trains would keep.
    environment.pop("OMP_NUM_THREADS", None)
    os.execve(words[0], words, environment)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
