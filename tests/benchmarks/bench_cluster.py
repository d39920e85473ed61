"""How a sweep's throughput grows from one host to two and three, with trials that sleep as GPU trials would.

As root, with openssh-server, rsync and iproute2 installed; hosts are network namespaces of this machine:

    python -m tests.benchmarks.bench_cluster --trials 36 --epochs 5 --seconds 1

A host holds two trials at once. Two figures: epochs per second of the whole sweep, with the start of every worker
process (which all hosts here pay on the same cores), and from the end of each slot's first trial on, when workers are
warm; both against the first number of hosts, and the second against the ideal (slots / seconds per epoch).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.cluster_tests.hosts import SHARED, missing
from tests.cluster_tests.onprem import DRIVER, OnPrem, onprem, trials

SLOTS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=36)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="per epoch")
    parser.add_argument("--hosts", type=int, nargs="+", choices=(1, 2, 3), default=(1, 2, 3), help="[1 2 3]")
    options = parser.parse_args()
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        onprem(Path(folder) / "hosts", cpus=SLOTS) as cluster,
    ):
        print(cluster.doctor("--shared", str(SHARED)).stdout, flush=True)
        alone: tuple[float, float] | None = None
        for hosts in options.hosts:
            whole, warm = measure(cluster, hosts, options)
            alone = alone or (whole / hosts, warm / hosts)
            ideal = hosts * SLOTS / options.seconds
            line = f"{hosts} hosts, {hosts * SLOTS} slots: "
            line += f"whole {whole:5.2f} epochs/s, {whole / alone[0] / hosts:.0%} of linear; "
            line += f"warm {warm:5.2f} epochs/s, {warm / alone[1] / hosts:.0%} of linear, {warm / ideal:.0%} of ideal"
            print(line, flush=True)
    return 0


def measure(cluster: OnPrem, hosts: int, options: argparse.Namespace) -> tuple[float, float]:
    """Run the sweep in as many slots as the hosts hold; return epochs per second, whole and warm."""
    name = f"hosts{hosts}"
    words = [f"{SHARED}/{name}", "--trials", str(options.trials), "--epochs", str(options.epochs)]
    words += ["--seconds", str(options.seconds), "--concurrent", str(hosts * SLOTS), "--no-early-stopping"]
    cluster.submit(DRIVER, *words, timeout=3600)
    experiment = cluster.shared(name) / "experiment"
    summary = json.loads((experiment / "sweep_summary.json").read_text())
    ends = sorted(trial["ended"] for trial in trials(experiment))
    warm = (len(ends) - hosts * SLOTS) * options.epochs / (ends[-1] - ends[hosts * SLOTS - 1]).total_seconds()
    return summary["epochs_run"] / summary["wall_seconds"], warm


if __name__ == "__main__":
    sys.exit(main())
