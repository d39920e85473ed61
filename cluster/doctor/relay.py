"""Have the doctor run on a cluster's head, and bring its report here."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.launcher import on_head, read_cluster

_OURS = ("ok ", "PROBLEM ", "doctor: ", "error: ")


def relay_doctor(file: Path, shared: Sequence[str], nodes: int | None, least_gb: float, wait: float) -> int:
    """Print the report of the doctor on the head; return 0 when all is well, 1 with problems."""
    read_cluster(file)
    words = ["python", "-m", "cluster", "doctor", "--least-gb", f"{least_gb:g}", "--wait", f"{wait:g}"]
    for place in shared:
        words += ["--shared", place]
    if nodes is not None:
        words += ["--nodes", str(nodes)]
    status, output = on_head(file, f"cd ~/raretune && {shlex.join(words)}")
    report = [line for line in output.splitlines() if line.startswith(_OURS)]
    if any(line.startswith("doctor: ") for line in report):
        print("\n".join(report))
        return 1 if status else 0
    # No report came back: what ssh and Ray said is the only clue.
    print(output, file=sys.stderr)
    print(f"PROBLEM  cluster   the doctor could not run on the head of {file}; is it up? (`ray up`)")
    return 1
